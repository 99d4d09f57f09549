"""From counts of matched edge pixels to precision, recall, F, ODS, OIS and AP.

Counts are integer arrays (..., 4): matched true pixels, true pixels, matched predicted pixels,
predicted pixels. The field's tools differ in what they make of them: `SEISM` and `BERKELEY`.
"""

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

BETWEEN_THRESHOLDS = 100
"""Points, both ends included, at which Berkeley's benchmark looks between two thresholds."""


class PrecisionRecall(NamedTuple):
    """Precision, recall and F = 2PR / (P + R) at each threshold; (..., K) float64, 0..1."""

    precision: np.ndarray
    recall: np.ndarray
    f: np.ndarray


Curve = Callable[[np.ndarray], PrecisionRecall]


def plain_curve(counts: np.ndarray) -> PrecisionRecall:
    """Curve of counts (..., K, 4): the ratios, 0 where nothing is predicted, or nothing true."""
    matched_true, true, matched_predicted, predicted = np.moveaxis(counts, -1, 0)
    return _with_f(matched_predicted / np.maximum(predicted, 1), matched_true / np.maximum(true, 1))


def seism_image_curve(counts: np.ndarray) -> PrecisionRecall:
    """Curve of single images, counts (..., K, 4).

    Without true pixels recall is 1 and precision 0; else, without predicted pixels, recall is 0 and
    precision 1.
    """
    precision, recall, _ = plain_curve(counts)
    no_true, no_predicted = counts[..., 1] == 0, counts[..., 3] == 0
    precision = np.where(no_true, 0.0, np.where(no_predicted, 1.0, precision))
    return _with_f(precision, np.where(no_true, 1.0, recall))


def seism_dataset_curve(counts: np.ndarray) -> PrecisionRecall:
    """Curve of counts (K, 4) summed over images: as `seism_image_curve`, but all 0 where there are
    predicted pixels and none of them is matched."""
    precision, recall, _ = seism_image_curve(counts)
    none_matched = (counts[..., 3] > 0) & (counts[..., 0] == 0)
    return _with_f(np.where(none_matched, 0.0, precision), np.where(none_matched, 0.0, recall))


@dataclasses.dataclass(frozen=True)
class Summary:
    """What one of the field's tools makes of counts.

    Attributes:
      name: of the tool.
      image_curve: counts (K, 4) of an image to its curve.
      dataset_curve: counts (K, 4) summed over images to their curve.
      decimals: to which F is rounded before an image's best threshold is chosen; None: not at all.
      interpolated: whether ODS is also looked for between thresholds, where precision and recall
        are interpolated linearly.
    """

    name: str
    image_curve: Curve
    dataset_curve: Curve
    decimals: int | None
    interpolated: bool

    def ods(self, counts: np.ndarray) -> float:
        """F at the best threshold for the whole data set (optimal data-set scale).

        Args:
          counts: (K, 4), summed over images.
        """
        curve = self.dataset_curve(counts)
        return float((_between_thresholds(curve) if self.interpolated else curve).f.max())

    def best_counts(self, counts: np.ndarray) -> np.ndarray:
        """Counts (4,) of one image, counts (K, 4), at its own best threshold.

        That is the first one where F is greatest: the lowest threshold for an image with F = 0
        everywhere, so that OIS can be less than ODS. No tool interpolates here.
        """
        f = self.image_curve(counts).f
        return counts[np.argmax(f if self.decimals is None else np.round(f, self.decimals))]

    def ois(self, counts: np.ndarray) -> float:
        """F with each image at its own best threshold (optimal image scale).

        Args:
          counts: (4,), the sum of every image's `best_counts`.
        """
        return float(self.dataset_curve(counts[None]).f[0])

    def average_precision(self, counts: np.ndarray) -> float:
        """Mean precision over recall 0, 0.01, ..., 1, linearly interpolated.

        Recalls outside the range that the thresholds reach count as precision 0; where several
        thresholds have the same recall the first (lowest) counts; the sum is divided by 100. A
        single recall at all thresholds spans no range: 0.

        Args:
          counts: (K, 4), summed over images, ascending thresholds.
        """
        precision, recall, _ = self.dataset_curve(counts)
        recall, first = np.unique(recall, return_index=True)
        if len(recall) < 2:
            return 0.0
        at = np.linspace(0, 1, 101)
        return float(np.interp(at, recall, precision[first], left=0, right=0).sum() / 100)


SEISM = Summary("seism", seism_image_curve, seism_dataset_curve, decimals=6, interpolated=False)
"""The MATLAB package that ASTMT and its successors use for PASCAL-Context and NYUD."""
BERKELEY = Summary("berkeley", plain_curve, plain_curve, decimals=None, interpolated=True)
"""The benchmark that comes with BSDS500 (its `collect_eval_bdry`)."""


def _between_thresholds(curve: PrecisionRecall) -> PrecisionRecall:
    """The curve (K,) with interpolated points between its thresholds; one threshold stays alone."""
    positions = np.arange(len(curve.f))
    steps = np.linspace(0, 1, BETWEEN_THRESHOLDS)
    at = np.unique(np.minimum(positions[:, None] + steps, positions[-1]))
    return _with_f(*(np.interp(at, positions, values) for values in curve[:2]))


def _with_f(precision: np.ndarray, recall: np.ndarray) -> PrecisionRecall:
    total = precision + recall
    f = 2 * precision * recall / np.where(total > 0, total, 1)
    return PrecisionRecall(precision, recall, f)
