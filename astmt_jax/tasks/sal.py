"""Saliency: what the eye goes to first."""

import dataclasses
import functools

import numpy as np

from astmt_jax.metrics.saliency import HEADLINES, NOTATION, SaliencyMetric
from astmt_jax.tasks import averaging, colormaps, losses, predictions
from astmt_jax.tasks.prediction_files import PROBABILITY
from astmt_jax.tasks.task import Choice, Task


def colorize_saliency(
    values: np.ndarray, value_range: colormaps.ValueRange | None = None
) -> np.ndarray:
    """Saliency labels or probabilities in 0..1: the salient object white on black."""
    return colormaps.grey(values, invert=False)


def _convention(task: Task) -> str:
    """By which the task is scored, see `SaliencyMetric`."""
    return task.metric_setting("convention")


def _under_convention(task: Task, convention: str) -> Task:
    """The task scored by another convention, with the number in front that its users publish."""
    changed = task.with_metric(convention=convention)
    return dataclasses.replace(changed, headline=HEADLINES[convention])


def sal() -> Task:
    """Saliency: probability that a pixel belongs to what the eye goes to first."""
    return Task(
        name="sal",
        channels=1,
        loss=functools.partial(losses.balanced_binary_cross_entropy, positive_weight=None),
        loss_weight=5.0,
        predict=predictions.probability,
        geometry="label",
        metric=functools.partial(SaliencyMetric, convention="astmt"),
        notation=NOTATION,
        headline=HEADLINES["astmt"],
        file=PROBABILITY,
        colorize=colorize_saliency,
        truth="sal",
        averaging=averaging.PROBABILITY,
        choices={"sal_convention": Choice(_convention, _under_convention)},
        title="Saliency",
        meaning="What the eye goes to first: the brighter, the more certain.",
        legend=((0.0, "background"), (0.5, "perhaps"), (1.0, "stands out")),
    )
