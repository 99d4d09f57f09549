"""Errors of regressed maps: depth and albedo."""

from typing import Any, Literal, get_args

import numpy as np

from astmt_jax.metrics import images
from astmt_jax.metrics.notation import MetricNotation, Notation

FLOOR = 1e-9
"""Metres that stand for a depth of 0 or less, whose logarithm does not exist."""

Convention = Literal["masked", "reference"]
CONVENTIONS: tuple[str, ...] = get_args(Convention)
"""Of scoring depth, see `DepthMetric`."""

DEPTH_NOTATION: Notation = {
    "rmse": MetricNotation("RMSE", "↓", " m"),
    "log_rmse": MetricNotation("log RMSE", "↓"),
    "mse": MetricNotation("MSE", "↓", " m²"),
}
DISPARITY_NOTATION: Notation = {
    "rmse": MetricNotation("disparity RMSE", "↓"),
    "log_rmse": MetricNotation("log RMSE", "↓"),
    "mse": MetricNotation("disparity MSE", "↓"),
}
ALBEDO_NOTATION: Notation = {
    "rmse": MetricNotation("RMSE", "↓"),
    "mse": MetricNotation("MSE", "↓", decimals=4),
}


class DepthMetric:
    """Errors of depth per image, averaged over images.

    Args:
      convention: 'masked' compares the valid pixels (truth above 0, not 255) and averages both
        errors over the images that have any. 'reference' gives the numbers of the reference
        implementation: its mask has no effect, so that unknown pixels count as 1e-9 metres, as do
        predictions of 0 and less, and its log error is the median over images. An image of which
        nothing is known (255 everywhere) does not count.
    """

    def __init__(self, convention: Convention = "masked"):
        if convention not in CONVENTIONS:
            raise ValueError(
                f"convention={convention!r} is unknown; it must be 'masked' or 'reference'"
            )
        self._convention = convention
        self._squares: list[float] = []
        self._log_squares: list[float] = []

    def add(self, prediction: np.ndarray, truth: np.ndarray) -> None:
        """Counts one image.

        Args:
          prediction: (H, W) metres; 0 and less count as 1e-9 in the log error.
          truth: (H, W) or (H, W, 1) metres; 0 or 255 where unknown.

        Raises:
          ValueError: the sizes differ, or the prediction is not finite at a labelled pixel.
        """
        prediction, truth = images.single_channel(prediction, truth)
        known = images.labelled(truth)
        if self._convention == "masked":
            known &= truth > 0
        if not known.any():
            return
        if self._convention == "reference":
            truth = np.where(known, truth, 0).astype(np.float64)
            predicted, actual = _positive(images.finite(prediction)), _positive(truth)
        else:
            predicted, actual = images.finite(prediction[known]), truth[known].astype(np.float64)
        log_error = np.log(_positive(predicted)) - np.log(actual)
        self._squares.append(_mean_square(predicted - actual))
        self._log_squares.append(_mean_square(log_error))

    def merge(self, other: "DepthMetric") -> None:
        """Adds the images that another accumulator has seen."""
        self._squares += other._squares
        self._log_squares += other._log_squares

    def details(self) -> dict[str, Any]:
        """The `convention`, and how many `images` were compared."""
        return {"convention": self._convention, "images": len(self._squares)}

    def result(self) -> dict[str, float]:
        """`rmse` and `mse` (squared) in the truth's unit, `log_rmse`; NaN before any image."""
        if not self._squares:
            return dict.fromkeys(["rmse", "mse", "log_rmse"], float("nan"))
        over_images = np.median if self._convention == "reference" else np.mean
        log_rmse = float(over_images(np.sqrt(self._log_squares)))
        return {**_rmse_and_mse(self._squares), "log_rmse": log_rmse}


class AlbedoMetric:
    """Errors of albedo per image, averaged over the images that have labelled pixels."""

    def __init__(self):
        self._squares: list[float] = []

    def add(self, prediction: np.ndarray, truth: np.ndarray) -> None:
        """Counts one image.

        Args:
          prediction: (H, W, 3) in 0..1.
          truth: (H, W, 3) in 0..1; 255 where unknown.

        Raises:
          ValueError: the sizes differ, or the prediction is not finite at a labelled pixel.
        """
        prediction, truth = images.three_channels(prediction, truth)
        valid = images.labelled(truth)
        if valid.any():
            self._squares.append(_mean_square(images.finite(prediction[valid]) - truth[valid]))

    def merge(self, other: "AlbedoMetric") -> None:
        """Adds the images that another accumulator has seen."""
        self._squares += other._squares

    def details(self) -> dict[str, Any]:
        """How many `images` were compared."""
        return {"images": len(self._squares)}

    def result(self) -> dict[str, float]:
        """`rmse` and `mse`, in units of albedo 0..1; NaN before the first image."""
        if not self._squares:
            return dict.fromkeys(["rmse", "mse"], float("nan"))
        return _rmse_and_mse(self._squares)


def _positive(depths: np.ndarray) -> np.ndarray:
    return np.where(depths <= 0, FLOOR, depths)


def _mean_square(errors: np.ndarray) -> float:
    return float(np.mean(errors**2))


def _rmse_and_mse(squares: list[float]) -> dict[str, float]:
    """Both are means over images, so `mse` is not the square of `rmse`."""
    return {"rmse": float(np.mean(np.sqrt(squares))), "mse": float(np.mean(squares))}
