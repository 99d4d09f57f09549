"""Scores a network on a split: every example once, at its own resolution."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import cv2
import jax
import numpy as np
from rich.progress import track

from astmt_jax import pipeline
from astmt_jax.labels import IGNORE
from astmt_jax.models.network import Network, Params, Stats
from astmt_jax.progress import CONSOLE
from astmt_jax.source import Source
from astmt_jax.tasks import Task


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """Scores of one split.

    Attributes:
      results: task name -> metric -> value.
      rows: examples for `visualize.panels`.
    """

    results: dict[str, dict[str, float]]
    rows: list[dict[str, Any]]


def predictor(network: Network) -> Callable[[Params, Stats, jax.Array], dict[str, jax.Array]]:
    """Jitted function from variables and images (B, S, S, 3) to every task's prediction.

    Predictions are what the task records' `predict` gives, at the images' resolution:
    (B, S, S) or (B, S, S, c).
    """

    @jax.jit
    def predict(params, stats, images):
        logits = network.predict_all(params, stats, images)
        return {task.name: task.predict(logits[task.name]) for task in network.tasks}

    return predict


def evaluate(
    network: Network,
    params: Params,
    stats: Stats,
    source: Source,
    *,
    batch_size: int,
    image_size: int,
    normalize: str,
    resize: str = "linear",
    sharding: jax.sharding.NamedSharding,
    num_rows: int = 0,
    num_threads: int | None = None,
    predict: Callable | None = None,
) -> Evaluation:
    """Scores all tasks on all examples of `source`.

    Args:
      network: its tasks' metrics are computed.
      params: trained variables.
      stats: running statistics.
      source: the split.
      batch_size: images a batch over all devices.
      image_size: side of the images that the network sees.
      normalize: scaling of the input, a key of `pipeline.NORMALIZATIONS`.
      resize: of the images, a key of `augment.RESIZES`.
      sharding: of the batches.
      num_rows: how many examples, evenly spaced over the split, to keep for a picture.
      num_threads: of the input pipeline.
      predict: what `predictor(network)` gave, to compile it only once.
    """
    predict = predict or predictor(network)
    metrics = {task.name: task.metric() for task in network.tasks}
    kept = set(np.linspace(0, source.length, num_rows, endpoint=False).astype(int))
    batches = pipeline.eval_batches(
        source,
        network.tasks,
        batch_size=batch_size,
        image_size=image_size,
        normalize=normalize,
        resize=resize,
        num_threads=num_threads,
    )
    rows, index = [], 0
    total = -(-source.length // batch_size)
    description = f"Evaluating {source.name}"
    for batch in track(batches, description, total=total, console=CONSOLE):
        images = pipeline.to_global(batch.images, sharding)
        outputs = jax.device_get(predict(params, stats, images))
        for position, (name, original, truths) in enumerate(
            zip(batch.names, batch.originals, batch.truths, strict=True)
        ):
            predictions = {
                key: resize_prediction(value[position], original.shape[:2])
                for key, value in outputs.items()
            }
            _score(metrics, network.tasks, predictions, truths)
            if index in kept:
                shown = {task.name: truths[task.name] for task in network.tasks}
                rows.append(
                    {"image": original, "name": name, "predictions": predictions, "truths": shown}
                )
            index += 1
    return Evaluation({name: metric.result() for name, metric in metrics.items()}, rows)


def resize_prediction(prediction: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resizes (H, W[, c]) to `size` = (h, w): class ids by nearest neighbour, the rest linearly."""
    if prediction.shape[:2] == tuple(size):
        return prediction
    classes = np.issubdtype(prediction.dtype, np.integer)
    interpolation = cv2.INTER_NEAREST_EXACT if classes else cv2.INTER_LINEAR
    return cv2.resize(prediction, tuple(size)[::-1], interpolation=interpolation)


def _score(
    metrics: Mapping[str, Any],
    tasks: Sequence[Task],
    predictions: Mapping[str, np.ndarray],
    truths: Mapping[str, np.ndarray],
) -> None:
    for task in tasks:
        if (truths[task.name] == IGNORE).all():
            continue  # an example without a label for this task
        truth = truths[task.truth]
        plane = truth[..., 0] if truth.shape[-1] == 1 else truth
        metrics[task.name].add(predictions[task.name], plane)
