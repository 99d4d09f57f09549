"""Unpacks .tar archives from strangers, compressed or not, as a stream that ends when it must."""

import bz2
import gzip
import io
import lzma
import tarfile
from collections.abc import Callable
from typing import IO, Any, cast

from astmt_jax.datasets.unpacking import Destination

MAX_HEADERS = 2**20
"""Bytes that may lie between the contents of two entries: names, attributes, padding."""

MAX_MEMORY = 2**28
"""Bytes that the decompression of .xz may need; `xz -9` makes files that need a quarter of it."""

_BLOCK = tarfile.RECORDSIZE


def is_tar(start: bytes) -> bool:
    """Whether an archive, which is not compressed, can start so."""
    try:
        tarfile.TarInfo.frombuf(start[: tarfile.BLOCKSIZE], "utf-8", "surrogateescape")
    except tarfile.TarError:
        return False
    return True


def decompression(start: bytes) -> Callable[[IO[bytes], Destination], Any] | None:
    """What decompresses a file that starts so, as a context; None for a plain one."""
    for magic, opened in _COMPRESSIONS.items():
        if start.startswith(magic):
            return opened
    return None


def unpack_tar(start: bytes, stream: IO[bytes], destination: Destination) -> None:
    """Unpacks a decompressed archive up to its end.

    Args:
      start: what was read of it already.
      stream: all else.
      destination: takes the entries.

    Raises:
      ArchiveError: it holds what is not unpacked.
      Exception: whatever the libraries raise about a damaged archive.
    """
    limited = _Limited(start, stream, destination)
    with tarfile.open(fileobj=limited, mode="r|", bufsize=_BLOCK) as archive:
        while entry := _next(archive, destination):
            # Nothing needs what tarfile remembers of them, and there can be a million.
            archive.members.clear()  # ty: ignore[missing-attribute]
            _unpack_entry(archive, entry, limited, destination)
    while limited.read(_BLOCK):  # checks the checksum at the end
        pass


def _next(archive: tarfile.TarFile, destination: Destination) -> tarfile.TarInfo | None:
    try:
        return archive.next()
    except RecursionError as error:
        raise destination.refusal("has too many headers before one of its files") from error


def _unpack_entry(
    archive: tarfile.TarFile, entry: tarfile.TarInfo, limited: "_Limited", destination: Destination
) -> None:
    if entry.isdir():
        destination.make_folder(entry.name)
    elif entry.isreg() and not entry.issparse():
        limited.allow(entry.size + MAX_HEADERS)
        content = cast(IO[bytes], archive.extractfile(entry))  # as it is a regular file
        destination.write_file(entry.name, entry.size, content)
    else:
        raise destination.error(
            entry.name,
            "which is a link, a device or a sparse file; only files and folders are unpacked",
        )
    limited.allow(MAX_HEADERS)


class _Limited(io.RawIOBase):
    """A stream of which no more can be read than is allowed: tarfile keeps headers in memory."""

    def __init__(self, start: bytes, stream: IO[bytes], destination: Destination):
        super().__init__()
        self._start = start
        self._stream = stream
        self._destination = destination
        self.allow(MAX_HEADERS)

    def allow(self, size: int) -> None:
        """Allows so many bytes from here on, and what is read at once."""
        self._left = size + _BLOCK

    def read(self, size: int = -1) -> bytes:
        data, self._start = self._start or self._stream.read(size), b""
        self._left -= len(data)
        if self._left < 0:
            raise self._destination.refusal(
                f"has more than {MAX_HEADERS // 2**20} MiB between two of its files, or after the "
                "last"
            )
        return data


class _Xz(io.RawIOBase):
    """Decompresses .xz within `MAX_MEMORY`; `lzma.open` takes all that a file asks for."""

    def __init__(self, file: IO[bytes], destination: Destination):
        super().__init__()
        self._file = file
        self._destination = destination
        self._start_stream()

    def _start_stream(self) -> None:
        self._decompressor = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=MAX_MEMORY)

    def read(self, size: int = -1) -> bytes:
        while True:
            compressed = b""
            if self._decompressor.eof:
                compressed = self._decompressor.unused_data or self._file.read(_BLOCK)
                compressed = compressed.lstrip(b"\0")  # padding between streams
                if not compressed:
                    return b""
                self._start_stream()
            elif self._decompressor.needs_input:
                compressed = self._file.read(_BLOCK)
                if not compressed:
                    raise EOFError("the compressed file ends early")
            if data := self._decompressed(compressed, size):
                return data

    def _decompressed(self, compressed: bytes, size: int) -> bytes:
        try:
            return self._decompressor.decompress(compressed, size)
        except lzma.LZMAError as error:
            if "limit" not in str(error):
                raise
            raise self._destination.refusal(
                f"needs more than {MAX_MEMORY // 2**20} MiB of memory to be decompressed (what xz "
                "-9 makes needs 65)"
            ) from error


_COMPRESSIONS: dict[bytes, Callable[[IO[bytes], Destination], Any]] = {
    b"\x1f\x8b": lambda file, _: gzip.GzipFile(fileobj=file),
    b"BZh": lambda file, _: bz2.BZ2File(file),
    b"\xfd7zXZ\0": _Xz,
}
"""First bytes of a compressed file -> what decompresses it."""
