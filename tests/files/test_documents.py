"""JSON that is not sound is refused in one sentence, soon, and within its memory."""

import os
import subprocess
import sys

import pytest

from astmt_jax.files.documents import MAX_BYTES, MAX_DEPTH, parse_document, read_document

UNSOUND = {
    "nothing": (b"", "Expecting value"),
    "half of it": (b'{"seed": ', "Expecting value"),
    "two": (b"{}{}", "Extra data"),
    "deep lists": (b"[" * 10_000 + b"]" * 10_000, "lie in each other"),
    "deep objects": (b'{"a":' * 10_000 + b"1" + b"}" * 10_000, "lie in each other"),
    "too deep by one": (b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1), "lie in each other"),
    "not a number": (b'{"a": NaN}', "NaN is no finite number"),
    "infinity": (b'{"a": -Infinity}', "-Infinity is no finite number"),
    "too large for a float": (b'{"a": 1e999}', "1e999 is no finite number"),
    "endless number": (b"1" * 10_000, "digits"),
    "the same field twice": (b'{"a": 1, "a": 2}', "the field 'a' stands more than once"),
    "Latin-1": ('{"a": "\u00e4"}'.encode("latin-1"), "not a text in UTF-8"),
    "UTF-16": ('{"a": 1}'.encode("utf-16"), "not a text in UTF-8"),
    "a mark of byte order": (b"\xef\xbb\xbf{}", "BOM"),
    "a picture": (b"\x89PNG\r\n\x1a\n", "not a text in UTF-8"),
    "zeros": (bytes(100), "Expecting value"),
}


@pytest.mark.parametrize("name", UNSOUND)
def test_unsound_documents_are_refused(name, tmp_path):
    content, words = UNSOUND[name]
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(ValueError, match=f"^{tmp_path / 'a.json'} ") as caught:
        read_document(tmp_path / "a.json")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300 + len(str(tmp_path))


def test_sound_documents_are_what_they_say(tmp_path):
    path = tmp_path / "a.json"
    path.write_text('{"\u00e4": [1, 2.5, null, true, {"b": "\\u20ac"}]}', encoding="utf-8")
    assert read_document(path) == {"\u00e4": [1, 2.5, None, True, {"b": "\u20ac"}]}
    assert parse_document("[" * MAX_DEPTH + "]" * MAX_DEPTH)[0]


def test_what_is_no_file_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    (tmp_path / "device").symlink_to("/dev/zero")
    for name, words in (("pipe", "pipe"), ("folder", "is a folder"), ("device", "device")):
        with pytest.raises(ValueError, match=words):
            read_document(tmp_path / name)
    with pytest.raises(FileNotFoundError):
        read_document(tmp_path / "none")


MEASURED = """
import pathlib, resource, sys, time
from astmt_jax.files.documents import read_document
start, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
try:
    read_document(pathlib.Path(sys.argv[1]))
except ValueError as error:
    print(error)
print(time.process_time() - began)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - start)
"""


SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in ("lists", "fields")]


@pytest.mark.parametrize("content", ["hole", "names", *SLOW])
def test_large_documents_take_little_time_and_memory(content, tmp_path):
    path = tmp_path / "a.json"
    if content == "hole":
        path.touch()
        os.truncate(path, 3 * 2**30)
    elif content == "lists":
        path.write_bytes(b"[" + b"[]," * (MAX_BYTES // 3 - 1) + b"1]")
    elif content == "fields":
        path.write_text("{" + ",".join(f'"{n}":0' for n in range(MAX_BYTES // 12)) + "}")
    else:
        many = ",".join(f'"{n}":0' for n in range(MAX_BYTES // 12))
        path.write_text("{" + many + ',"7":1}')
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, path], capture_output=True, text=True, check=True
    )
    *message, seconds, kilobytes = done.stdout.splitlines()
    assert float(seconds) < 10
    assert int(kilobytes) < 2**20
    assert len(message) == (content in ("hole", "names"))
