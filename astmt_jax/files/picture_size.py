"""How large a stored picture says that it is, before it is decoded."""

from collections.abc import Iterator

_STANDALONE = {0x01, *range(0xD0, 0xDA)}
"""Markers of JPEG that have no content."""
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
"""Markers of JPEG that give the size."""


def picture_size(data: bytes) -> tuple[int, int]:
    """(height, width) of a JPEG, PNG or WebP file; ValueError if it is none of them.

    OpenCV reads other formats, too, which no preparation stores.
    """
    if data.startswith(b"\x89PNG\r\n\x1a\n") and data[12:16] == b"IHDR":
        return _number(data[20:24]), _number(data[16:20])
    if data.startswith(b"\xff\xd8"):
        for marker, content in _segments(data):
            if marker in _FRAMES:
                return _number(content[1:3]), _number(content[3:5])
    if (size := webp_size(data)) is not None:
        return size
    raise ValueError("it is no JPEG, PNG or WebP picture")


def webp_size(data: bytes) -> tuple[int, int] | None:
    """(height, width) of a WebP file; None of other files."""
    kind, head = data[12:16], data[20:30].ljust(10, b"\0")
    if data[:4] != b"RIFF" or data[8:12] != b"WEBP":
        return None
    if kind == b"VP8X":
        width, height = (1 + int.from_bytes(head[i : i + 3], "little") for i in (4, 7))
    elif kind == b"VP8L":
        bits = int.from_bytes(head[1:5], "little")
        width, height = 1 + bits % 2**14, 1 + (bits >> 14) % 2**14
    else:
        width, height = (int.from_bytes(head[i : i + 2], "little") % 2**14 for i in (6, 8))
    return height, width


def _number(data: bytes) -> int:
    return int.from_bytes(data, "big")


def _segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Markers of a JPEG file and the beginning of their content."""
    position = 2
    while 0 <= (position := data.find(b"\xff", position)) < len(data) - 1:
        marker = data[position + 1]
        if marker in (0x00, 0xFF):
            position += 1
        elif marker in _STANDALONE:
            position += 2
        else:
            yield marker, data[position + 4 : position + 9]
            position += 2 + max(2, _number(data[position + 2 : position + 4]))
