"""What array_record files decompress to, told from the headers of their chunks."""

import os

import numpy as np
import pytest
from array_record.python.array_record_module import ArrayRecordWriter

from astmt_jax.files import record_chunks


def write(path, records, group_size):
    writer = ArrayRecordWriter(os.fspath(path), f"group_size:{group_size}")
    for record in records:
        writer.write(record)
    writer.close()


@pytest.mark.parametrize("group_size", [1, 7, 300])
@pytest.mark.parametrize("longest", [9, 300, 20_000, 300_000])
def test_every_chunk_is_counted(tmp_path, group_size, longest):
    """Chunks that begin or end anywhere in a block: what was written, and the library's index."""
    generator = np.random.default_rng(longest + group_size)
    lengths = generator.integers(0, longest, 150)
    write(tmp_path / "file", [generator.bytes(length) for length in lengths], group_size)
    index = sum(record_chunks._decompressed_sizes(tmp_path / "file")) - lengths.sum()
    assert 0 < index < 40 * len(lengths)


@pytest.mark.parametrize("length", [2**26 - 1024, 2**26 + 2**22])
def test_the_limit(tmp_path, length):
    write(tmp_path / "file", [bytes(length)], 1)
    if length < 2**26:
        record_chunks.check(tmp_path / "file")
        return
    with pytest.raises(
        ValueError, match=r"^holds 68 MiB in 0\.125 MiB; files may decompress to 64 MiB"
    ):
        record_chunks.check(tmp_path / "file")


def test_many_bombs_count_together(tmp_path):
    write(tmp_path / "file", [bytes(2**22)] * 20, 1)
    with pytest.raises(ValueError, match=r"^holds 80 MiB"):
        record_chunks.check(tmp_path / "file")


def test_what_does_not_decompress_is_no_bomb(tmp_path, monkeypatch):
    write(tmp_path / "file", [os.urandom(2**22)] * 5, 1)
    monkeypatch.setattr(record_chunks, "MAX_SMALL", 0)
    record_chunks.check(tmp_path / "file")


@pytest.mark.parametrize("content", [b"", b"\xff" * 30, b"\xff" * 200_000])
def test_what_is_no_such_file_is_left_to_the_reader(tmp_path, content):
    (tmp_path / "file").write_bytes(content)
    record_chunks.check(tmp_path / "file")
