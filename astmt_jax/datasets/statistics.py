"""What the labels of a dataset hold: counted while it is prepared, and whether that can be meant.

A file can be sound and still mean something else than its author thinks: masks of 0 and 255 are one
class and 'unknown', depth in millimetres is a thousand times too far. Free of TensorFlow, as
workers count.
"""

import collections
import dataclasses
import math
from collections.abc import Callable, Mapping

import numpy as np

from astmt_jax.files import decoding
from astmt_jax.files.encoding import decode_array
from astmt_jax.labels import IGNORE
from astmt_jax.tasks.task import Task

FAR = 200.0
"""Metres; the middle of no depth that these networks learn is farther."""
HORIZON = 1000.0
"""Metres; what is farther is rather unknown."""
LENGTHS = (0.5, 1.5)
"""What the length of a vector that is meant as a normal lies between."""
_SAMPLE = 2**14
"""Pixels of a map that are looked at where that takes time."""


_COUNTED = (
    *("examples", "files", "labelled", "pixels", "known", "positive", "vectors", "odd_vectors"),
)


@dataclasses.dataclass
class Statistics:
    """Of the maps of one label, of any number of examples.

    Attributes:
      examples: how many there are.
      files: how many of them have a map.
      labelled: how many of these are known somewhere.
      pixels: of all maps.
      known: how many of them are.
      values: class, or level 0..255, to its number of pixels.
      positive: pixels of a class but 0, or of a level from 128 on.
      medians: of the known numbers of each map.
      lowest: of all known numbers.
      highest: of all known numbers.
      vectors: how many known vectors were looked at.
      odd_vectors: how many of these have a length outside of `LENGTHS`.
    """

    examples: int = 0
    files: int = 0
    labelled: int = 0
    pixels: int = 0
    known: int = 0
    positive: int = 0
    values: collections.Counter[int] = dataclasses.field(default_factory=collections.Counter)
    medians: list[float] = dataclasses.field(default_factory=list)
    lowest: float = math.inf
    highest: float = -math.inf
    vectors: int = 0
    odd_vectors: int = 0

    def add(self, other: "Statistics") -> None:
        """Counts the other's examples, too."""
        for name in _COUNTED:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.values.update(other.values)
        self.medians += other.medians
        self.lowest = min(self.lowest, other.lowest)
        self.highest = max(self.highest, other.highest)


def of_map(kind: str, data: bytes | None) -> Statistics:
    """The statistics of one example's map.

    Args:
      kind: of the map, a key of `maps.KINDS`.
      data: as it is stored; None for an example without it.
    """
    found = Statistics(examples=1)
    if data is not None:
        found.files = 1
        _COUNTS.get(kind, _nothing)(data, found)
        found.labelled = int(found.known > 0)
    return found


def of_example(
    kinds: Mapping[str, str], stored: Mapping[str, bytes | None]
) -> dict[str, Statistics]:
    """Label -> statistics of an example's map."""
    return {key: of_map(kind, stored[key]) for key, kind in kinds.items() if key != "image"}


def _nothing(data: bytes, found: Statistics) -> None:
    """Of maps in which everything is known, and can be meant."""
    found.pixels = found.known = 1


def _count_classes(data: bytes, found: Statistics) -> None:
    counts = np.bincount(decode_array(data, "u1", 1).ravel(), minlength=256)
    found.pixels = int(counts.sum())
    found.known = found.pixels - int(counts[IGNORE])
    found.positive = int(counts[1:IGNORE].sum())
    _note_values(found, counts[:IGNORE])


def _count_levels(data: bytes, found: Statistics) -> None:
    counts = np.bincount(decode_array(data, "u1", 1).ravel())
    found.pixels = found.known = int(counts.sum())
    found.positive = int(counts[128:].sum())
    _note_values(found, counts)


def _note_values(found: Statistics, counts: np.ndarray) -> None:
    for value in np.flatnonzero(counts).tolist():
        found.values[value] = int(counts[value])


