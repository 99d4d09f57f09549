"""What array_record files claim, told from their index and the headers of their chunks."""

import functools
import os
import struct
import types

import numpy as np
import pytest
from array_record.python.array_record_module import ArrayRecordWriter
from measured import measured

from astmt_jax.files import record_chunks

BLOCK = 2**16
SIGNATURE = 64
"""Bytes of the first chunk, with the header of its block."""
DAMAGED = r"^is truncated or corrupt$"


def write(path, records, options="group_size:1"):
    writer = ArrayRecordWriter(os.fspath(path), options)
    for record in records:
        writer.write(record)
    writer.close()


@pytest.mark.parametrize("longest", [9, 300, 20_000, 300_000])
@pytest.mark.parametrize("count", [1, 7, 1500])
def test_every_example_is_measured(tmp_path, longest, count):
    """Chunks that begin or end anywhere in a block; noise, which cannot be compressed."""
    generator = np.random.default_rng(longest + count)
    lengths = generator.integers(1, longest, min(count, 2**25 // longest))
    write(tmp_path / "file", [generator.bytes(length) for length in lengths])
    assert record_chunks.check(tmp_path / "file") == len(lengths)
    with open(tmp_path / "file", "rb") as file:
        size = os.path.getsize(tmp_path / "file")
        measured = np.array(list(record_chunks._example_sizes(file.fileno(), size)))
    around = measured - lengths - lengths // BLOCK * 24
    assert around.min() > 40
    assert around.max() < 120


@pytest.mark.parametrize("length", [2**26 - 1024, 2**26 + 2**22])
def test_the_limit(tmp_path, length):
    write(tmp_path / "file", [bytes(length)])
    if length < 2**26:
        assert record_chunks.check(tmp_path / "file") == 1
        return
    with pytest.raises(
        ValueError, match=r"^holds 68 MiB in 0\.125 MiB; files may decompress to 64 MiB"
    ):
        record_chunks.check(tmp_path / "file")


def test_many_bombs_count_together(tmp_path):
    write(tmp_path / "file", [bytes(2**22)] * 20)
    with pytest.raises(ValueError, match=r"^holds 80 MiB"):
        record_chunks.check(tmp_path / "file")


def test_what_does_not_decompress_is_no_bomb(tmp_path, monkeypatch):
    write(tmp_path / "file", [os.urandom(2**22)] * 5)
    monkeypatch.setattr(record_chunks, "MAX_SMALL", 0)
    assert record_chunks.check(tmp_path / "file") == 5


@pytest.mark.parametrize("spoilt", [range(0), range(24, 64), range(64)])
def test_a_bomb_whose_first_bytes_are_spoilt(tmp_path, spoilt):
    """The library's reader does not look at them: it goes where the footer says."""
    write(tmp_path / "file", [bytes(2**28)])
    with open(tmp_path / "file", "r+b") as file:
        file.seek(spoilt.start)
        file.write(b"\xff" * len(spoilt))
    found = measured(functools.partial(record_chunks.check, tmp_path / "file"))
    assert found.told == "has an example of 256 MiB, but one may take 192"
    assert found.memory < 2**25
    assert found.seconds < 1


@pytest.mark.parametrize("content", [b"", b"\xff" * 30, b"\xff" * 200_000, bytes(200_000)])
def test_what_is_no_such_file(tmp_path, content):
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(ValueError, match=DAMAGED):
        record_chunks.check(tmp_path / "file")


def varint(number):
    digits = []
    while number > 0x7F:
        digits.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*digits, number])


def message(**fields):
    """A message of protocol buffers; fields are called a, b, c ... by their number."""
    written = b""
    for name, value in fields.items():
        number = ord(name) - ord("a") + 1
        if isinstance(value, bytes):
            written += varint(8 * number + 2) + varint(len(value)) + value
        else:
            written += varint(8 * number) + varint(value)
    return written


def chunk(folder, records, compression="zstd:3"):
    """The chunk of records that the library writes, with its checksums."""
    write(folder / "chunk", records, f"group_size:{len(records)},{compression}")
    data = (folder / "chunk").read_bytes()
    (stored,) = struct.unpack_from("<8xQ", data, SIGNATURE)
    end = SIGNATURE + 40 + stored
    assert end < BLOCK
    return data[SIGNATURE:end]


def entry(offset, **others):
    return message(a=offset, **{"c": 1} | others)


def about(chunks=1, examples=1, version=1):
    return message(a=message(a=version, b=chunks, c=examples))


def built(folder, index, content=b"", compression="zstd:3", footer=None, size=0):
    """A file of two blocks, or with a hole more, that begins with an example of three bytes.

    Args:
      folder: where to write it.
      index: records of the footer.
      content: chunks after the first.
      compression: of the footer.
      footer: where the last block says that it is.
      size: of the file.
    """
    write(folder / "whole", [b"abc"])
    whole = (folder / "whole").read_bytes()
    example = chunk(folder, [b"abc"])
    body = whole[:SIGNATURE] + example + content
    footer = len(body) if footer is None else footer
    body += chunk(folder, index, compression)
    assert len(body) < BLOCK
    postscript = message(a=footer, b=0x71930E704FDAE05E)
    last = whole[BLOCK : BLOCK + 24] + chunk(folder, [postscript] * 3, "uncompressed")
    path = folder / "built"
    path.write_bytes(body)
    os.truncate(path, max(size, 2 * BLOCK) - BLOCK)
    with open(path, "ab") as file:
        file.write(last.ljust(BLOCK, b"\0"))
    return path


