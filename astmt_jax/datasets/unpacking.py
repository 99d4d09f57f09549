"""Where the entries of an archive go: inside one folder, and not more than there may be."""

import dataclasses
import os
import pathlib
import re
from typing import IO

from astmt_jax.files.messages import as_written

MAX_PATH_DEPTH = 64
"""How many folders a file may lie in."""

MANY = 4_000
"""Entries that any archive may have."""

BYTES_PER_ENTRY = 256
"""Those of a larger number of entries, on average; the smallest pictures have more."""

_MAX_NAME = 255  # bytes, by file systems
_PIECE = 2**20


class ArchiveError(ValueError):
    """What an archive holds is not unpacked; one sentence."""


@dataclasses.dataclass
class Destination:
    """An empty folder that takes the entries of one archive.

    All methods raise an `ArchiveError` about what is not unpacked.

    Attributes:
      source: the archive.
      folder: takes the entries.
      max_bytes: how much the archive may unpack to.
      growth: what `max_bytes` is, for messages.
      free: bytes on the disk of the folder.
    """

    source: pathlib.Path
    folder: pathlib.Path
    max_bytes: int
    growth: str
    free: int

    def __post_init__(self):
        self._size = self.source.stat().st_size
        self._bytes = 0
        self._entries = 0

    def make_folder(self, name: str) -> None:
        """Makes a folder, and those around it."""
        self._count()
        self._make_folders(self._parts(name), name)

    def write_file(self, name: str, size: int, content: IO[bytes]) -> None:
        """Writes a file, and makes the folders around it.

        Args:
          name: its path in the archive.
          size: its number of bytes.
          content: what they are read from; whatever reading raises is not caught.
        """
        self._count()
        if size < 0:
            raise self.error(name, f"of {size} bytes")
        self._spend(size)
        parts = self._parts(name)
        if not parts:
            raise self.error(name, "which is no name of a file")
        self._make_folders(parts[:-1], name)
        path = self.folder.joinpath(*parts)
        if path.is_dir():
            raise self._both(name)
        left = size
        with open(path, "wb") as file:
            while left:
                piece = content.read(min(left, _PIECE))
                if not piece:
                    raise EOFError("an entry ends early")
                file.write(piece)
                left -= len(piece)

    def refusal(self, problem: str) -> ArchiveError:
        """The error to raise about the whole archive."""
        return ArchiveError(f"{as_written(str(self.source))} {problem}; it is not unpacked.")

    def error(self, name: str, problem: str) -> ArchiveError:
        """The error to raise about an entry."""
        return ArchiveError(f"{as_written(str(self.source))} holds {as_written(name)}, {problem}.")

    def _both(self, name: str) -> ArchiveError:
        return self.error(name, "where a file and a folder have the same name")

    def _count(self) -> None:
        self._entries += 1
        allowed = max(MANY, min(self._size, self._bytes) // BYTES_PER_ENTRY)
        if self._entries > allowed:
            raise self.refusal(
                f"has more than {MANY} entries, and more than one for {BYTES_PER_ENTRY} of its "
                "bytes"
            )

    def _spend(self, size: int) -> None:
        self._bytes += size
        if self._bytes > self.max_bytes:
            raise self.refusal(f"would grow to more than {self.growth}")
        if self._bytes > self.free:
            raise self.refusal(
                f"needs more than the {self.free / 2**30:.1f} GiB free in "
                f"{as_written(str(self.folder.parent))}"
            )

    def _parts(self, name: str) -> list[str]:
        """The folders and the name of an entry; those of an absolute path begin below the root."""
        parts = [part for part in name.split("/") if part not in ("", ".")]
        if ".." in parts:
            raise self.error(name, "which leaves the archive's folder")
        if len(parts) > MAX_PATH_DEPTH + 1:
            raise self.error(name, f"which lies in more than {MAX_PATH_DEPTH} folders")
        for part in parts:
            if re.search("[\0\ud800-\udc7f\udd00-\udfff]", part):
                raise self.error(name, "which no file can be called")
            if len(os.fsencode(part)) > _MAX_NAME:
                raise self.error(name, f"whose name has more than {_MAX_NAME} bytes")
        return parts

    def _make_folders(self, parts: list[str], name: str) -> None:
        path = self.folder
        for part in parts:
            path /= part
            try:
                path.mkdir()
            except FileExistsError:
                if not path.is_dir():
                    raise self._both(name) from None
            else:
                self._count()
