"""What a network predicts for images, and predictions at another size. Free of TensorFlow."""

import dataclasses
from collections.abc import Sequence

import cv2
import jax
import jax.numpy as jnp
import numpy as np

from astmt_jax.config import NORMALIZATIONS
from astmt_jax.models.network import Network
from astmt_jax.models.variables import Params, Stats, slice_of_task
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


def features(
    network: Network,
    normalize: str,
    params: Params,
    stats: Stats,
    images: jax.Array,
    modulations: jax.Array | np.ndarray,
):
    """The trunk's features of pictures, as `modulated_features` gives them.

    Args:
      network: what predicts.
      normalize: key of `config.NORMALIZATIONS`.
      params: of all tasks.
      stats: of all tasks.
      images: (B, H, W, 3) RGB in 0..255, uint8 or floating point; H and W are multiples of the
        output stride.
      modulations: (M,) int32, numbers of the tasks whose modulations the trunk gets.
    """
    return modulated_features(network, params, stats, scaled(images, normalize), modulations)


def scaled(images: jax.Array, normalize: str) -> jax.Array:
    """Pictures (..., 3) in 0..255 as networks see them that were trained with `normalize`."""
    mean, deviation = (jnp.asarray(value, jnp.float32) for value in NORMALIZATIONS[normalize])
    return (images.astype(jnp.float32) - mean) / deviation


def prediction(
    network: Network,
    params: Params,
    stats: Stats,
    modulated,
    index: jax.Array | int,
    task: Task,
    size: tuple[int, int],
) -> jax.Array:
    """Prediction `(B, *size[, c])` of one task, as its record's `predict` gives it.

    Args:
      network: what predicts.
      params: of all tasks.
      stats: of all tasks.
      modulated: what `features` gave for M modulations.
      index: () int32, which of them the task reads.
      task: its record.
      size: height and width of the pictures.
    """
    return task.predict(logits(network, params, stats, modulated, index, task.name, size))


def logits(
    network: Network,
    params: Params,
    stats: Stats,
    modulated,
    index: jax.Array | int,
    name: str,
    size: tuple[int, int],
) -> jax.Array:
    """Logits `(B, *size, channels)` of the task of that name; otherwise as `prediction`."""
    return network.head_logits(slice_of_task(modulated, index), name, params, stats, size)


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
