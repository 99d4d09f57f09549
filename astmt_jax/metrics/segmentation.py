"""Class maps: mean intersection over union, and accuracies."""

from collections.abc import Sequence
from typing import Any, Literal, get_args

import numpy as np

from astmt_jax.metrics import images
from astmt_jax.metrics.notation import Notation, percent

MeanOver = Literal["all", "present"]
MEAN_OVER: tuple[str, ...] = get_args(MeanOver)
"""Which classes mIoU is the mean over: all, or those in the ground truth of the split."""

NOTATION: Notation = {
    "mIoU": percent("mIoU"),
    "pixel_accuracy": percent("pixel accuracy"),
    "class_accuracy": percent("mean class accuracy"),
}


class SegmentationMetric:
    """IoU per class, from true and false positives and negatives pooled over the split.

    Beside it the share of pixels that are right (pixel accuracy), and the mean over classes of the
    share of a class's pixels that are right (mean class accuracy), which is over the classes in the
    ground truth in any case. Pixels whose truth is 255 do not count.

    Args:
      num_classes: number of classes C, background included.
      classes: which classes the mean is over: 'all', or only those 'present' in the ground truth
        of the split. With 'all' a class that occurs nowhere has IoU 0.
      skip_empty: leave out images whose truth is 0 everywhere, as is usual for human parts, where
        they hold no person. (Images that are 255 everywhere never count.)
      class_names: names of the C classes in `details`; their numbers by default.
    """

    def __init__(
        self,
        num_classes: int,
        classes: MeanOver = "all",
        skip_empty: bool = False,
        class_names: Sequence[str] | None = None,
    ):
        if classes not in MEAN_OVER:
            raise ValueError(f"classes={classes!r} is unknown; it must be 'all' or 'present'")
        self._num_classes = num_classes
        self._classes = classes
        self._skip_empty = skip_empty
        self._class_names = class_names or [str(i) for i in range(num_classes)]
        self._images = 0
        self._confusion = np.zeros((num_classes, num_classes), np.int64)  # [truth, prediction]

    def add(self, prediction: np.ndarray, truth: np.ndarray) -> None:
        """Counts one image.

        Args:
          prediction: (H, W) class ids.
          truth: (H, W) or (H, W, 1) class ids, or 255.

        Raises:
          ValueError: the sizes differ, or a labelled pixel has an id outside 0..C-1.
        """
        prediction, truth = images.single_channel(prediction, truth)
        valid = images.labelled(truth)
        if not valid.any() or (self._skip_empty and not truth.any()):
            return
        predicted = self._class_ids(prediction[valid], "prediction")
        actual = self._class_ids(truth[valid], "ground truth")
        counts = np.bincount(actual * self._num_classes + predicted, minlength=self._confusion.size)
        self._confusion += counts.reshape(self._confusion.shape)
        self._images += 1

    def merge(self, other: "SegmentationMetric") -> None:
        """Adds the images that another accumulator has seen."""
        self._confusion += other._confusion
        self._images += other._images

    def result(self) -> dict[str, float]:
        """`mIoU`, `pixel_accuracy`, `class_accuracy` in 0..1; NaN before any labelled pixel."""
        iou, pixels = self._iou(), self._confusion.sum(axis=1)
        if not pixels.any():
            return dict.fromkeys(NOTATION, float("nan"))
        present, right = pixels > 0, np.diag(self._confusion)
        counted = iou[present] if self._classes == "present" else iou
        return {
            "mIoU": float(counted.mean()),
            "pixel_accuracy": float(right.sum() / pixels.sum()),
            "class_accuracy": float((right[present] / pixels[present]).mean()),
        }

    def details(self) -> dict[str, Any]:
        """By class name what `per_class` gives, which classes the mean is over, and how many
        `images` were compared."""
        rows = zip(self._class_names, self.per_class(), strict=True)
        return {
            "mean_over": f"{self._classes} classes",
            "images": self._images,
            "classes": dict(rows),
        }

    def per_class(self) -> list[dict[str, float]]:
        """For each class id in turn, its `iou` (0..1) and its number of ground-truth `pixels`."""
        pixels = self._confusion.sum(axis=1)
        return [
            {"iou": float(iou), "pixels": int(count)}
            for iou, count in zip(self._iou(), pixels, strict=True)
        ]

    def _iou(self) -> np.ndarray:
        intersection = np.diag(self._confusion)
        union = self._confusion.sum(axis=0) + self._confusion.sum(axis=1) - intersection
        return intersection / np.maximum(union, 1)

    def _class_ids(self, ids: np.ndarray, what: str) -> np.ndarray:
        ids = ids.astype(np.int64)
        wrong = ids[(ids < 0) | (ids >= self._num_classes)]
        if wrong.size:
            raise ValueError(
                f"{what} holds class id {wrong[0]} at a labelled pixel; "
                f"ids must be 0..{self._num_classes - 1}"
            )
        return ids
