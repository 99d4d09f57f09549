"""What a network predicts for every image of a split, at the image's own resolution."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import cv2
import jax
import numpy as np

from astmt_jax.models.network import Network, Params, Stats, slice_of_task
from astmt_jax.pipeline.batches import Share, eval_batches
from astmt_jax.pipeline.settings import InputSettings
from astmt_jax.pipeline.source import Source
from astmt_jax.pipeline.transfer import to_global, to_local
from astmt_jax.tasks.task import Task

Predict = Callable[[jax.Array], dict[str, jax.Array]]


class Predicted(NamedTuple):
    """One image with its truths and predictions.

    Attributes:
      name: unique in the split.
      image: uint8 (H, W, 3).
      truths: label name -> map (H, W, c) after the ignore rules, those of `Task.truth` included.
      predictions: task name -> (H, W[, 3]), as the tasks' `predict` gives them.
    """

    name: str
    image: np.ndarray
    truths: dict[str, np.ndarray]
    predictions: dict[str, np.ndarray]


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


def predictions(
    tasks: Sequence[Task],
    predict: Predict,
    source: Source,
    settings: InputSettings,
    sharding: jax.sharding.NamedSharding,
) -> Iterator[Predicted]:
    """Iterates over this process's share of all images of `source` in order, each once.

    The processes' shares are those of `batches.eval_shares`; all iterate together.

    Args:
      tasks: whose labels are read.
      predict: images (B, S, S, 3) to predictions, such as `predictor` makes, with variables.
      source: the split.
      settings: of the network's input.
      sharding: of the batches.
    """
    for batch in eval_batches(source, tasks, settings, Share.of_this_process()):
        outputs = to_local(predict(to_global(batch.images, sharding)), sharding)
        for position, (name, image, truths) in enumerate(
            zip(batch.names, batch.originals, batch.truths, strict=True)
        ):
            resized = {
                task: resize_prediction(output[position], image.shape[:2])
                for task, output in outputs.items()
            }
            yield Predicted(name, image, truths, resized)


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
