"""Files that are whole or not there."""

import errno
import json
import math
import pathlib

import pytest

from astmt_jax.files import storage


def test_text_replaces_text(tmp_path):
    path = tmp_path / "file.json"
    storage.write_text(path, "old")
    storage.write_text(path, "new")
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_failed_writing_leaves_what_was_there(tmp_path, monkeypatch):
    """Half of the new text was on the disk when it was full."""
    path = tmp_path / "file.json"
    storage.write_text(path, "old")

    def write_half(self, text):
        with self.open("w") as file:
            file.write(text[: len(text) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(pathlib.Path, "write_text", write_half)
    with pytest.raises(OSError, match="No space left"):
        storage.write_text(path, "new text")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_json_has_null_where_a_number_is_undefined(tmp_path):
    path = tmp_path / "file.json"
    storage.write_json(path, {"a": [1.5, math.nan], "b": {"c": math.nan, "d": (1, None, "x")}})
    expected = {"a": [1.5, None], "b": {"c": None, "d": [1, None, "x"]}}
    assert path.read_text() == json.dumps(expected, indent=2) + "\n"
    with pytest.raises(ValueError, match="not JSON compliant"):
        storage.write_json(path, [math.inf])
    assert json.loads(path.read_text()) == expected


def chained():
    """A full disk behind an error that a library makes of it."""
    try:
        raise OSError(errno.ENOSPC, "full")
    except OSError as error:
        raise RuntimeError("saving failed") from error


def test_full_disk_is_recognized():
    with pytest.raises(RuntimeError) as caught:
        chained()
    assert storage.is_disk_full(caught.value)
    assert storage.is_disk_full(ValueError("RESOURCE_EXHAUSTED: ... No space left on device"))
    assert storage.is_disk_full(OSError(errno.EDQUOT, "Disk quota exceeded"))
    assert not storage.is_disk_full(OSError(errno.ENOENT, "No such file"))
    assert not storage.is_disk_full(ValueError("RESOURCE_EXHAUSTED: out of memory"))
