"""What a network predicts for images, and predictions at another size. Free of TensorFlow."""

import dataclasses
from collections.abc import Sequence

import cv2
import jax
import numpy as np

from astmt_jax.models.network import Network, Params, Stats, slice_of_task
from astmt_jax.tasks.task import Task


def predictor(network: Network, tasks: Sequence[Task]) -> jax.stages.Wrapped:
    """Jitted function from variables and images (B, S, S, 3) to every task's prediction.

    Predictions are what the task records' `predict` gives, at the images' resolution:
    (B, S, S) or (B, S, S, c).
    """

    @jax.jit
    def predict(params, stats, images):
        logits = network.all_logits(params, stats, images)
        return {task.name: task.predict(logits[task.name]) for task in tasks}

    return predict


def modulated_features(
    network: Network,
    params: Params,
    stats: Stats,
    images: jax.Array,
    modulations: jax.Array | np.ndarray,
):
    """The trunk's features with the modulation of each of some tasks.

    Args:
      network: what predicts.
      params: of all tasks.
      stats: of all tasks.
      images: (B, H, W, 3) float32, scaled as the network was trained.
      modulations: (M,) int32, numbers of tasks; may be traced, so that one compiled program does
        for all of them.

    Returns:
      The features (see `models.network.Trunk`) with a leading axis M.
    """

    def run(task_params, task_stats):
        return network.task_features(
            dataclasses.replace(params, task=task_params),
            dataclasses.replace(stats, task=task_stats),
            images,
            train=False,
        )[0]

    chosen = slice_of_task((params.task, stats.task), modulations)
    return jax.vmap(run, axis_size=len(modulations))(*chosen)


def resize_prediction(prediction: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resizes (H, W[, c]) to `size` = (h, w): class ids by nearest neighbour, the rest linearly."""
    if prediction.shape[:2] == tuple(size):
        return prediction
    if np.issubdtype(prediction.dtype, np.integer):
        ids = prediction.astype(np.int32)  # a type that OpenCV takes
        resized = cv2.resize(ids, tuple(size)[::-1], interpolation=cv2.INTER_NEAREST_EXACT)
        return resized.astype(prediction.dtype)
    return cv2.resize(prediction, tuple(size)[::-1], interpolation=cv2.INTER_LINEAR)


def resize_task_prediction(task: Task, prediction: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """As `resize_prediction`, and what has unit length keeps it."""
    resized = resize_prediction(prediction, size)
    if not task.unit_length or resized is prediction:
        return resized
    length = np.linalg.norm(resized, axis=-1, keepdims=True)
    return resized / np.maximum(length, 1e-12)