def test_what_is_built_here_is_such_a_file(tmp_path):
    """The same as the library writes, but for what fills the blocks."""
    path = built(tmp_path, [about(), entry(SIGNATURE)])
    assert record_chunks.check(path) == 1
    with_options = message(a=message(a=1, b=1, c=1, d=b"group_size:1"))
    assert record_chunks.check(built(tmp_path, [with_options, entry(SIGNATURE)])) == 1
    uncompressed = built(tmp_path, [about(), entry(SIGNATURE)], compression="uncompressed")
    assert record_chunks.check(uncompressed) == 1


FOOTERS = {
    "no example in a chunk": [about(), entry(64, c=0)],
    "two examples in a chunk": [about(1, 2), entry(64, c=2)],
    "more chunks than room is for": [about(2**40), entry(64)],
    "fewer chunks": [about(0), entry(64)],
    "more examples": [about(1, 2**40), entry(64)],
    "another version": [about(version=2), entry(64)],
    "backwards, to a length of 2^64": [about(2, 2), entry(64), entry(64)],
    "beyond the end": [about(), entry(2**63)],
    "beyond all numbers": [about(), entry(2**70)],
    "the footer itself": [about(2, 2), entry(64), entry(130)],
    "in the header of a block": [about(), entry(3)],
    "between chunks": [about(), entry(70)],
    "nowhere": [about(), message(b=1, c=1)],
    "a text for a number": [about(), message(a=b"64", c=1)],
    "half a message": [about(), b"\x08"],
    "of another kind": [about(), b"\x09" + bytes(8)],
    "no description": [b"", entry(64)],
    "no message": [message(a=7), entry(64)],
    "no end to a number": [about(), b"\x08" + b"\xff" * 99],
}


@pytest.mark.parametrize("case", FOOTERS)
def test_footers_that_lead_the_reader_astray(tmp_path, case):
    with pytest.raises(ValueError, match=DAMAGED):
        record_chunks.check(built(tmp_path, FOOTERS[case]))


def test_a_bomb_between_the_chunks(tmp_path):
    """In a chunk of padding, say; only the footer names it."""
    bomb = chunk(tmp_path, [bytes(2**27)], "zstd:3,window_log:20")
    hidden = chunk(tmp_path, [b"padding", b"more"])
    start = SIGNATURE + len(chunk(tmp_path, [b"abc"])) + len(hidden)
    path = built(tmp_path, [about(), entry(start)], hidden + bomb)
    with pytest.raises(ValueError, match=r"^holds 128 MiB in"):
        record_chunks.check(path)


def test_a_chunk_of_many_empty_examples(tmp_path):
    many = chunk(tmp_path, [b""] * 20_000)
    start = SIGNATURE + len(chunk(tmp_path, [b"abc"]))
    with pytest.raises(ValueError, match=DAMAGED):
        record_chunks.check(built(tmp_path, [about(), entry(start)], many))


def test_holes_count_as_what_is_read(tmp_path):
    """The reader reads from one chunk to the next."""
    start = SIGNATURE + len(chunk(tmp_path, [b"abc"]))
    more = chunk(tmp_path, [b"def"])
    footer = chunk(tmp_path, [about(2, 2), entry(SIGNATURE), entry(start)])
    path = built(tmp_path, [b"no footer"], more, footer=2**30 + 24, size=2**30 + 2 * BLOCK)
    with open(path, "r+b") as file:
        file.seek(2**30 + 24)
        file.write(footer)
    with pytest.raises(ValueError, match=r"^has an example of 1,024 MiB, but one may take 192$"):
        record_chunks.check(path)
    path = built(tmp_path, [about(), entry(SIGNATURE)], size=2**33)
    with pytest.raises(ValueError, match=r"^has an index of more than 8 MiB$"):
        record_chunks.check(path)


def test_a_file_without_examples(tmp_path):
    write(tmp_path / "none", [])
    assert record_chunks.check(tmp_path / "none") == 0


def test_file_systems_that_count_no_blocks(tmp_path, monkeypatch):
    """120 MiB of noise in a file without holes; half of it would do for `MAX_SMALL`."""
    path, stat = tmp_path / "noise", os.stat
    rng = np.random.default_rng(0)
    write(path, [rng.bytes(2**24) for _ in range(8)])

    def without_blocks(*args, **kwargs):
        found = stat(*args, **kwargs)
        return types.SimpleNamespace(st_size=found.st_size, st_blocks=0, st_mode=found.st_mode)

    monkeypatch.setattr(os, "stat", without_blocks)
    assert record_chunks.check(path) == 8


INDEXES = {
    "a bomb": ([bytes(2**24)], "zstd:1"),
    "compressed otherwise": ([about(), entry(SIGNATURE)], "brotli:1"),
    "no entries": ([b"a", b""], "uncompressed"),
}


@pytest.mark.parametrize("case", INDEXES)
def test_indexes_that_are_none(tmp_path, case):
    records, compression = INDEXES[case]
    path = built(tmp_path, records, compression=compression)
    with pytest.raises(ValueError, match=rf"{DAMAGED}|^has an index of more than 8 MiB$"):
        record_chunks.check(path)


def test_any_changed_byte_of_the_index(tmp_path):
    """A sentence, or what it was: never another error."""
    path = built(tmp_path, [about(2, 2), entry(SIGNATURE), entry(130)], chunk(tmp_path, [b"def"]))
    whole = path.read_bytes()
    generator = np.random.default_rng(0)
    told = []
    for position in [*range(24, 400), *range(BLOCK, BLOCK + 120)]:
        data = bytearray(whole)
        data[position] ^= int(generator.integers(1, 256))
        path.write_bytes(data)
        try:
            assert record_chunks.check(path) == 2
        except ValueError as error:
            told.append(str(error))
    assert len(told) > 100
    assert all(words.startswith(("is truncated", "has an", "holds")) for words in told)