def _count_numbers(data: bytes, found: Statistics) -> None:
    numbers = decode_array(data, "<f4", 1).ravel()
    known = numbers[numbers > 0]
    found.pixels, found.known = numbers.size, known.size
    if known.size:
        found.lowest, found.highest = float(known.min()), float(known.max())
        found.medians = [float(np.median(known[:: 1 + known.size // _SAMPLE]))]


def _count_codes(codes: np.ndarray, known: np.ndarray, found: Statistics) -> None:
    """Of normals as uint8 (H, W, 3), v = 255 (n + 1) / 2, and where they are known."""
    found.pixels, found.known = known.size, int(np.count_nonzero(known))
    _count_vectors(2 / 255 * _some(codes).astype(np.float32) - 1, _some(known), found)


def _count_vectors(vectors: np.ndarray, known: np.ndarray, found: Statistics) -> None:
    lengths = np.linalg.norm(vectors[known], axis=-1)
    found.vectors = lengths.size
    found.odd_vectors = int(((lengths < LENGTHS[0]) | (lengths > LENGTHS[1])).sum())


def _some(values: np.ndarray) -> np.ndarray:
    """Every so many rows and columns of a large map."""
    step = max(1, math.isqrt(values.shape[0] * values.shape[1] // _SAMPLE))
    return values[::step, ::step]


def _count_normals(data: bytes, found: Statistics) -> None:
    codes = decoding.trained_pixels(data)
    if codes is not None:
        _count_codes(codes, np.ones(codes.shape[:2], bool), found)


def _count_masked_normals(data: bytes, found: Statistics) -> None:
    codes = decode_array(data, "u1", 4)
    _count_codes(codes[..., :3], codes[..., 3] != 0, found)


def _count_unit_vectors(data: bytes, found: Statistics) -> None:
    vectors = decode_array(data, "<f4", 3)
    known = (vectors != 0).any(axis=-1)
    found.pixels, found.known = known.size, int(np.count_nonzero(known))
    _count_vectors(_some(vectors), _some(known), found)


_COUNTS: dict[str, Callable[[bytes, Statistics], None]] = {
    "classes": _count_classes,
    "fraction": _count_levels,
    "values1": _count_numbers,
    "normals": _count_normals,
    "masked_normals": _count_masked_normals,
    "values3": _count_unit_vectors,
}


def described(task: Task, found: Statistics, named: bool = True) -> str:
    """What the labels of a task hold, in one line: classes with shares, or the range of depth.

    Args:
      task: the record.
      found: of its labels.
      named: whether the names of its classes are those of this dataset.
    """
    if found.medians:
        middle = np.median(found.medians)
        return f"{found.lowest:.3g} to {found.highest:.3g} m, median {middle:.3g} m"
    if found.vectors:
        odd = found.odd_vectors / found.vectors
        return f"{odd:.1%} of a length outside {LENGTHS[0]}..{LENGTHS[1]}"
    if not found.values:
        return ""
    if not task.class_names:
        return f"{found.positive / found.known:.2%} positive"
    names = task.class_names if named else ()
    return ", ".join(
        f"{value} {f'{names[value]} ' if value < len(names) else ''}{count / found.known:.1%}"
        for value, count in sorted(found.values.items())
    )


def check(task: Task, found: Statistics, source: str, named: bool = True) -> None:
    """Checks that the labels of a task can be meant.

    Args:
      task: the record.
      found: of its labels.
      source: what the message calls the folder or archive that they are from.
      named: whether the names of its classes are those of this dataset.

    Raises:
      ValueError: they cannot; says what to change.
    """
    tests = (*_TESTS, _is_unnamed) if named else _TESTS
    problem = next((problem for test in tests if (problem := test(task, found))), None)
    if found.files and problem:
        raise ValueError(f"The labels of {source} for {task.name} cannot be meant: {problem}.")


def _is_unknown(task: Task, found: Statistics) -> str | None:
    return None if found.known else "every pixel of every file is unknown"


def _is_one_class(task: Task, found: Statistics) -> str | None:
    if not task.class_names or len(found.values) != 1:
        return None
    ((only, _),) = found.values.items()
    if found.known == found.pixels:
        return f"every pixel of every file is of class {only}; ids are 0, 1, 2 and so on"
    return (
        f"every pixel is of class {only} or {IGNORE}, which is 'unknown'; ids are 0, 1, 2 and so "
        f"on, and masks of 0 and {IGNORE} must become 0 and 1"
    )


def _is_empty(task: Task, found: Statistics) -> str | None:
    if task.class_names or not found.values or found.positive:
        return None
    return (
        f"no pixel of any file is positive, and the highest level is {max(found.values)}; a level "
        "is v / 255, so that masks of 0 and 1 must become 0 and 255"
    )


def _is_too_far(task: Task, found: Statistics) -> str | None:
    middle = np.median(found.medians) if found.medians else 0.0
    if task.geometry != "depth" or middle <= FAR:
        return None
    return (
        f"the median depth is {middle:.4g} m; depth is in metres, and own_data takes millimetres "
        "with --options=depth_unit=0.001"
    )


def _is_no_direction(task: Task, found: Statistics) -> str | None:
    if found.odd_vectors <= 0.2 * found.vectors:
        return None
    return (
        f"{found.odd_vectors / found.vectors:.0%} of the normals have a length outside "
        f"{LENGTHS[0]}..{LENGTHS[1]}; n is 2v / 255 - 1 of a picture, and black, grey (127 or 128) "
        "or 0 in an array where it is unknown"
    )


def _is_unnamed(task: Task, found: Statistics) -> str | None:
    highest = max(found.values, default=0)
    if not task.class_names or highest < len(task.class_names):
        return None
    return (
        f"there is a class {highest}, but the names are those of 0 to {len(task.class_names) - 1}: "
        f"{', '.join(task.class_names)}"
    )


_TESTS = (_is_unknown, _is_one_class, _is_empty, _is_too_far, _is_no_direction)


def doubts(task: Task, found: Statistics, named: bool = True) -> list[str]:
    """What is odd about the labels of a task, and may be meant; arguments of `described`."""
    about = []
    lacking = [name for i, name in enumerate(task.class_names) if not found.values[i]]
    if named and lacking and found.values:
        about.append(f"no pixel of {task.name} is of {', '.join(lacking)}")
    if task.geometry == "depth" and found.highest > HORIZON:
        about.append(f"depth goes up to {found.highest:.4g} m; what is unknown must be 0")
    if found.odd_vectors > 0.01 * found.vectors:
        share = found.odd_vectors / found.vectors
        about.append(
            f"{share:.1%} of the {task.name} have a length outside {LENGTHS[0]}..{LENGTHS[1]}; "
            "where they are unknown a picture must be black or grey (127 or 128)"
        )
    return about
