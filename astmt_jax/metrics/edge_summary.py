"""From counts of matched edge pixels to precision, recall, F, ODS, OIS and AP.

Counts are integer arrays (..., 4): matched true pixels, true pixels, matched predicted pixels,
predicted pixels.
"""

from typing import NamedTuple

import numpy as np


class PrecisionRecall(NamedTuple):
    """Precision, recall and F = 2PR / (P + R) at each threshold; (..., K) float64, 0..1."""

    precision: np.ndarray
    recall: np.ndarray
    f: np.ndarray


def image_curve(counts: np.ndarray) -> PrecisionRecall:
    """Curve of single images, counts (..., K, 4).

    Without true pixels recall is 1 and precision 0; else, without predicted pixels, recall is 0 and
    precision 1.
    """
    matched_true, true, matched_predicted, predicted = np.moveaxis(counts, -1, 0)
    no_true, no_predicted = true == 0, predicted == 0
    recall = np.where(no_true, 1.0, matched_true / np.maximum(true, 1))
    precision = np.where(no_predicted, 1.0, matched_predicted / np.maximum(predicted, 1))
    return _with_f(np.where(no_true, 0.0, precision), recall)


def dataset_curve(counts: np.ndarray) -> PrecisionRecall:
    """Curve of counts (K, 4) summed over images: as `image_curve`, but all 0 where there are
    predicted pixels and none of them is matched."""
    precision, recall, _ = image_curve(counts)
    none_matched = (counts[..., 3] > 0) & (counts[..., 0] == 0)
    return _with_f(np.where(none_matched, 0.0, precision), np.where(none_matched, 0.0, recall))


def ods(counts: np.ndarray) -> float:
    """F at the best threshold for the whole data set (optimal data-set scale).

    Args:
      counts: (K, 4), summed over images.
    """
    return float(dataset_curve(counts).f.max())


def best_counts(counts: np.ndarray) -> np.ndarray:
    """Counts (4,) of one image, counts (K, 4), at its own best threshold.

    That is the first one where F, rounded to 6 decimals, is greatest: the lowest threshold for an
    image with F = 0 everywhere, so that OIS can be less than ODS.
    """
    return counts[np.argmax(np.round(image_curve(counts).f, 6))]


def ois(counts: np.ndarray) -> float:
    """F with each image at its own best threshold (optimal image scale).

    Args:
      counts: (4,), the sum of every image's `best_counts`.
    """
    return float(dataset_curve(counts[None]).f[0])


def average_precision(counts: np.ndarray) -> float:
    """Mean precision over recall 0, 0.01, ..., 1, linearly interpolated.

    Recalls outside the range that the thresholds reach count as precision 0; where several
    thresholds have the same recall the first (lowest) counts; the sum is divided by 100. A single
    recall at all thresholds spans no range: 0.

    Args:
      counts: (K, 4), summed over images, ascending thresholds.
    """
    precision, recall, _ = dataset_curve(counts)
    recall, first = np.unique(recall, return_index=True)
    if len(recall) < 2:
        return 0.0
    at = np.linspace(0, 1, 101)
    return float(np.interp(at, recall, precision[first], left=0, right=0).sum() / 100)


def _with_f(precision: np.ndarray, recall: np.ndarray) -> PrecisionRecall:
    total = precision + recall
    f = 2 * precision * recall / np.where(total > 0, total, 1)
    return PrecisionRecall(precision, recall, f)
