"""Saliency: what the eye goes to first."""

import functools

import numpy as np

from astmt_jax.metrics.saliency import NOTATION, SaliencyMetric
from astmt_jax.tasks import colormaps, losses, predictions
from astmt_jax.tasks.prediction_files import PROBABILITY
from astmt_jax.tasks.task import Task


def colorize_saliency(
    values: np.ndarray, value_range: colormaps.ValueRange | None = None
) -> np.ndarray:
    """Saliency labels or probabilities in 0..1: the salient object white on black."""
    return colormaps.grey(values, invert=False)


def sal() -> Task:
    """Saliency: probability that a pixel belongs to what the eye goes to first."""
    return Task(
        name="sal",
        channels=1,
        loss=functools.partial(losses.balanced_binary_cross_entropy, positive_weight=None),
        loss_weight=5.0,
        predict=predictions.probability,
        geometry="label",
        metric=SaliencyMetric,
        notation=NOTATION,
        headline="mIoU",
        file=PROBABILITY,
        colorize=colorize_saliency,
        truth="sal",
    )
