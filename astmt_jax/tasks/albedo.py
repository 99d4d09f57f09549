"""Albedo: the colour that every pixel's surface has of itself."""

import jax
import jax.numpy as jnp
import numpy as np

from astmt_jax.labels import IGNORE
from astmt_jax.metrics.regression import ALBEDO_NOTATION, AlbedoMetric
from astmt_jax.tasks import averaging, colormaps, losses
from astmt_jax.tasks.prediction_files import FileFormat, from_levels, to_levels
from astmt_jax.tasks.task import Task

ALBEDO = FileFormat(3, ".png", to_levels, from_levels, "rgb")


def _reflectance(logits: jax.Array) -> jax.Array:
    return jnp.clip(logits.astype(jnp.float32), 0.0, 1.0)


def colorize_albedo(
    values: np.ndarray, value_range: colormaps.ValueRange | None = None
) -> np.ndarray:
    """Reflectance (H, W, 3) in 0..1 as it is."""
    values = colormaps.vectors(values)
    colors = colormaps.to_bytes(values)
    colors[(values == IGNORE).all(-1)] = colormaps.VOID_COLOR
    return colors


def albedo() -> Task:
    """Reflectance in 0..1 per colour channel: the picture without light and shadow."""
    return Task(
        name="albedo",
        channels=3,
        loss=losses.albedo_l1,
        loss_weight=1.0,
        predict=_reflectance,
        geometry="linear",
        metric=AlbedoMetric,
        notation=ALBEDO_NOTATION,
        headline="rmse",
        file=ALBEDO,
        colorize=colorize_albedo,
        truth="albedo",
        averaging=averaging.Averaging(_reflectance, np.asarray),
        title="Albedo",
        meaning="The colour that every surface has of itself, without light and shadow.",
    )
