"""What a run wrote for TensorBoard while it trained."""

import math
import pathlib
import re
import struct
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
from tensorboard import data_compat
from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader
from tensorboard.compat.proto import event_pb2, types_pb2
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.util import tensor_util

EVENTS = ".tfevents."
TAG = re.compile(r"[\w][\w /.-]{0,99}")
FLOATS = (types_pb2.DT_FLOAT, types_pb2.DT_DOUBLE)

LARGEST = 1e30
"""Numbers from there on are of no training, and figures have no room for them."""
MAX_CURVES = 500
MAX_POINTS = 2**20
MAX_EVENTS = 2**20
MAX_SCALARS_BYTES = 2**20
MAX_RECORD_BYTES = 2**27
"""Pictures are the largest."""
LENGTH = struct.Struct("<Q")
FRAME_BYTES = 16
"""Length and two checksums of a record."""


class Curve(NamedTuple):
    """A number over training.

    Attributes:
      steps: int64 (N,), ascending: batches seen.
      values: float64 (N,).
    """

    steps: np.ndarray
    values: np.ndarray


def read_curves(workdir: pathlib.Path) -> dict[str, Curve]:
    """All scalars in the event files of a folder, by tag, such as 'loss/depth'.

    A run that was interrupted repeats the steps after its last checkpoint: what was written last
    counts. What is damaged, no finite number or no scalar is passed over.

    Raises:
      ValueError: the files hold more than a run writes, naming the limit.
    """
    latest: dict[str, dict[int, tuple[float, float]]] = {}
    scalars = (point for path in _event_files(workdir) for point in _scalars(path))
    for number, (tag, step, time, value) in enumerate(scalars, 1):
        points = latest.setdefault(tag, {})
        if time >= points.get(step, (-math.inf, 0))[0]:
            points[step] = time, value
        if number > MAX_POINTS or len(latest) > MAX_CURVES:
            raise ValueError(
                f"The event files in {workdir} hold more than {MAX_CURVES} curves or "
                f"{MAX_POINTS:,} points: move them elsewhere, and the report does without."
            )
    return {tag: _curve(points) for tag, points in latest.items()}


def by_task(curves: Mapping[str, Curve], metric: str) -> dict[str, Curve]:
    """The curves 'METRIC/TASK' by task."""
    return {
        tag.removeprefix(f"{metric}/"): curve
        for tag, curve in curves.items()
        if tag.startswith(f"{metric}/")
    }


def _curve(points: Mapping[int, tuple[float, float]]) -> Curve:
    steps = sorted(points)
    return Curve(np.array(steps, np.int64), np.array([points[step][1] for step in steps]))


def _event_files(workdir: pathlib.Path) -> list[pathlib.Path]:
    files = sorted(path for path in workdir.iterdir() if EVENTS in path.name and path.is_file())
    for path in files:
        if not _has_sound_records(path):
            raise ValueError(
                f"{path} has records of more than {MAX_RECORD_BYTES:,} bytes, or more than "
                f"{MAX_EVENTS:,} of them, which no run writes: move it elsewhere."
            )
    return files


def _has_sound_records(path: pathlib.Path) -> bool:
    """Whether a file can be read without harm, by the lengths that its records claim to have."""
    size, position = path.stat().st_size, 0
    with path.open("rb") as file:
        for _ in range(MAX_EVENTS):
            header = file.read(LENGTH.size)
            if position >= size or len(header) < LENGTH.size:
                return True
            (length,) = LENGTH.unpack(header)
            if length > MAX_RECORD_BYTES:
                return False
            position += length + FRAME_BYTES
            file.seek(position)
    return False


def _scalars(path: pathlib.Path) -> Iterator[tuple[str, int, float, float]]:
    """Tag, step, time and value of the scalars in a file, in the order of writing."""
    with_scalars: dict[str, bool] = {}  # only the first value of a tag says what it is
    for record in RawEventFileLoader(str(path)).Load():
        if len(record) > MAX_SCALARS_BYTES:
            continue  # pictures
        try:
            event = data_compat.migrate_event(event_pb2.Event.FromString(record))
        except Exception:  # of a stranger's bytes: each part of the migration has its own errors
            return
        for value in event.summary.value:
            kind = value.metadata.plugin_data.plugin_name
            if with_scalars.setdefault(value.tag, kind == "scalars"):
                number = _number(value.tensor)
                if number is not None and TAG.fullmatch(value.tag):
                    yield value.tag, event.step, event.wall_time, number


def _number(tensor: TensorProto) -> float | None:
    """A tensor's only value; None where it has others, or one that cannot be drawn."""
    if tensor.tensor_shape.dim or tensor.dtype not in FLOATS:
        return None
    try:
        number = float(tensor_util.make_ndarray(tensor))
    except (ValueError, TypeError):
        return None
    return number if abs(number) < LARGEST else None
