"""What the chunks of an array_record file claim to decompress to: looked at before it is read.

An array_record file is one of Riegeli: blocks of 64 KiB, each with a header of 24 bytes, through
which chunks run. A chunk begins with the size of its data, and the size to which they decompress;
the reader makes room for the latter.
"""

import os
import struct
from collections.abc import Iterator

MAX_RATIO = 20
"""Examples are compressed before they are written, and can barely be compressed once more."""
MAX_SMALL = 2**26
"""Bytes that any file may decompress to."""

_BLOCK, _BLOCK_HEADER = 2**16, 24
_CHUNK_HEADER = struct.Struct("<8xQ8xQQ")
"""Without its checksums: bytes of data, kind and number of records, bytes when decompressed."""


def check(path: os.PathLike) -> None:
    """Checks that no more than `MAX_SMALL` + `MAX_RATIO` times the file's size is in it.

    Raises:
      OSError: the file cannot be read.
      ValueError: there is more in it; a sentence that goes on after the file's name.
    """
    limit = MAX_SMALL + MAX_RATIO * os.stat(path).st_size
    decompressed = sum(_decompressed_sizes(path))
    if decompressed > limit:
        raise ValueError(
            f"holds {decompressed / 2**20:,.0f} MiB in {os.stat(path).st_size / 2**20:,.3g} MiB;"
            f" files may decompress to {MAX_SMALL // 2**20} MiB and {MAX_RATIO} times their size"
        )


def _decompressed_sizes(path: os.PathLike) -> Iterator[int]:
    """Of each chunk that the file holds whole, as it claims; the reader refuses what is damaged."""
    with open(path, "rb", buffering=0) as file:
        size, position = os.stat(path).st_size, 0
        while position < size:
            header, data = _read(file.fileno(), position, _CHUNK_HEADER.size)
            if len(header) < _CHUNK_HEADER.size:
                return
            stored, records, decompressed = _CHUNK_HEADER.unpack(header)
            end = _after(data, stored)
            if end > size:
                return
            yield decompressed
            # A chunk takes a byte a record at least, and does not end inside a block's header.
            end = max(end, position + (records >> 8))
            position = end if end % _BLOCK == 0 else max(end, end - end % _BLOCK + _BLOCK_HEADER)


def _read(file: int, position: int, count: int) -> tuple[bytes, int]:
    """Bytes of a chunk from a position, without headers of blocks; the position after them."""
    end = _after(position, count)
    read = os.pread(file, end - position, position)
    for start in reversed(range(-(-position // _BLOCK) * _BLOCK, end, _BLOCK)):
        read = read[: start - position] + read[start - position + _BLOCK_HEADER :]
    return read, end


def _after(position: int, count: int) -> int:
    """Where a chunk's `count` bytes after `position` end; headers of blocks are passed over."""
    if position % _BLOCK == 0:
        position += _BLOCK_HEADER
    into_block = position % _BLOCK - _BLOCK_HEADER
    usable = _BLOCK - _BLOCK_HEADER
    return position + count + max(0, into_block + count - 1) // usable * _BLOCK_HEADER
