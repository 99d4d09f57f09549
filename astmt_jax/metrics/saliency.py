"""Saliency: overlap and F-measure of thresholded probabilities, in the field's conventions."""

import dataclasses
from typing import Any, Literal, get_args

import numpy as np

from astmt_jax.metrics import images, salient_objects
from astmt_jax.metrics.notation import Notation, percent

Convention = Literal["astmt", "astmt_numpy1", "successors"]
CONVENTIONS: tuple[str, ...] = get_args(Convention)
"""Of scoring saliency, see `SaliencyMetric`."""

HEADLINES = {"astmt": "mIoU", "astmt_numpy1": "mIoU", "successors": "maxF_pooled"}
"""Convention -> the number that published tables have."""


@dataclasses.dataclass(frozen=True)
class _Counts:
    """Pixel counts at every threshold, int64 (number of thresholds,)."""

    hits: np.ndarray
    predicted: np.ndarray
    actual: np.ndarray

    @property
    def iou(self) -> np.ndarray:
        """1 where neither prediction nor truth has a pixel."""
        union = self.predicted + self.actual - self.hits
        return np.where(union == 0, 1.0, self.hits / np.maximum(union, 1))

    @property
    def precision(self) -> np.ndarray:
        """0 where nothing is predicted."""
        return self.hits / np.maximum(self.predicted, 1)

    @property
    def recall(self) -> np.ndarray:
        """0 where nothing is there to be found."""
        return self.hits / np.maximum(self.actual, 1)


class _PerImage:
    """IoU, precision and recall per image, averaged over images; beta^2 = 1."""

    thresholds = np.linspace(0.2, 0.9, 15)

    def __init__(self, above: bool):
        self.num_images = 0
        self.above = above
        self.sums = np.zeros((3, self.thresholds.size))  # IoU, precision, recall

    def add(self, counts: _Counts) -> None:
        self.num_images += 1
        self.sums += [counts.iou, counts.precision, counts.recall]

    def merge(self, other: "_PerImage") -> None:
        self.num_images += other.num_images
        self.sums += other.sums

    def curves(self) -> dict[str, np.ndarray]:
        iou, precision, recall = self.sums / self.num_images
        return {"mIoU": iou, "maxF": _f_measure(precision, recall, 1.0)}


class _Pooled:
    """Pixels pooled over the split; beta^2 = 0.3, which favours precision."""

    thresholds = np.arange(1, 20) / 20
    above = False

    def __init__(self):
        self.counts = np.zeros((3, self.thresholds.size), np.int64)

    def add(self, counts: _Counts) -> None:
        self.counts += [counts.hits, counts.predicted, counts.actual]

    def merge(self, other: "_Pooled") -> None:
        self.counts += other.counts

    def curves(self) -> dict[str, np.ndarray]:
        pooled = _Counts(*self.counts)
        return {"maxF_pooled": _f_measure(pooled.precision, pooled.recall, 0.3)}


NOTATION: Notation = {
    "mIoU": percent("max mIoU"),
    "maxF": percent("maxF"),
    "maxF_pooled": percent("maxF (pooled, β²=0.3)"),
    **salient_objects.NOTATION,
}


