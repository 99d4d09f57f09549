"""What a metric is: one module beside this one each, which a task names."""

from collections.abc import Callable
from typing import Any, Protocol, Self, runtime_checkable

import numpy as np


class Metric(Protocol):
    """Takes one image after the other; the numbers do not depend on their order."""

    def add(self, prediction: np.ndarray, truth: np.ndarray) -> None:
        """Counts one image.

        Args:
          prediction: (H, W[, c]), as the task predicts it.
          truth: (H, W[, c]) of the same size; 255 where unknown.

        Raises:
          ValueError: the two cannot be compared, saying why.
        """

    def merge(self, other: Self) -> None:
        """Adds the images that another accumulator has seen."""

    def result(self) -> dict[str, float]:
        """Number by name, the names being those of the metric's notation; NaN before any image."""

    def details(self) -> dict[str, Any]:
        """What the numbers come from, as plain values: conventions, curves, tables by class."""


@runtime_checkable
class CountedMetric(Protocol):
    """A metric that adds up counts, of which those of one image take long.

    Attributes:
      counting: `(prediction, truth) -> integer array`; can be pickled.
    """

    counting: Callable[[np.ndarray, np.ndarray], np.ndarray]

    def add_counts(self, counts: np.ndarray) -> None:
        """Adds the counts of one image, in any order.

        Raises:
          ValueError: they cannot be those of an image; nothing is added.
        """
