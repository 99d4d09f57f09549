"""What a network predicts for every image of a split, at the image's own resolution."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import jax
import numpy as np

from astmt_jax.evaluation.predictor import resize_prediction
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
