"""Files that are whole or not there, and what a full disk looks like."""

import errno
import json
import math
import pathlib
from collections.abc import Mapping
from typing import Any

_FULL = {errno.ENOSPC, errno.EDQUOT}
_FULL_MESSAGES = ("No space left on device", "Disk quota exceeded")


def write_text(path: pathlib.Path, text: str) -> None:
    """Writes a file as a whole: however the writing ends, the old content or the new one is there.

    Raises:
      OSError: it cannot be written; no part of it is left.
    """
    partial = path.with_suffix(".partial")
    try:
        partial.write_text(text)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


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
