"""Files that are whole or not there, and what a full disk looks like."""

import contextlib
import errno
import json
import math
import os
import pathlib
import secrets
import stat
from collections.abc import Generator, Mapping
from typing import Any, TextIO

_FULL = {errno.ENOSPC, errno.EDQUOT}
_FULL_MESSAGES = ("No space left on device", "Disk quota exceeded")


@contextlib.contextmanager
def whole_file(path: pathlib.Path) -> Generator[pathlib.Path]:
    """Context that gives an empty file to write, which becomes `path` at its end.

    However the writing ends, the old content or the new one is there, and nothing else is left. The
    file lies beside `path`, under a hidden name that nobody can guess, with the same ending, by
    which libraries choose a format. Nothing that lies there already is written to: where `path` is
    a link, the link is replaced, not what it leads to.

    Raises:
      OSError: it cannot be written.
    """
    partial = path.with_name(f".partial-{secrets.token_hex(8)}{path.suffix}")
    try:
        partial.open("xb").close()  # exclusive; with the permissions that every new file has
        try:
            permissions = stat.S_IMODE(partial.stat().st_mode)
            yield partial
            partial.chmod(permissions)  # safetensors puts a file of its own there, a private one
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        if error.filename is None or str(error.filename) != str(partial):
            raise
        # Whoever reads it knows the file by its own name.
        raise OSError(error.errno, error.strerror, str(path)) from error


def appended(path: pathlib.Path) -> TextIO:
    """A file opened to add lines of UTF-8 to, made where there is none.

    A link, a pipe or a device that lies in its place is replaced, not written to.

    Raises:
      OSError: it cannot be opened.
    """
    if path.is_symlink() or (path.exists() and not (path.is_file() or path.is_dir())):
        path.unlink()
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW
    return os.fdopen(os.open(path, flags, 0o666), "a", encoding="utf-8")


def refuse_links(folder: pathlib.Path) -> None:
    """Checks that nothing is written or deleted elsewhere by whoever works in a folder.

    Raises:
      FileExistsError: it, or something in it, is a link.
    """
    inside = (path for path in folder.rglob("*") if path.is_symlink())
    link = folder if folder.is_symlink() else next(inside, None)
    if link is not None:
        raise FileExistsError(
            f"{link} is a link, and what lies behind it could be overwritten: remove it."
        )


def read_regular(path: pathlib.Path, limit: int) -> bytes:
    """The content of a regular file, not of a pipe or a device, of at most `limit` bytes.

    Raises:
      FileNotFoundError: there is no such file.
      OSError: it cannot be opened, or is a folder.
      ValueError: it is no regular file or too large; the message goes on after the file's name.
    """
    with open(path, "rb", opener=_opened_at_once) as file:
        state = os.fstat(file.fileno())
        if not stat.S_ISREG(state.st_mode):
            raise ValueError("is a pipe or a device, but must be a file")
        data = file.read() if state.st_size <= limit else b""
    if max(state.st_size, len(data)) > limit:
        raise ValueError(f"has more than {limit:,} bytes, the most that is read")
    return data


def _opened_at_once(path: str, flags: int) -> int:
    """Opens without waiting for the other end of a pipe."""
    return os.open(path, flags | os.O_NONBLOCK)


def write_text(path: pathlib.Path, text: str) -> None:
    """Writes a text in UTF-8 as a `whole_file`."""
    with whole_file(path) as partial:
        partial.write_text(text, encoding="utf-8")


def write_json(path: pathlib.Path, document: Any) -> None:
    """Writes plain values as a whole, numbers that are undefined (NaN) as null.

    Raises:
      OSError: as `write_text`.
      ValueError: a number is infinite, which JSON cannot hold.
    """
    text = json.dumps(_without_nan(document), indent=2, allow_nan=False)
    write_text(path, text + "\n")


def _without_nan(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def is_disk_full(error: BaseException | None) -> bool:
    """Whether a full disk (or an exhausted quota) is behind an error, of whatever library."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in _FULL:
            return True
        if any(message in str(error) for message in _FULL_MESSAGES):
            return True
        error = error.__cause__ or error.__context__
    return False
