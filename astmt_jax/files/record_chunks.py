"""What an array_record file claims: looked at before its reader, which makes room for all of it.

Such a file is one of Riegeli: blocks of 64 KiB, each with a header of 24 bytes, through which
chunks run. A chunk begins with the size of its data, and the size to which they decompress. The
last block tells where the footer is, a chunk that tells where the chunk of each example is: the
reader goes there, whatever lies between.
"""

import os
import struct
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import zstandard

MAX_RATIO = 20
"""Examples are compressed before they are written, and can barely be compressed once more."""
MAX_SMALL = 2**26
"""Bytes that any file may decompress to."""
MAX_EXAMPLE = 3 * 2**26
"""Bytes of an example, compressed or not; the reader needs up to five times as many."""
MAX_FOOTER = 2**23
"""Bytes of the footer, compressed or not: a dozen for each example."""

_BLOCK, _BLOCK_HEADER = 2**16, 24
_CHUNK_HEADER = struct.Struct("<8xQ8xQQ")
"""Without its checksums: bytes of data, kind and number of records, bytes when decompressed."""
_SIMPLE = ord("r")
_MAGIC = 0x71930E704FDAE05E
_DAMAGED = "is truncated or corrupt"


class _Chunk(NamedTuple):
    """The header of a chunk of records.

    Attributes:
      stored: bytes of its data.
      records: their number.
      decompressed: bytes of the records.
      data: where they begin in the file.
    """

    stored: int
    records: int
    decompressed: int
    data: int


def check(path: os.PathLike) -> int:
    """Checks that an array_record file can be read within bounds of memory.

    It has an example in each chunk, none of which takes more than `MAX_EXAMPLE`, and no more than
    `MAX_SMALL` + `MAX_RATIO` times the file's size is in it.

    Returns:
      The number of its examples.

    Raises:
      OSError: the file cannot be read.
      ValueError: there is more in it, or it is damaged; a sentence that goes on after its name.
    """
    with open(path, "rb", buffering=0) as file:
        occupied = _occupied(file.fileno())
        sizes = list(_example_sizes(file.fileno(), os.stat(file.fileno()).st_size))
    largest, total = max(sizes, default=0), sum(sizes)
    if largest > MAX_EXAMPLE:
        raise ValueError(
            f"has an example of {largest / 2**20:,.0f} MiB, but one may take {MAX_EXAMPLE >> 20}"
        )
    if total > MAX_SMALL + MAX_RATIO * occupied:
        raise ValueError(
            f"holds {total / 2**20:,.0f} MiB in {occupied / 2**20:,.3g} MiB; files may decompress"
            f" to {MAX_SMALL >> 20} MiB and {MAX_RATIO} times their size"
        )
    return len(sizes)


def _occupied(file: int) -> int:
    """Bytes of the file, less its holes."""
    status = os.stat(file)
    if not status.st_size or os.lseek(file, 0, os.SEEK_HOLE) == status.st_size:
        return status.st_size  # blocks are counted late, or not at all, by some file systems
    return min(status.st_size, status.st_blocks * 512)


def _example_sizes(file: int, size: int) -> Iterator[int]:
    """Bytes of each example, compressed or decompressed, whichever is more."""
    footer, offsets = _index(file, size)
    for start, end in zip(offsets, [*offsets, footer][1:], strict=True):
        chunk = _chunk(file, start)
        if chunk.records != 1 or not start < chunk.data + chunk.stored <= end:
            raise ValueError(_DAMAGED)
        yield max(end - start, chunk.decompressed)


def _index(file: int, size: int) -> tuple[int, list[int]]:
    """Where the footer is, and the chunks of all examples."""
    postscript = _fields(_records(file, size - _BLOCK, size)[0])
    footer = postscript.get(1)
    if not isinstance(footer, int) or postscript.get(2) != _MAGIC or footer >= size - _BLOCK:
        raise ValueError(_DAMAGED)
    about, *entries = _records(file, footer, size - _BLOCK)
    described = _fields(about).get(1)
    numbers = _fields(described) if isinstance(described, bytes) else {}
    if [numbers.get(field) for field in (1, 2, 3)] != [1, len(entries), len(entries)]:
        raise ValueError(_DAMAGED)
    offsets: list[int] = []
    for entry in entries:
        fields = _fields(entry)
        offset, least = fields.get(1), offsets[-1] + 1 if offsets else 0
        if not isinstance(offset, int) or not least <= offset < footer or fields.get(3) != 1:
            raise ValueError(_DAMAGED)
        offsets.append(offset)
    return footer, offsets


