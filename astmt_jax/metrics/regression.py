"""Errors of regressed maps: depth and albedo."""

import math
from typing import Any, Literal, get_args

import numpy as np

from astmt_jax.metrics import images
from astmt_jax.metrics.notation import MetricNotation, Notation, percent

FLOOR = 1e-9
"""Metres that stand for a depth of 0 or less, whose logarithm does not exist."""

Convention = Literal["masked", "reference", "pooled"]
CONVENTIONS: tuple[str, ...] = get_args(Convention)
"""Of scoring depth, see `DepthMetric`."""

RATIOS = {"delta1": 1.25, "delta2": 1.25**2, "delta3": 1.25**3}
"""Limits of the larger one of prediction / truth and truth / prediction."""

REFERENCE_ERRORS = ("rmse", "mse", "log_rmse")
FURTHER_ERRORS = ("mae", "abs_rel", "sq_rel")
"""What the reference implementation has, and what it lacks, beside `RATIOS`."""


def _depth_notation(unit: str, what: str = "") -> Notation:
    """Of depth in a unit, or of `what` without one."""
    squared = f"{unit}²" if unit else ""
    return {
        "rmse": MetricNotation(f"{what}RMSE", "↓", unit),
        "log_rmse": MetricNotation("log RMSE", "↓"),
        "mse": MetricNotation(f"{what}MSE", "↓", squared),
        "mae": MetricNotation(f"{what}MAE", "↓", unit),
        "abs_rel": MetricNotation("abs rel", "↓"),
        "sq_rel": MetricNotation("sq rel", "↓", unit),
        "delta1": percent("δ<1.25"),
        "delta2": percent("δ<1.25²"),
        "delta3": percent("δ<1.25³"),
    }


DEPTH_NOTATION = _depth_notation(" m")
DISPARITY_NOTATION = _depth_notation("", "disparity ")
ALBEDO_NOTATION: Notation = {
    "rmse": MetricNotation("RMSE", "↓"),
    "mse": MetricNotation("MSE", "↓", decimals=4),
}


