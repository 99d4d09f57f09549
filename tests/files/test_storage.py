"""Files that are whole or not there."""

import errno
import json
import math
import os
import pathlib
import secrets

import numpy as np
import pytest
import safetensors.numpy

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

    def write_half(self, text, encoding):
        with self.open("w", encoding=encoding) as file:
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


@pytest.mark.parametrize("ending", [".json", ".safetensors", ""])
def test_file_appears_at_the_end_with_its_ending(tmp_path, ending):
    """Nothing is at its place before, and what is there is not what one could guess."""
    path = tmp_path / f"file{ending}"
    with storage.whole_file(path) as partial:
        assert not path.exists()
        assert partial.parent == tmp_path
        assert partial.suffix == ending
        partial.write_bytes(b"content")
        with storage.whole_file(path) as other:
            assert other != partial
    assert path.read_bytes() == b"content"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("stop", [ValueError("no"), KeyboardInterrupt(), SystemExit(1)])
def test_whatever_ends_the_writing_leaves_what_was_there(tmp_path, stop):
    path = tmp_path / "file.bin"
    path.write_bytes(b"old")

    def write():
        with storage.whole_file(path) as partial:
            partial.write_bytes(b"half")
            raise stop

    with pytest.raises(type(stop)):
        write()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_links_that_lie_in_wait_are_not_followed(tmp_path, monkeypatch):
    """Neither one with the name of the file to write, nor one with that of the file before it."""
    (tmp_path / "precious").write_text("mine")
    monkeypatch.setattr(secrets, "token_hex", lambda count: "0" * 2 * count)
    ahead = tmp_path / f".partial-{'0' * 16}.json"
    for link in (tmp_path / "a.json", ahead):
        link.symlink_to(tmp_path / "precious")
    with pytest.raises(FileExistsError):
        storage.write_text(tmp_path / "a.json", "new")
    ahead.unlink()  # is still there
    storage.write_text(tmp_path / "a.json", "new")
    assert (tmp_path / "precious").read_text() == "mine"
    assert (tmp_path / "a.json").read_text() == "new"
    assert not (tmp_path / "a.json").is_symlink()


@pytest.mark.parametrize("mask", [0o022, 0o077])
def test_permissions_are_those_of_every_new_file(tmp_path, mask):
    """Also where a library puts a file of its own in place, as safetensors does."""
    before = os.umask(mask)
    try:
        (tmp_path / "plain").touch()
        storage.write_text(tmp_path / "text", "")
        with storage.whole_file(tmp_path / "weights.safetensors") as partial:
            safetensors.numpy.save_file({"x": np.zeros(1)}, partial)
    finally:
        os.umask(before)
    modes = {path.stat().st_mode for path in tmp_path.iterdir()}
    assert len(modes) == 1
    assert len(list(tmp_path.iterdir())) == 3


def test_errors_name_the_file_that_was_meant(tmp_path):
    with pytest.raises(FileNotFoundError) as caught:
        storage.write_text(tmp_path / "none" / "file", "text")
    assert caught.value.filename == str(tmp_path / "none" / "file")
    (tmp_path / "folder").mkdir()
    with pytest.raises(IsADirectoryError, match=r"folder'$"):
        storage.write_text(tmp_path / "folder", "text")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


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


@pytest.mark.parametrize("kind", ["link", "dangling link", "pipe"])
def test_nothing_is_appended_to_what_lies_in_wait(kind, tmp_path):
    path, outside = tmp_path / "run" / "notes", tmp_path / "outside"
    path.parent.mkdir()
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to(outside)
    if kind == "link":
        outside.write_text("precious")
    with storage.appended(path) as file:
        file.write("new\n")
    assert path.read_text() == "new\n"
    assert not path.is_symlink()
    assert outside.read_text() == "precious" if kind == "link" else not outside.exists()


def test_lines_are_appended(tmp_path):
    for line in ("first\n", "\u00e4\n"):
        with storage.appended(tmp_path / "notes") as file:
            file.write(line)
    assert (tmp_path / "notes").read_text(encoding="utf-8") == "first\n\u00e4\n"


@pytest.mark.parametrize("where", ["", "5", "5/state/d"])
def test_folders_with_links_are_not_worked_in(where, tmp_path):
    folder, outside = tmp_path / "run" / "checkpoints", tmp_path / "outside"
    storage.refuse_links(folder)  # that it is not there is no harm
    outside.mkdir()
    (folder / where).parent.mkdir(parents=True)
    (folder / where).symlink_to(outside)
    with pytest.raises(FileExistsError, match=f"^{folder / where} is a link") as caught:
        storage.refuse_links(folder)
    assert "\n" not in str(caught.value)
