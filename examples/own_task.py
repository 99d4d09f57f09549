"""A task of one's own: reflectance edges, where the paint changes and not the light.

    astmt train --config=scenes:tasks=all+reflectance_edge --config.plugins=examples/own_task.py

A task is one record, `Task`. The truth is made of what `scenes` stores: the albedo.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax

from astmt_jax.datasets.registry import add_task
from astmt_jax.metrics.notation import percent
from astmt_jax.tasks.prediction_files import FileFormat, from_levels, to_levels
from astmt_jax.tasks.task import Task

UNKNOWN = 255  # in labels: pixels that neither loss nor metric may count
STEP = 0.08  # of the albedo between neighbours, above which there is an edge


def label(albedo: np.ndarray) -> np.ndarray:
    """Albedo (H, W, 3) in 0..1 to edges: uint8 (H, W, 1), 1 where the next pixel is of another."""
    below = np.abs(np.diff(albedo, axis=0, append=albedo[-1:])).max(-1, keepdims=True)
    right = np.abs(np.diff(albedo, axis=1, append=albedo[:, -1:])).max(-1, keepdims=True)
    return ((below > STEP) | (right > STEP)).astype(np.uint8)


def loss(logits, labels, whole_labels=None) -> jax.Array:
    """Cross-entropy; edges count eight times. `labels` may be a part of a batch's, the whole."""
    whole = labels if whole_labels is None else whole_labels
    weights = jnp.where(labels == UNKNOWN, 0.0, jnp.where(labels == 1, 8.0, 1.0))
    each = optax.sigmoid_binary_cross_entropy(logits, labels == 1)
    return (weights * each).sum() / jnp.maximum((whole != UNKNOWN).sum(), 1)


class FMeasure:
    """Counts pixels of all images: F-measure of those whose probability is a half or more."""

    def __init__(self):
        self.counts = np.zeros(3, np.int64)  # right, predicted, true

    def add(self, prediction: np.ndarray, truth: np.ndarray) -> None:
        edges, true = (prediction >= 0.5) & (truth != UNKNOWN), truth == 1
        self.counts += [(edges & true).sum(), edges.sum(), true.sum()]

    def merge(self, other: "FMeasure") -> None:
        self.counts += other.counts

    def result(self) -> dict[str, float]:
        right, predicted, true = self.counts.tolist()
        return {"F": 2 * right / (predicted + true) if predicted + true else float("nan")}

    def details(self) -> dict[str, list[int]]:
        return {"right_predicted_true": self.counts.tolist()}


def colorize(values: np.ndarray, value_range=None) -> np.ndarray:
    """Labels or probabilities (H, W[, 1]) to uint8 (H, W, 3): red lines on white, grey unknown."""
    edges = values.reshape(*values.shape[:2], 1).astype(np.float32)
    colors = 255 - edges.clip(0, 1) * np.float32([55, 235, 215])
    return np.where(edges == UNKNOWN, 128, colors).astype(np.uint8)


REFLECTANCE_EDGE = Task(
    name="reflectance_edge",
    channels=1,
    loss=loss,
    loss_weight=2.0,
    predict=lambda logits: jax.nn.sigmoid(logits[..., 0].astype(jnp.float32)),
    geometry="framed",  # nearest neighbour; unknown where a rotation leaves the picture
    metric=FMeasure,
    notation={"F": percent("F-measure")},
    headline="F",
    file=FileFormat(1, ".png", to_levels, from_levels),
    colorize=colorize,
    truth="reflectance_edge",
)
add_task("scenes", REFLECTANCE_EDGE, inputs=("albedo",), label=label)
