"""What stands beside the pixels of a picture file: looked at before Pillow, which trusts it.

A directory of tags (TIFF's, and EXIF's, which is one) may say of each of its tags that all of the
file is its value, and Pillow keeps a copy for each. A progressive JPEG may have any number of
scans, each of which takes as much time as the picture, and a PNG millions of chunks. WebP's decoder
gets memory for the canvas before it is asked for its size. What Pillow reads byte by byte in Python
(comments of portable maps, run lengths of BMP) takes minutes.
"""

import re
import struct
import zlib
from collections.abc import Iterator, Mapping
from typing import Any

from PIL import JpegImagePlugin

MAX_CHUNKS = 2**17
MAX_WRITTEN_OUT = 2**22
"""Bytes of a portable map in text, which Pillow reads slowly."""
MAX_PORTABLE_HEADER = 2**14
MAX_SCANNED_PIXELS = 2**31
"""Scans of a JPEG times its pixels: 24 scans of the largest picture that is read."""
MAX_PROGRESSIVE_PIXELS = 2**26
"""Of a progressive JPEG, whose coefficients are all in memory at once."""

_ORIENTATION = 0x0112
_DIRECTORIES = (0x8769, 0x8825, 0xA005)
"""Tags that lead to another directory: EXIF's own, GPS and interoperability."""
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8}
"""Bytes of an element, by TIFF's number of its type."""
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_PROGRESSIVE, _START_OF_SCAN, _END_OF_IMAGE = 0xC2, 0xDA, 0xD9


_RUN_LENGTHS = (1, 2)
_PORTABLE = re.compile(
    rb"P(?:[14](?:(?:\s|#[^\r\n]*[\r\n])+\d+){2}|[2356](?:(?:\s|#[^\r\n]*[\r\n])+\d+){3})\s"
)


class MetadataError(ValueError):
    """A file's metadata would fill the memory, or its pixels would take minutes."""


def check(data: bytes) -> None:
    """Checks a picture file's metadata; what is no picture passes.

    Raises:
      MetadataError: they claim more than a picture's could.
    """
    if data.startswith(b"\xff\xd8"):
        _check_jpeg(data)
    elif data.startswith(b"\x89PNG"):
        _check_chunks(data)
    elif data[:2] in (b"II", b"MM"):
        _check_tags(data)
    elif data.startswith(b"BM"):
        if int.from_bytes(data[30:34], "little") in _RUN_LENGTHS:
            raise MetadataError("its pixels are compressed, which are read of no BMP file")
    elif data.startswith(b"P"):
        _check_portable(data)


def exif_orientation(info: Mapping[Any, Any]) -> int | None:
    """The orientation that a picture's EXIF notes; None if it notes none, or is damaged.

    Args:
      info: Pillow's of the picture.
    """
    try:
        exif = info.get("exif")
        if exif is None:
            profile = info.get("Raw profile type exif", "")  # ImageMagick's, in hexadecimals
            exif = bytes.fromhex("".join(profile.split("\n")[3:]))
        exif = exif.removeprefix(b"Exif\0\0")
        order = "little" if exif.startswith(b"II") else "big"
        for tag, kind, _, value in _entries(exif, order, int.from_bytes(exif[4:8], order)):
            if tag == _ORIENTATION and kind == 3:
                return int.from_bytes(value[:2], order)
    except (struct.error, ValueError, AttributeError):
        pass
    return None


def is_whole_png(data: bytes) -> bool:
    """Whether a PNG file has all that the format asks for around its pixels, and nothing unknown.

    OpenCV does without files that Pillow reads, and its library then writes to the terminal.
    """
    position, kind = 8, b""
    while position + 12 <= len(data) and kind != b"IEND":
        end = position + 12 + int.from_bytes(data[position : position + 4], "big")
        kind = data[position + 4 : position + 8]
        checksum = zlib.crc32(memoryview(data)[position + 4 : end - 4])
        if end > len(data) or checksum != int.from_bytes(data[end - 4 : end], "big"):
            return False
        if kind[:1].isupper() and kind not in (b"IHDR", b"PLTE", b"IDAT", b"IEND"):
            return False
        if (kind == b"IHDR") != (position == 8):
            return False
        position = end
    return kind == b"IEND"


