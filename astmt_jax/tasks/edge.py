"""Boundaries: where one thing, or one surface, ends and another begins."""

import dataclasses
import functools
from typing import Any

import numpy as np

from astmt_jax.metrics import edges
from astmt_jax.metrics.edge_protocols import PROTOCOLS
from astmt_jax.metrics.true_edges import annotators_edges, edge_map
from astmt_jax.tasks import averaging, colormaps, losses, predictions
from astmt_jax.tasks.prediction_files import PROBABILITY, from_levels
from astmt_jax.tasks.task import Choice, Task

TRUTHS = {"edges": edge_map}
"""Values of `EvaluationConfig.edge_truth` -> what makes edges of the task's own labels, to compare
with: 'edges' are the labels, thinned, and nothing else."""


def _at_pixels(ucm2: np.ndarray) -> np.ndarray:
    """The strengths at pixels of an ultrametric contour map of double size, (2H + 1, 2W + 1)."""
    if ucm2.ndim != 2 or min(ucm2.shape) < 3 or not all(side % 2 for side in ucm2.shape):
        raise ValueError(f"holds ucm2 {ucm2.shape}, but it must be (2H + 1, 2W + 1)")
    return ucm2[2::2, 2::2]


def _as_it_is(pb: np.ndarray) -> np.ndarray:
    return pb


def _strength(values: np.ndarray) -> np.ndarray:
    """As `from_levels`, but levels and floats of 64 bits in 64 bits: thresholds may lie on them."""
    checked = from_levels(values)
    if values.dtype == np.uint8:
        return values / 255
    is_wide = values.dtype.kind == "f" and values.dtype.itemsize == np.float64().itemsize
    return np.clip(values.astype(np.float64), 0, 1) if is_wide else checked


EDGE = dataclasses.replace(
    PROBABILITY, decode=_strength, variables={"pb": _as_it_is, "ucm2": _at_pixels}
)
"""`pb` and `ucm2` are what the benchmark of BSDS500 and its own detectors call their maps."""


def colorize_edges(
    values: np.ndarray, value_range: colormaps.ValueRange | None = None
) -> np.ndarray:
    """Edge labels or probabilities in 0..1: dark lines on white."""
    return colormaps.grey(values, invert=True)


def _with_protocol(task: Task, protocol: str) -> Task:
    """The task under another protocol; the form of the truth stays.

    Raises:
      ValueError: the protocol compares with several truths an image, and the task has one.
    """
    several = PROTOCOLS[protocol].true_edges is annotators_edges
    if several and _true_edges(task) is not annotators_edges:
        others = [name for name, it in PROTOCOLS.items() if it.true_edges is not annotators_edges]
        raise ValueError(
            f"edge_protocol is {protocol!r}, but that benchmark compares with what several "
            f"annotators drew, and the dataset has one truth an image: choose {', '.join(others)}."
        )
    return task.with_metric(protocol=protocol)


def _true_edges(task: Task) -> Any:
    """What makes edges of a task's truth."""
    return task.metric_setting("true_edges")


def _truth(task: Task) -> str:
    """The key of `TRUTHS` that the task is compared with; 'default' for the dataset's own."""
    if task.truth != task.name:
        return "default"
    made_by = _true_edges(task)
    return next((name for name, it in TRUTHS.items() if it == made_by), "default")


def _compared_with(task: Task, choice: str) -> Task:
    """The task compared with another truth, a key of `TRUTHS`."""
    return dataclasses.replace(task.with_metric(true_edges=TRUTHS[choice]), truth=task.name)


def edge(positive_weight: float = 0.95, protocol: str = "pascal", truth: str = "label_map") -> Task:
    """Boundaries.

    Args:
      positive_weight: weighs boundary pixels in the balanced loss, in [0, 1].
      protocol: key of `metrics.edge_protocols.PROTOCOLS`; its `true_edges` stays when the metric is
        made for another protocol, as it belongs to the form of the truth.
      truth: key of the map that `true_edges` makes edges of.
    """
    return Task(
        name="edge",
        channels=1,
        loss=functools.partial(
            losses.balanced_binary_cross_entropy, positive_weight=positive_weight
        ),
        loss_weight=50.0,
        predict=predictions.probability,
        geometry="label",
        metric=functools.partial(
            edges.edge_metric,
            protocol=protocol,
            true_edges=PROTOCOLS[protocol].true_edges,
        ),
        notation=edges.NOTATION,
        headline="odsF",
        file=EDGE,
        colorize=colorize_edges,
        truth=truth,
        averaging=averaging.PROBABILITY,
        choices={
            "edge_protocol": Choice(lambda task: task.metric_setting("protocol"), _with_protocol),
            "edge_truth": Choice(_truth, _compared_with),
        },
        title="Edges",
        meaning="Where one thing ends and another begins: the darker, the more certain.",
        legend=((0.0, "no edge"), (0.5, "perhaps"), (1.0, "edge")),
    )
