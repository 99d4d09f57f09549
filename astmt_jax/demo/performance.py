"""Performing one task after the other on a photo, with the time that each takes."""

import dataclasses
import time
from collections.abc import Iterator

import numpy as np

from astmt_jax.trained_model import Model


@dataclasses.dataclass(frozen=True)
class TimedPrediction:
    """What one task made of a photo.

    Attributes:
      task: its name.
      prediction: as `Model.predict` returns it.
      colors: the same in the task's colours, uint8 (H, W, 3).
      seconds: that the prediction took, without compilation.
    """

    task: str
    prediction: np.ndarray
    colors: np.ndarray
    seconds: float


class Performer:
    """Performs tasks and knows for which shapes they are compiled already."""

    def __init__(self, model: Model):
        self._model = model
        self._compiled: set[tuple] = set()

    def perform(self, photo: np.ndarray, modulation: str | None) -> Iterator[TimedPrediction]:
        """Performs all tasks, one at a time.

        Args:
          photo: uint8 (H, W, 3).
          modulation: task whose modulation all tasks get; None is each its own.

        Raises:
          ValueError: there is no such task.
        """
        shape = self._model.network_input(photo.shape[:2]).padded
        for task in self._model.network.names:
            program = (shape, task)
            if program not in self._compiled:
                self._model.predict(photo, [task], modulation)
                self._compiled.add(program)
            start = time.perf_counter()
            prediction = self._model.predict(photo, [task], modulation)[task]
            seconds = time.perf_counter() - start
            colors = self._model.colorize(task, prediction)
            yield TimedPrediction(task, prediction, colors, seconds)
