"""Locks between processes that say who holds them, and end with the process that does."""

import contextlib
import datetime
import errno
import fcntl
import os
import pathlib
import shlex
import socket
import stat
import sys
from collections.abc import Callable, Generator

from astmt_jax.files.messages import as_written

_NOTE_BYTES = 1000
_UNSUPPORTED = {errno.ENOSYS, errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP}


@contextlib.contextmanager
def exclusive(path: pathlib.Path, told: Callable[[str], None]) -> Generator[None]:
    """Context that one process at a time can be in; on file systems without locks, any number.

    The file says who is in it, and is removed at the end. What lies in its place is not followed: a
    link or a pipe is removed, and so is what a process left that was killed.

    Args:
      path: of the lock, in a folder that exists.
      told: what to do if another process is in it, with who that is, such as 'process 7 on host
        since 2026-01-31 12:00:00+00:00 (python -m ...)'. Returns to wait, or raises.

    Raises:
      OSError: the file cannot be opened.
    """
    descriptor = _acquired(path, told)
    try:
        with contextlib.suppress(OSError):  # a full disk is told by whoever writes more than this
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, _this_process().encode(errors="replace")[:_NOTE_BYTES], 0)
        yield
    finally:
        with contextlib.suppress(OSError):
            if _is_at(descriptor, path):
                path.unlink()
        os.close(descriptor)


def _acquired(path: pathlib.Path, told: Callable[[str], None]) -> int:
    """A descriptor of the file with the lock."""
    while True:
        descriptor = _opened(path)
        try:
            _lock(descriptor, told)
            if _is_at(descriptor, path):  # who held it has removed it otherwise
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _opened(path: pathlib.Path) -> int:
    """A descriptor of a regular file that has no other name."""
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    while True:
        try:
            descriptor = os.open(path, flags, 0o666)
        except OSError as error:
            if error.errno != errno.ELOOP:
                raise
            path.unlink(missing_ok=True)
            continue
        status = os.fstat(descriptor)
        if stat.S_ISREG(status.st_mode) and status.st_nlink <= 1:
            return descriptor
        os.close(descriptor)
        path.unlink(missing_ok=True)


def _lock(descriptor: int, told: Callable[[str], None]) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        note = os.pread(descriptor, _NOTE_BYTES, 0).decode(errors="replace")
        told(as_written(note, _NOTE_BYTES) or "another process")
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise


def _is_at(descriptor: int, path: pathlib.Path) -> bool:
    """Whether the file still lies there."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.lstat(path))
    except FileNotFoundError:
        return False


def _this_process() -> str:
    since = datetime.datetime.now().astimezone().isoformat(sep=" ", timespec="seconds")
    command = as_written(shlex.join(sys.orig_argv), 300)
    return f"process {os.getpid()} on {socket.gethostname()} since {since} ({command})"