def _chunk(file: int, position: int) -> _Chunk:
    if position < 0 or 0 < position % _BLOCK < _BLOCK_HEADER:
        raise ValueError(_DAMAGED)
    header, data = _read(file, position, _CHUNK_HEADER.size)
    if len(header) < _CHUNK_HEADER.size:
        raise ValueError(_DAMAGED)
    stored, kind_and_records, decompressed = _CHUNK_HEADER.unpack(header)
    if kind_and_records & 0xFF != _SIMPLE:
        raise ValueError(_DAMAGED)
    return _Chunk(stored, kind_and_records >> 8, decompressed, data)


def _records(file: int, position: int, end: int) -> list[bytes]:
    """The records of a chunk that may have `MAX_FOOTER` bytes, and ends before `end`."""
    chunk = _chunk(file, position)
    if chunk.data + chunk.stored > end or chunk.records < 1:
        raise ValueError(_DAMAGED)
    if max(end - position, chunk.decompressed, chunk.records) > MAX_FOOTER:
        raise ValueError(f"has an index of more than {MAX_FOOTER >> 20} MiB")
    data, _ = _read(file, chunk.data, chunk.stored)
    count, start = _varint(data, 1)
    values = _unpacked(data[:1], data[start + count :], chunk.decompressed)
    sizes = _unpacked(data[:1], data[start : start + count], 10 * chunk.records)
    records, begin, position = [], 0, 0
    for _ in range(chunk.records):
        length, position = _varint(sizes, position)
        records.append(values[begin : begin + length])
        begin += length
    return records


def _unpacked(compression: bytes, data: bytes, limit: int) -> bytes:
    """Data that are as they are, or their size and they, compressed by Zstandard."""
    if compression == b"\0":
        return data
    if compression != b"z":
        raise ValueError(_DAMAGED)
    size, start = _varint(data, 0)
    try:
        noted = zstandard.get_frame_parameters(data[start:]).content_size
        if size > limit or noted not in (size, zstandard.CONTENTSIZE_UNKNOWN):
            raise ValueError(_DAMAGED)
        return zstandard.decompress(data[start:], max_output_size=size)
    except zstandard.ZstdError as error:
        raise ValueError(_DAMAGED) from error


def _fields(message: bytes) -> Mapping[int, int | bytes]:
    """The numbers and texts of a message of protocol buffers, by their field's number."""
    fields: dict[int, int | bytes] = {}
    position = 0
    while position < len(message):
        tag, position = _varint(message, position)
        number, position = _varint(message, position)
        fields[tag >> 3] = number
        if tag & 7 == 2:
            fields[tag >> 3] = message[position : position + number]
            position += number
        elif tag & 7:
            raise ValueError(_DAMAGED)
    return fields


def _varint(data: bytes, position: int) -> tuple[int, int]:
    """A whole number, seven bits a byte, and the position after it."""
    value = 0
    for shift, byte in zip(range(0, 64, 7), data[position : position + 10], strict=False):
        value |= (byte & 0x7F) << shift
        position += 1
        if byte < 0x80:
            return value, position
    raise ValueError(_DAMAGED)


def _read(file: int, position: int, count: int) -> tuple[bytes, int]:
    """Bytes of a chunk from a position, without headers of blocks; the position after them."""
    end = _after(position, count)
    read = os.pread(file, end - position, position)
    first = -position % _BLOCK
    starts = range(first, len(read), _BLOCK)
    blocks = [read[start + _BLOCK_HEADER : start + _BLOCK] for start in starts]
    return b"".join([read[:first], *blocks]), end


def _after(position: int, count: int) -> int:
    """Where a chunk's `count` bytes after `position` end; headers of blocks are passed over."""
    if position % _BLOCK == 0:
        position += _BLOCK_HEADER
    into_block = position % _BLOCK - _BLOCK_HEADER
    usable = _BLOCK - _BLOCK_HEADER
    return position + count + max(0, into_block + count - 1) // usable * _BLOCK_HEADER