def _check_jpeg(data: bytes) -> None:
    """Walks through the segments before the pixels as Pillow does, then counts the scans."""
    exif, pixels, position = b"", 0, 2
    while (position := data.find(b"\xff", position)) >= 0 and position + 1 < len(data):
        code = data[position + 1]
        _, _, handler = JpegImagePlugin.MARKER.get(0xFF00 | code, ("", "", None))
        position += 1 if code == 0xFF else 2
        if handler is None:
            continue
        length = int.from_bytes(data[position : position + 2], "big")
        content = data[position + 2 : position + max(length, 2)]
        position += max(length, 2)
        if code == 0xE1 and content.startswith(b"Exif\0\0"):
            exif += content[6:]
        elif code == 0xE2 and content.startswith(b"MPF\0"):
            _check_tags(content[4:])
        elif 0xC0 <= code <= _PROGRESSIVE:
            pixels = int.from_bytes(content[1:3], "big") * int.from_bytes(content[3:5], "big")
            if code == _PROGRESSIVE and pixels > MAX_PROGRESSIVE_PIXELS:
                raise MetadataError(f"it is progressive and has {pixels / 1e6:.0f} million pixels")
        elif code == _START_OF_SCAN:
            _check_scans(data, position, pixels)
            break
    _check_tags(exif)


def _check_scans(data: bytes, position: int, pixels: int) -> None:
    scans = 1
    while (marker := _MARKER.search(data, position)) and marker[0][1] != _END_OF_IMAGE:
        position = marker.end() + int.from_bytes(data[marker.end() : marker.end() + 2], "big")
        scans += marker[0][1] == _START_OF_SCAN
        if scans * pixels > MAX_SCANNED_PIXELS:
            raise MetadataError(f"it has {scans} scans or more")


def _check_portable(data: bytes) -> None:
    header = _PORTABLE.match(data[:MAX_PORTABLE_HEADER])
    if header is None:
        raise MetadataError("it has no size")
    if header[0][:2] in (b"P1", b"P2", b"P3") and len(data) > MAX_WRITTEN_OUT:
        raise MetadataError("its pixels are written out as text")


def _check_chunks(data: bytes) -> None:
    position = 8
    for _ in range(MAX_CHUNKS):
        if position >= len(data):
            return
        position += 12 + int.from_bytes(data[position : position + 4], "big")
    raise MetadataError(f"it has more than {MAX_CHUNKS} chunks")


def _check_tags(data: bytes) -> None:
    """Checks that the values of all tags of a TIFF file, or of EXIF, have room in it together."""
    order = "little" if data.startswith(b"II") else "big"
    wide = data[2:4] in (b"\x2b\0", b"\0\x2b")
    starts = [int.from_bytes(data[8:16] if wide else data[4:8], order)]
    claimed = 0
    for _ in range(1 + len(_DIRECTORIES)):
        start = starts.pop() if starts else None
        if start is None:
            break
        for tag, kind, count, value in _entries(data, order, start, wide):
            claimed += _SIZES.get(kind, 0) * count
            if claimed > max(len(data), 2**16):
                raise MetadataError("its tags claim more than it holds")
            if tag in _DIRECTORIES:
                starts.append(int.from_bytes(value, order))


def _entries(
    data: bytes, order: Any, start: int, wide: bool = False
) -> Iterator[tuple[int, int, int, bytes]]:
    """(tag, number of the type, count, value or where it is) of a directory of TIFF or BigTIFF."""
    head, size, form = (8, 20, "HHQ8s") if wide else (2, 12, "HHL4s")
    count = int.from_bytes(data[start : start + head], order)
    start += head
    table = data[start : start + min(count * size, len(data))]
    whole = table[: len(table) // size * size]
    yield from struct.iter_unpack(("<" if order == "little" else ">") + form, whole)
