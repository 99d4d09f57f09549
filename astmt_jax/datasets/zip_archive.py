"""Unpacks .zip archives from strangers."""

import io
import re
import stat
import zipfile
from typing import IO

from astmt_jax.datasets.unpacking import Destination

STARTS = (b"PK\x03\x04", b"PK\x05\x06")
"""First bytes of an archive, and of an empty one."""

METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2)
"""Of compression: those that take little memory."""

MAX_DIRECTORY = 2**21
"""Bytes of a list of entries that any archive may have."""

DIRECTORY_SHARE = 1 / 16
"""Of a larger list in its archive."""

_HEADER = 30  # bytes before an entry, at least


def unpack_zip(file: IO[bytes], destination: Destination) -> None:
    """Unpacks an archive.

    Raises:
      ArchiveError: it holds what is not unpacked.
      Exception: whatever the libraries raise about a damaged archive.
    """
    with zipfile.ZipFile(_Limited(file, destination)) as archive:
        entries = sorted(archive.infolist(), key=lambda entry: entry.header_offset)
        _check_overlaps(entries, destination)
        for entry in entries:
            _check(entry, destination)
            if entry.is_dir():
                destination.make_folder(entry.filename)
                continue
            with archive.open(entry) as content:
                destination.write_file(entry.filename, entry.file_size, content)
                content.read(1)  # checks the checksum at the end


class _Limited(io.BufferedIOBase):
    """A file of which little is read at once: zipfile keeps the whole list of entries in memory."""

    def __init__(self, file: IO[bytes], destination: Destination):
        super().__init__()
        self._file = file
        self._destination = destination
        size = destination.source.stat().st_size
        self._most = max(MAX_DIRECTORY, int(size * DIRECTORY_SHARE))

    def read(self, size: int | None = -1) -> bytes:
        data = self._file.read(
            self._most + 1 if size is None or size < 0 else min(size, self._most + 1)
        )
        if len(data) > self._most:
            raise self._destination.refusal(
                f"has a list of its entries of more than {self._most / 2**20:.0f} MiB"
            )
        return data

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True


def _check_overlaps(entries: list[zipfile.ZipInfo], destination: Destination) -> None:
    """Refuses entries that share their bytes, by which a small archive becomes a large one."""
    end = 0
    for entry in entries:
        if entry.header_offset < end:
            raise destination.error(entry.orig_filename, "which overlaps another entry")
        end = entry.header_offset + _HEADER + entry.compress_size
    if end > destination.source.stat().st_size:
        raise EOFError("the last entry ends early")


def _check(entry: zipfile.ZipInfo, destination: Destination) -> None:
    name = entry.orig_filename
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise destination.error(
            name, "which is a link or a device; only files and folders are unpacked"
        )
    if re.match(r"/|[A-Za-z]:", name):
        raise destination.error(name, "which leaves the archive's folder")
    if "\\" in name or "\0" in name:
        raise destination.error(name, "whose path has other characters than '/' between folders")
    if entry.flag_bits & 1:
        raise destination.error(name, "which is encrypted; remove the password first")
    if entry.compress_type not in METHODS:
        raise destination.error(
            name,
            f"which is compressed by method {entry.compress_type}; only stored, deflated and bzip2 "
            "entries are unpacked",
        )
