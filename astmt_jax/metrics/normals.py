"""Angular errors of surface normals."""

from typing import Any

import numpy as np

from astmt_jax.metrics import images
from astmt_jax.metrics.notation import Notation, degrees, percent

LIMITS = (11.25, 22.5, 30.0)
"""Degrees below which an error counts as small, as published by the field."""

# Bins of the histogram: below 4 degrees the first 17 bits of a float32 mantissa, from there on
# steps of 2^-15 degrees, as wide as the last of those below.
_SMALLEST = np.float32(2.0**-20)
_BEND = np.float32(4)
_DROPPED_BITS = 6
_FIRST_BIN = int(_SMALLEST.view(np.int32)) >> _DROPPED_BITS
_BINS_BELOW = (int(_BEND.view(np.int32)) >> _DROPPED_BITS) - _FIRST_BIN
_BINS_PER_DEGREE = 2**15
_BINS = _BINS_BELOW + int(180 - _BEND) * _BINS_PER_DEGREE + 1


NOTATION: Notation = {
    "mean": degrees("mean angle"),
    "median": degrees("median angle"),
    "rmse": degrees("RMSE"),
    "below_11.25": percent("<11.25°", scale=1.0),  # percents already
    "below_22.5": percent("<22.5°", scale=1.0),
    "below_30": percent("<30°", scale=1.0),
}


class NormalsMetric:
    """Angles between predicted and true normals, pooled over all valid pixels of the split.

    A pixel is valid when its true normal is neither (0, 0, 0) nor 255. Directions only are
    compared; a prediction of length 0 is 90 degrees off.

    Means and percentages are exact. The median comes from a histogram, so that memory (69 MB) does
    not grow with the split: it is off by at most 4e-6 of its value and 1.6e-5 degrees.
    """

    def __init__(self):
        self._pixels = 0
        self._sum = 0.0
        self._square_sum = 0.0
        self._below = np.zeros(len(LIMITS), np.int64)
        self._histogram = np.zeros(_BINS, np.int64)

    def add(self, prediction: np.ndarray, truth: np.ndarray) -> None:
        """Counts one image.

        Args:
          prediction: (H, W, 3) float vectors.
          truth: (H, W, 3) float vectors; (0, 0, 0) or 255 where unknown.

        Raises:
          ValueError: the sizes differ, or the prediction is not finite at a valid pixel.
        """
        prediction, truth = images.three_channels(prediction, truth)
        valid = images.labelled(truth) & truth.any(axis=-1)
        angles = _angles(images.finite(prediction[valid]), truth[valid])
        self._pixels += angles.size
        self._sum += angles.sum()
        self._square_sum += (angles**2).sum()
        self._below += [np.count_nonzero(angles < limit) for limit in LIMITS]
        np.add.at(self._histogram, _bins(angles), 1)

    def merge(self, other: "NormalsMetric") -> None:
        """Adds the images that another accumulator has seen."""
        self._pixels += other._pixels
        self._sum += other._sum
        self._square_sum += other._square_sum
        self._below += other._below
        self._histogram += other._histogram

    def details(self) -> dict[str, Any]:
        """`pixels`: how many were compared."""
        return {"pixels": self._pixels}

    def result(self) -> dict[str, float]:
        """`mean`, `median`, `rmse` in degrees; `below_11.25`, `below_22.5`, `below_30` in percent.

        All are NaN before the first valid pixel.
        """
        names = [f"below_{limit:g}" for limit in LIMITS]
        if not self._pixels:
            return dict.fromkeys(["mean", "median", "rmse", *names], float("nan"))
        below = 100 * self._below / self._pixels
        return {
            "mean": float(self._sum / self._pixels),
            "median": self._median(),
            "rmse": float(np.sqrt(self._square_sum / self._pixels)),
            **dict(zip(names, below.tolist(), strict=True)),
        }

    def _median(self) -> float:
        middle = np.array([(self._pixels + 1) // 2, self._pixels // 2 + 1])
        bins = np.searchsorted(np.cumsum(self._histogram), middle)
        return float(_middles(bins).mean())


def _bins(angles: np.ndarray) -> np.ndarray:
    """Bins of angles in degrees (N,): positive floats are in the order of their bits."""
    small = np.clip(angles, _SMALLEST, np.nextafter(_BEND, np.float32(0))).astype(np.float32)
    below = (small.view(np.int32) >> _DROPPED_BITS) - _FIRST_BIN
    above = _BINS_BELOW + np.floor((angles - _BEND) * _BINS_PER_DEGREE).astype(np.int64)
    return np.where(angles < _BEND, below, above)


def _middles(bins: np.ndarray) -> np.ndarray:
    """Degrees in the middle of bins; 0 for the first, which holds all that are tiny."""
    bits = (bins + _FIRST_BIN << _DROPPED_BITS) + (1 << _DROPPED_BITS - 1)
    below = bits.astype(np.int32).view(np.float32).astype(np.float64)
    above = _BEND + (bins - _BINS_BELOW + 0.5) / _BINS_PER_DEGREE
    return np.where(bins == 0, 0.0, np.where(bins < _BINS_BELOW, below, above))


def _angles(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Angles in degrees between vectors (N, 3), accurate near 0 and 180 degrees, unlike arccos."""
    first, second = (v / np.maximum(_lengths(v), 1e-12)[:, None] for v in (first, second))
    return np.degrees(2 * np.arctan2(_lengths(first - second), _lengths(first + second)))


def _lengths(vectors: np.ndarray) -> np.ndarray:
    """L2 norms of (N, 3); einsum takes a third of the time of np.linalg.norm here."""
    return np.sqrt(np.einsum("nc,nc->n", vectors, vectors))
