"""Surface normals: which way the surface at every pixel faces."""

import jax
import jax.numpy as jnp
import numpy as np

from astmt_jax.labels import IGNORE
from astmt_jax.metrics.normals import NOTATION, NormalsMetric
from astmt_jax.tasks import averaging, colormaps, losses
from astmt_jax.tasks.prediction_files import FileFormat, finite
from astmt_jax.tasks.task import Task

INVALID_NORMAL_COLOR = (80, 80, 80)


def _unit_vectors(logits: jax.Array) -> jax.Array:
    logits = logits.astype(jnp.float32)
    return logits / (jnp.linalg.norm(logits, axis=-1, keepdims=True) + 1e-12)


def _mean_direction(mean: np.ndarray) -> np.ndarray:
    length = np.sqrt((mean * mean).sum(axis=-1, keepdims=True))
    return mean / (length + np.float32(1e-12))


def _mirrored(normals: np.ndarray) -> np.ndarray:
    """What faces left faces right."""
    return normals * np.array([-1, 1, 1], normals.dtype)


def _to_levels(normals: np.ndarray) -> np.ndarray:
    return np.clip((normals + 1) * 255 / 2, 0, 255).astype(np.uint8)


def _from_levels(values: np.ndarray) -> np.ndarray:
    """Vectors from 8-bit levels, or as they are."""
    if values.dtype == np.uint8:
        return 2 * (values.astype(np.float32) / np.float32(255)) - 1
    return finite(values)


NORMALS = FileFormat(3, ".png", _to_levels, _from_levels, "rgb")


def colorize_normals(
    values: np.ndarray, value_range: colormaps.ValueRange | None = None
) -> np.ndarray:
    """Unit vectors (H, W, 3): x, y, z from -1..1 to red, green, blue; invalid (0 or 255) grey."""
    values = colormaps.vectors(values)
    invalid = (values == 0).all(-1) | (values == IGNORE).all(-1)
    colors = colormaps.to_bytes((values + 1) / 2)
    colors[invalid] = INVALID_NORMAL_COLOR
    return colors


def normals() -> Task:
    """Surface normals: unit vectors in camera axes, x right, y down, z towards the camera."""
    return Task(
        name="normals",
        channels=3,
        loss=losses.normals_l1,
        loss_weight=10.0,
        predict=_unit_vectors,
        geometry="normals",
        metric=NormalsMetric,
        notation=NOTATION,
        headline="mean",
        file=NORMALS,
        colorize=colorize_normals,
        truth="normals",
        unit_length=True,
        averaging=averaging.Averaging(_unit_vectors, _mean_direction, _mirrored),
        title="Surface normals",
        meaning="Which way every surface faces, as seen from the camera.",
        legend=(
            ((0, 0, 1), "to the camera"),
            ((-1, 0, 0), "left"),
            ((1, 0, 0), "right"),
            ((0, -1, 0), "up"),
            ((0, 1, 0), "down"),
        ),
    )
