"""What a run wrote for TensorBoard while it trained."""

import pathlib
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.util import tensor_util


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
    counts.
    """
    events = EventAccumulator(str(workdir), size_guidance={"tensors": 0}).Reload()
    scalars = [
        tag
        for tag in events.Tags()["tensors"]
        if events.SummaryMetadata(tag).plugin_data.plugin_name == "scalars"
    ]
    return {tag: _curve(events.Tensors(tag)) for tag in scalars}


def by_task(curves: Mapping[str, Curve], metric: str) -> dict[str, Curve]:
    """The curves 'METRIC/TASK' by task."""
    return {
        tag.removeprefix(f"{metric}/"): curve
        for tag, curve in curves.items()
        if tag.startswith(f"{metric}/")
    }


def _curve(events: list) -> Curve:
    latest = {}
    for event in sorted(events, key=lambda event: event.wall_time):
        latest[event.step] = float(tensor_util.make_ndarray(event.tensor_proto))
    steps = sorted(latest)
    return Curve(np.array(steps, np.int64), np.array([latest[step] for step in steps]))
