"""Depth: how far away every pixel is; and disparity, its inverse."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np

from astmt_jax.metrics.regression import DEPTH_NOTATION, DISPARITY_NOTATION, DepthMetric
from astmt_jax.tasks import averaging, losses
from astmt_jax.tasks.colormaps import colorize_depth
from astmt_jax.tasks.prediction_files import FileFormat, finite
from astmt_jax.tasks.task import Task, metric_choice


def _distance(logits: jax.Array) -> jax.Array:
    return jnp.squeeze(logits, -1).astype(jnp.float32)


def _as_it_is(metres: np.ndarray) -> np.ndarray:
    return metres.astype(np.float32)


DEPTH = FileFormat(1, ".mat", _as_it_is, finite)


def depth(loss_weight: float = 1.0) -> Task:
    """Depth in metres along the optical axis: near is dark in pictures, far bright."""
    return Task(
        name="depth",
        channels=1,
        loss=losses.depth_l1,
        loss_weight=loss_weight,
        predict=_distance,
        geometry="depth",
        metric=functools.partial(DepthMetric, convention="masked"),
        notation=DEPTH_NOTATION,
        headline="rmse",
        file=DEPTH,
        colorize=colorize_depth,
        truth="depth",
        averaging=averaging.NUMBER,
        choices={
            "depth_convention": metric_choice("convention"),
            "min_depth": metric_choice("min_depth"),
            "max_depth": metric_choice("max_depth"),
        },
        color_bar_unit="m",
        title="Depth",
        meaning="How far away everything is: near is dark, far is bright.",
    )


def disparity() -> Task:
    """Disparity, which is inverse to depth and has no unit, for data that measure distance so.

    In pictures far is dark and near bright. There is no other convention to score it by.
    """
    return dataclasses.replace(
        depth(),
        geometry="disparity",
        notation=DISPARITY_NOTATION,
        choices={},
        color_bar_unit="",
        title="Disparity",
        meaning="How near everything is, without a unit: far is dark, near is bright.",
    )