class SaliencyMetric:
    """Best overlap and best F-measure over a range of thresholds, in both conventions.

    - The reference implementation's: 15 thresholds 0.2, 0.25, .., 0.9; IoU, precision and recall
      per image, averaged over images; `mIoU` is the best mean IoU, `maxF` the best F-measure
      (beta^2 = 1) of mean precision and mean recall. An image where prediction and truth are both
      empty has IoU 1.
    - Its successors': 19 thresholds 0.05, 0.1, .., 0.95; pixels pooled over the split;
      `maxF_pooled` is the best F-measure with beta^2 = 0.3.

    A pixel is salient at a threshold when its probability is at least that. The comparison is made
    in float64, because the levels of 8-bit maps sit on some thresholds. Pixels whose truth is 255
    do not count, nor do images without any other.

    Args:
      convention: 'astmt' gives these three. 'astmt_numpy1' does, too, but a pixel is salient at
        the reference implementation's thresholds when its probability is above them, both in
        float32: so its published numbers were computed, under NumPy 1. Of the levels of 8-bit maps
        51, 102, 153 and 204, which sit on thresholds, differ. 'successors' adds the measures of
        `metrics.salient_objects`.

    Raises:
      ValueError: the convention is unknown.
    """

    def __init__(self, convention: Convention = "astmt"):
        if convention not in CONVENTIONS:
            raise ValueError(
                f"convention={convention!r} is unknown; it must be one of {', '.join(CONVENTIONS)}"
            )
        self._convention = convention
        self._per_image = _PerImage(above=convention == "astmt_numpy1")
        self._pooled = _Pooled()
        objects = salient_objects.SalientObjectMetric()
        self._objects = objects if convention == "successors" else None

    def add(self, prediction: np.ndarray, truth: np.ndarray) -> None:
        """Counts one image.

        Args:
          prediction: (H, W) probabilities in 0..1.
          truth: (H, W) or (H, W, 1), 1 salient, 0 not, or 255.

        Raises:
          ValueError: the sizes differ, or a probability lies outside 0..1.
        """
        prediction, truth = images.single_channel(prediction, truth)
        valid = images.labelled(truth)
        if not valid.any():
            return
        probabilities = prediction[valid].astype(np.float64)
        if not (probabilities.min() >= 0 and probabilities.max() <= 1):
            raise ValueError(
                f"saliency prediction spans {probabilities.min()}..{probabilities.max()}; "
                "it must hold probabilities in 0..1"
            )
        salient = truth >= 0.5
        for part in (self._per_image, self._pooled):
            part.add(_count(probabilities, salient[valid], part.thresholds, part.above))
        if self._objects:
            self._objects.add(prediction, salient, valid)

    def merge(self, other: "SaliencyMetric") -> None:
        """Adds the images that another accumulator has seen."""
        self._per_image.merge(other._per_image)
        self._pooled.merge(other._pooled)
        if self._objects and other._objects:
            self._objects.merge(other._objects)

    def result(self) -> dict[str, float]:
        """`mIoU`, `maxF`, `maxF_pooled` and, with 'successors', those of
        `salient_objects.NOTATION`, in 0..1; NaN before the first image.
        """
        objects = self._objects.result() if self._objects else {}
        if not self._per_image.num_images:
            return {**dict.fromkeys(["mIoU", "maxF", "maxF_pooled"], float("nan")), **objects}
        return {name: float(curve.max()) for name, curve in self.curves().items()} | objects

    def details(self) -> dict[str, Any]:
        """The `convention`, how many `images` were compared, and by metric its `thresholds` and
        `values` there.
        """
        count = self._per_image.num_images
        curves = self.curves() if count else {}
        thresholds = {
            "mIoU": _PerImage.thresholds,
            "maxF": _PerImage.thresholds,
            "maxF_pooled": _Pooled.thresholds,
        }
        if self._objects:
            curves |= self._objects.curves()
            thresholds |= dict.fromkeys(["Fm", "Em"], np.arange(salient_objects.LEVELS) / 255)
        return {
            "convention": self._convention,
            "images": count,
            "curves": {
                name: {"thresholds": thresholds[name].tolist(), "values": curve.tolist()}
                for name, curve in curves.items()
            },
        }

    def curves(self) -> dict[str, np.ndarray]:
        """What `mIoU`, `maxF` and `maxF_pooled` are the maximum of: one value per threshold.

        Raises:
          ValueError: no image was counted.
        """
        if not self._per_image.num_images:
            raise ValueError("no image with labelled pixels was added, so there are no curves")
        return {**self._per_image.curves(), **self._pooled.curves()}


def _count(
    probabilities: np.ndarray, salient: np.ndarray, thresholds: np.ndarray, above: bool
) -> _Counts:
    """Counts at all thresholds from one histogram of how many thresholds each pixel reaches.

    Or, with `above`, how many it is above in float32.
    """
    if above:
        single = thresholds.astype(np.float32), probabilities.astype(np.float32)
        reached = np.searchsorted(*single, side="left")
    else:
        reached = np.searchsorted(thresholds, probabilities, side="right")
    bins = np.bincount(reached, minlength=thresholds.size + 1)
    salient_bins = np.bincount(reached[salient], minlength=thresholds.size + 1)
    predicted, hits = (b[::-1].cumsum()[::-1][1:] for b in (bins, salient_bins))
    return _Counts(hits, predicted, np.full(thresholds.size, salient_bins.sum()))


def _f_measure(precision: np.ndarray, recall: np.ndarray, beta_squared: float) -> np.ndarray:
    weighted_sum = beta_squared * precision + recall
    product = (1 + beta_squared) * precision * recall
    return np.divide(product, weighted_sum, out=np.zeros_like(product), where=weighted_sum > 0)
