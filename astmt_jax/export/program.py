"""What is exported: the computation from pictures to predictions, with the variables in it."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from astmt_jax.evaluation.predictor import features, prediction, scaled
from astmt_jax.trained_model import Model

ALL_TASKS = "all"
Program = Callable[[jax.Array], dict[str, jax.Array]]
"""Pictures (B, H, W, 3) float32 to predictions by task."""


def program(model: Model, tasks: Sequence[str]) -> Program:
    """The computation from pictures to predictions.

    Its argument is (B, H, W, 3) float32 RGB in 0..255, where H and W are multiples of the output
    stride; its result is a dict from task to predictions (B, H, W[, c]), as `Model.predict`
    documents them.

    Args:
      model: the trained network.
      tasks: their names.
    """
    network, params, stats = model.network, model.params, model.stats
    modulations = np.array([network.names.index(name) for name in tasks], np.int32)

    def predict(images):
        modulated = features(
            network, model.config.train.normalize, params, stats, images, modulations
        )
        return {
            name: prediction(
                network, params, stats, modulated, index, model.task(name), images.shape[1:3]
            )
            for index, name in enumerate(tasks)
        }

    return predict


def one_by_one(model: Model, tasks: Sequence[str]) -> Program:
    """As `program`, with a trunk for each task: no array has a task axis."""
    network, normalize = model.network, model.config.train.normalize

    def predict(images):
        images = scaled(images, normalize)
        return {
            name: model.task(name).predict(
                network.task_logits(model.params, model.stats, images, name)
            )
            for name in tasks
        }

    return predict


def named(model: Model, task: str) -> tuple[str, ...]:
    """The tasks that `--task` names; ValueError if the model has no such task."""
    return model.network.names if task == ALL_TASKS else (model.task(task).name,)


def describe(model: Model, tasks: Sequence[str]) -> dict[str, Any]:
    """What a user of the exported network has to know, as plain values."""
    return {
        "tasks": {name: list(model.task(name).class_names) for name in tasks},
        "input": "float32 (b, h, w, 3), RGB in 0..255",
        "multiple_of": model.config.model.output_stride,
        "longer_side_in_training": model.config.train.image_size,
        "trained_steps": model.step,
        "jax": jax.__version__,
    }
