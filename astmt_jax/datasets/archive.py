"""Unpacks archives from strangers: nothing is written outside the folder, nothing half-read."""

import contextlib
import fcntl
import gzip
import pathlib
import shutil
import tarfile
import zlib
from collections.abc import Generator

from astmt_jax.datasets.terminal import tracked_file
from astmt_jax.files.folder import Folder

MAX_GROWTH = 100
"""Archives of compressed pictures grow little; one that grows this much is a trap."""

MAX_DEPTH = 4
"""How many folders may lie around the dataset's: some archives hold the whole path to it."""

_SMALL = 10 * 2**30
_GZIP = b"\x1f\x8b"


@contextlib.contextmanager
def opened(
    source: pathlib.Path, marker: str, scratch: pathlib.Path, described: str
) -> Generator[Folder]:
    """Context in which the content of an archive or an unpacked folder can be read.

    Args:
      source: .tgz or .tar file, or folder; never written to.
      marker: a file that the dataset's root folder has; the root is the archive or folder itself or
        a folder in it.
      scratch: a new folder to unpack an archive in; removed afterwards.
      described: what a message calls the dataset that is not found.

    Raises:
      FileNotFoundError: there is no such source.
      ValueError: it is corrupt, unsafe or another dataset.
    """
    if source.is_dir():
        yield Folder(_root(source, marker, source, described), str(source))
        return
    if not source.is_file():
        raise FileNotFoundError(f"{source} does not exist; it should be {described}.")
    scratch.mkdir(parents=True)
    try:
        unpack(source, scratch)
        yield Folder(_root(scratch, marker, source, described), str(source))
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _root(folder: pathlib.Path, marker: str, source: pathlib.Path, described: str) -> pathlib.Path:
    level = [folder]
    for _ in range(1 + MAX_DEPTH):
        for root in level:
            if (root / marker).is_file():
                return root
        level = [inner for outer in level for inner in _folders(outer)]
    raise ValueError(f"{source} has no {marker}, so it is not {described}.")


def _folders(folder: pathlib.Path) -> list[pathlib.Path]:
    """The folders in a folder; none where it may not be read."""
    try:
        return sorted(path for path in folder.iterdir() if path.is_dir())
    except PermissionError:
        return []


def unpack(source: pathlib.Path, folder: pathlib.Path) -> None:
    """Unpacks the files and folders of a .tgz or .tar archive into an empty folder.

    Raises:
      ValueError: the archive is truncated or corrupt, needs too much space, or has an entry that
        would leave the folder or is a link or a device.
    """
    try:
        with open(source, "rb") as file:
            compressed = file.read(2) == _GZIP
        with (
            tracked_file(source, f"{source.name}: unpacking") as file,
            gzip.open(file) if compressed else file as stream,
        ):
            with tarfile.open(fileobj=stream, mode="r|") as archive:
                _unpack_entries(archive, source, folder)
            while stream.read(2**20):  # checks the checksum at the end
                pass
    except (tarfile.ReadError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ValueError(
            f"{source} is truncated or corrupt ({error}); please download it again."
        ) from error


def _unpack_entries(archive: tarfile.TarFile, source: pathlib.Path, folder: pathlib.Path) -> None:
    free = shutil.disk_usage(folder).free
    allowed = max(_SMALL, MAX_GROWTH * source.stat().st_size)
    size = 0
    for entry in archive:
        if not (entry.isfile() or entry.isdir()):
            raise ValueError(
                f"{source} holds {entry.name}, which is a link or a device; only files and folders "
                "are unpacked."
            )
        size += entry.size
        if size > allowed:
            raise ValueError(
                f"{source} would grow to more than {MAX_GROWTH} times its size; it is not unpacked."
            )
        if size > free:
            raise ValueError(
                f"{source} needs more than the {free / 2**30:.1f} GiB free in {folder.parent}."
            )
        try:
            archive.extract(entry, folder, set_attrs=False, filter="data")
        except tarfile.FilterError as error:
            raise ValueError(
                f"{source} holds {entry.name}, which leaves the archive's folder."
            ) from error


@contextlib.contextmanager
def locked(path: pathlib.Path) -> Generator[None]:
    """Context that one process at a time can be in; the lock ends with the process.

    Raises:
      ValueError: another process is in it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ValueError(f"Another preparation is running (it holds {path}).") from error
        yield
