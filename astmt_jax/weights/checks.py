"""What every file of weights is checked for, whatever its format, and what is said of it."""

import pathlib
import zipfile
from collections.abc import Iterable

import numpy as np

from astmt_jax.files.messages import one_line
from astmt_jax.records import SHOWN

MAX_BYTES = 3 * 2**28
"""Of a file's tensors together: twice what the paper's largest network takes."""
MAX_TENSORS = 2**16
MAX_PROBLEMS = 5
"""That a message lists."""
ZIP_KINDS = {zipfile.ZIP_STORED: "stored", zipfile.ZIP_DEFLATED: "deflated"}

Tensors = dict[str, np.ndarray]


class WeightsError(ValueError):
    """Weights that cannot be read, or do not fit where they should go; the message says why."""


def check_members(
    path: pathlib.Path, members: list[zipfile.ZipInfo], kinds: tuple[int, ...]
) -> None:
    """Refuses archives that are encrypted, compressed in other ways, or become too large."""
    wanted = " or ".join(ZIP_KINDS[kind] for kind in kinds)
    refuse(
        path,
        (
            f"{member.filename}, which is encrypted or not {wanted}"
            for member in members
            if member.flag_bits & 1 or member.compress_type not in kinds
        ),
    )
    if len(members) > MAX_TENSORS:
        raise WeightsError(
            f"{path} holds {len(members):,} files, but at most {MAX_TENSORS:,} are read."
        )


def check_room(path: pathlib.Path, size: int) -> None:
    if size > MAX_BYTES:
        raise WeightsError(
            f"{path} would take {size:,} bytes of memory, but at most {MAX_BYTES:,} are given to "
            "weights."
        )


def single_bytes(count: int, itemsize: int) -> int:
    """The room of so many numbers, of which halves become single."""
    return count * max(itemsize, 4)


def refuse(path: pathlib.Path, problems: Iterable[str]) -> None:
    """Raises a `WeightsError` that lists the first problems, if there is any."""
    listed = list(problems)
    if listed:
        raise WeightsError(
            f"{path} must hold arrays of numbers, each once, but has {some(listed, '; ')}."
        )


def number_problem(name: str, value: np.ndarray, *, variance: bool) -> str | None:
    """Why a tensor's numbers cannot be weights, or variances; None if they can."""
    if value.dtype.kind != "f":
        return f"wrong type: {name} is {value.dtype}, but must be of floating point"
    if not np.isfinite(value).all():
        return f"not finite: {name} holds {'NaN' if np.isnan(value).any() else 'infinity'}"
    if variance and (value < 0).any():
        return f"negative: {name} is a variance, but holds {value.min():g}"
    return None


def some(items: list[str], separator: str = ", ") -> str:
    """The first of some names, which may be a stranger's."""
    rest = len(items) - MAX_PROBLEMS
    more = f" and {rest} more" if rest > 0 else ""
    return separator.join(one_line(item, SHOWN) for item in items[:MAX_PROBLEMS]) + more


def unreadable(path: pathlib.Path, kind: str, error: Exception) -> WeightsError:
    return WeightsError(
        f"{path} cannot be read as {kind} (damaged, incomplete or of another kind: "
        f"{one_line(error, 200)})."
    )