class DepthMetric:
    """Errors of depth.

    For predicted depths p and true ones t: mean (p - t)^2 and its root, root of the mean
    (log p - log t)^2, mean abs(p - t), mean abs(p - t) / t, mean (p - t)^2 / t, and the share of
    pixels where max(p / t, t / p) < 1.25, 1.25^2, 1.25^3.

    Args:
      convention: 'masked' compares the valid pixels (truth above 0, not 255) and averages all
        errors, roots included, over the images that have any. 'pooled' takes the valid pixels of
        all images together, as ASTMT's successors do, and predictions of 0 and less as 1e-9 metres.
        'reference' gives the numbers of the reference implementation, rmse, mse and log_rmse: its
        mask has no effect, so that unknown pixels count as 1e-9 metres, as do predictions of 0 and
        less, and its log error is the median over images. An image of which nothing is known (255
        everywhere) does not count.
      min_depth: metres; only pixels whose truth is more than that are valid. None is 0.
      max_depth: metres; only pixels whose truth is less than that are valid. None is no limit.

    Raises:
      ValueError: the convention is unknown or takes no limits, or they exclude everything.
    """

    def __init__(
        self,
        convention: Convention = "masked",
        min_depth: float | None = None,
        max_depth: float | None = None,
    ):
        if convention not in CONVENTIONS:
            raise ValueError(
                f"convention={convention!r} is unknown; it must be one of {', '.join(CONVENTIONS)}"
            )
        check_depth_range(convention, min_depth, max_depth)
        self._convention = convention
        self._range = min_depth or 0.0, math.inf if max_depth is None else max_depth
        self._errors: list[dict[str, float]] = []  # means over each image's pixels
        self._pixels: list[int] = []

    def add(self, prediction: np.ndarray, truth: np.ndarray) -> None:
        """Counts one image.

        Args:
          prediction: (H, W) metres; 0 and less count as 1e-9 in the log error and in ratios.
          truth: (H, W) or (H, W, 1) metres; 0 or 255 where unknown.

        Raises:
          ValueError: the sizes differ, or the prediction is not finite at a labelled pixel.
        """
        prediction, truth = images.single_channel(prediction, truth)
        known = images.labelled(truth)
        if self._convention != "reference":
            known &= (truth > self._range[0]) & (truth < self._range[1])
        if not known.any():
            return
        if self._convention == "reference":
            truth = np.where(known, truth, 0).astype(np.float64)
            predicted, actual = _positive(images.finite(prediction)), _positive(truth)
        else:
            predicted, actual = images.finite(prediction[known]), truth[known].astype(np.float64)
        if self._convention == "pooled":
            predicted = _positive(predicted)
        self._errors.append(_depth_errors(predicted, actual))
        self._pixels.append(actual.size)

    def merge(self, other: "DepthMetric") -> None:
        """Adds the images that another accumulator has seen."""
        self._errors += other._errors
        self._pixels += other._pixels

    def details(self) -> dict[str, Any]:
        """The `convention`, and how many `images` and `pixels` were compared."""
        return {
            "convention": self._convention,
            "images": len(self._pixels),
            "pixels": sum(self._pixels),
        }

    def result(self) -> dict[str, float]:
        """`rmse`, `mae` and `sq_rel` in the truth's unit, `mse` (squared), `log_rmse`, `abs_rel`,
        and `delta1`, `delta2`, `delta3` in 0..1; NaN before any image. With 'reference', what the
        reference implementation lacks is left out.
        """
        names = REFERENCE_ERRORS
        if self._convention != "reference":
            names += (*FURTHER_ERRORS, *RATIOS)
        if not self._pixels:
            return dict.fromkeys(names, float("nan"))
        by_image = {name: [errors[name] for errors in self._errors] for name in self._errors[0]}
        squares, log_squares = by_image["mse"], by_image.pop("log_mse")
        if self._convention == "pooled":
            means = {k: float(np.average(v, weights=self._pixels)) for k, v in by_image.items()}
            log_mse = float(np.average(log_squares, weights=self._pixels))
            found = means | {"rmse": math.sqrt(means["mse"]), "log_rmse": math.sqrt(log_mse)}
        else:
            over_images = np.median if self._convention == "reference" else np.mean
            log_rmse = float(over_images(np.sqrt(log_squares)))
            means = {name: float(np.mean(values)) for name, values in by_image.items()}
            found = means | _rmse_and_mse(squares) | {"log_rmse": log_rmse}
        return {name: found[name] for name in names}


def check_depth_range(convention: str, min_depth: float | None, max_depth: float | None) -> None:
    """Checks the limits of `DepthMetric`.

    Raises:
      ValueError: they exclude everything, or the convention takes none.
    """
    low, high = min_depth or 0.0, math.inf if max_depth is None else max_depth
    if not 0 <= low < high or max_depth == math.inf:
        raise ValueError(
            f"min_depth is {min_depth} and max_depth {max_depth}, but they must be metres, 0 or "
            "more, the smaller one first; None is no limit."
        )
    if convention == "reference" and (min_depth, max_depth) != (None, None):
        raise ValueError(
            "min_depth and max_depth must be None with depth_convention=reference, whose mask has "
            "no effect."
        )


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


def _depth_errors(predicted: np.ndarray, actual: np.ndarray) -> dict[str, float]:
    """Means over the pixels of an image, float64 (N,) with N > 0 and `actual` > 0."""
    errors, positive = predicted - actual, _positive(predicted)
    ratio = np.maximum(positive / actual, actual / positive)
    return {
        "mse": _mean_square(errors),
        "log_mse": _mean_square(np.log(positive) - np.log(actual)),
        "mae": float(np.mean(abs(errors))),
        "abs_rel": float(np.mean(abs(errors) / actual)),
        "sq_rel": float(np.mean(errors**2 / actual)),
        **{name: float(np.mean(ratio < limit)) for name, limit in RATIOS.items()},
    }


def _positive(depths: np.ndarray) -> np.ndarray:
    return np.where(depths <= 0, FLOOR, depths)


def _mean_square(errors: np.ndarray) -> float:
    return float(np.mean(errors**2))


def _rmse_and_mse(squares: list[float]) -> dict[str, float]:
    """Both are means over images, so `mse` is not the square of `rmse`."""
    return {"rmse": float(np.mean(np.sqrt(squares))), "mse": float(np.mean(squares))}
