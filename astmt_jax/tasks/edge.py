"""Boundaries: where one thing, or one surface, ends and another begins."""

import dataclasses
import functools
from typing import Any

import numpy as np

from astmt_jax.metrics import edges
from astmt_jax.tasks import colormaps, losses, predictions
from astmt_jax.tasks.prediction_files import PROBABILITY
from astmt_jax.tasks.task import Choice, Task

TRUTHS = {"edges": ("edge", edges.edge_map)}
"""Values of `EvaluationConfig.edge_truth` -> key of the map to compare with, and what makes edges
of it: 'edges' are the edge labels, thinned, and nothing else."""


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
    several = edges.annotators_edges
    if edges.PROTOCOLS[protocol].true_edges is several and _true_edges(task) is not several:
        others = [name for name, it in edges.PROTOCOLS.items() if it.true_edges is not several]
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
    found = (task.truth, _true_edges(task))
    return next((name for name, truth in TRUTHS.items() if truth == found), "default")


def _compared_with(task: Task, choice: str) -> Task:
    """The task compared with another truth, a key of `TRUTHS`."""
    truth, true_edges = TRUTHS[choice]
    return dataclasses.replace(task.with_metric(true_edges=true_edges), truth=truth)


def edge(positive_weight: float = 0.95, protocol: str = "pascal", truth: str = "label_map") -> Task:
    """Boundaries.

    Args:
      positive_weight: weighs boundary pixels in the balanced loss, in [0, 1].
      protocol: key of `metrics.edges.PROTOCOLS`; its `true_edges` stays when the metric is made for
        another protocol, as it belongs to the form of the truth.
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
            true_edges=edges.PROTOCOLS[protocol].true_edges,
        ),
        notation=edges.NOTATION,
        headline="odsF",
        file=PROBABILITY,
        colorize=colorize_edges,
        truth=truth,
        choices={
            "edge_protocol": Choice(lambda task: task.metric_setting("protocol"), _with_protocol),
            "edge_truth": Choice(_truth, _compared_with),
        },
    )
