"""Unpacks archives from strangers: nothing is written outside the folder, nothing half-read."""

import contextlib
import os
import pathlib
import shutil
from collections.abc import Generator, Iterator
from typing import BinaryIO

from astmt_jax.datasets import tar_archive, zip_archive
from astmt_jax.datasets.terminal import tracked_file
from astmt_jax.datasets.unpacking import ArchiveError, Destination
from astmt_jax.files.folder import Folder
from astmt_jax.files.messages import as_written, one_line

ENDINGS = ".tar, .tar.gz (.tgz), .tar.bz2, .tar.xz and .zip"
"""Of the archives that are read; what a file is, its content says."""

MAX_GROWTH = 100
"""Archives of compressed pictures grow little; one that grows this much is a trap."""

MAX_DEPTH = 4
"""How many folders may lie around the dataset's: some archives hold the whole path to it."""

MAX_FOLDERS = 10_000
"""In how many of them the dataset is looked for."""

_SMALL = 2**29
_START = 512  # bytes that tell what a file is


@contextlib.contextmanager
def opened(
    source: pathlib.Path, marker: str, scratch: pathlib.Path, described: str
) -> Generator[Folder]:
    """Context in which the content of an archive or an unpacked folder can be read.

    Args:
      source: archive (`ENDINGS`) or folder; never written to.
      marker: a file that the dataset's root folder has; the root is the archive or folder itself or
        a folder in it.
      scratch: a new folder to unpack an archive in; removed afterwards.
      described: what a message calls the dataset that is not found.

    Raises:
      FileNotFoundError: there is no such source.
      ValueError: it is corrupt, unsafe or another dataset.
    """
    name = as_written(str(source))
    if source.is_dir():
        yield Folder(_root(source, marker, name, described), name)
        return
    if not source.exists():
        raise FileNotFoundError(f"{name} does not exist; it should be {described}.")
    if not source.is_file():
        raise ValueError(f"{name} is neither a file nor a folder; it should be {described}.")
    scratch.mkdir(parents=True)
    try:
        unpack(source, scratch)
        yield Folder(_root(scratch, marker, name, described), name)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _root(folder: pathlib.Path, marker: str, source: str, described: str) -> pathlib.Path:
    """The folder that has the marker, the first of those that lie in the fewest folders."""
    level, looked_in = [folder], 0
    for _ in range(1 + MAX_DEPTH):
        for root in level:
            if (root / marker).is_file():
                return root
        looked_in += len(level)
        inner: list[pathlib.Path] = []
        for outer in level:
            inner += _folders(outer)
            if looked_in + len(inner) > MAX_FOLDERS:
                raise ValueError(
                    f"{source} has no {marker} in the first of its more than {MAX_FOLDERS} "
                    f"folders: name the folder that has it, of {described}."
                )
        level = inner
    raise ValueError(f"{source} has no {marker}, so it is not {described}.")


def _folders(folder: pathlib.Path) -> Iterator[pathlib.Path]:
    """The folders in a folder; none where it may not be read."""
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        names = sorted(entry.name for entry in entries if entry.is_dir())
        yield from (folder / name for name in names)


def unpack(source: pathlib.Path, folder: pathlib.Path) -> None:
    """Unpacks the files and folders of an archive (`ENDINGS`) into an empty folder.

    Raises:
      ValueError: the file is no archive, is truncated or corrupt, needs too much space, has too
        many entries, or one that would leave the folder, is a link, a device or encrypted.
    """
    name = as_written(str(source))
    try:
        with tracked_file(source, f"{as_written(source.name)}: unpacking") as file:
            _unpack(file, _destination(source, folder))
    except ArchiveError:
        raise
    except Exception as error:  # decoders raise whatever they like
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise ValueError(
            f"{name} is truncated or corrupt ({one_line(error, 120)}); please download it again."
        ) from error


def _unpack(file: BinaryIO, destination: Destination) -> None:
    """Unpacks a file as what its first bytes say that it is."""
    start = file.read(_START)
    file.seek(0)
    if start.startswith(zip_archive.STARTS):
        zip_archive.unpack_zip(file, destination)
        return
    decompress = tar_archive.decompression(start)
    with decompress(file, destination) if decompress else contextlib.nullcontext(file) as stream:
        first = stream.read(_START)
        if not first:
            raise EOFError("it is empty")
        if not tar_archive.is_tar(first):
            raise ArchiveError(
                f"{as_written(str(destination.source))} is truncated or corrupt, or no archive at "
                f"all: {ENDINGS} are read."
            )
        tar_archive.unpack_tar(first, stream, destination)


def _destination(source: pathlib.Path, folder: pathlib.Path) -> Destination:
    size, free = source.stat().st_size, shutil.disk_usage(folder).free
    growth = f"{MAX_GROWTH} times its size, and {_SMALL / 2**20:.0f} MiB"
    return Destination(source, folder, max(_SMALL, MAX_GROWTH * size), growth, free)
