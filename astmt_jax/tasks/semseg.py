"""Semantic segmentation: what kind of thing every pixel shows."""

import functools

import numpy as np

from astmt_jax.metrics import segmentation
from astmt_jax.tasks import averaging, colormaps, losses, predictions
from astmt_jax.tasks.prediction_files import CLASS_MAP
from astmt_jax.tasks.task import Task, metric_choice

VOC_CLASSES = (
    "background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair",
    "cow", "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa",
    "train", "tvmonitor",
)  # fmt: skip


def colorize_classes(
    values: np.ndarray, value_range: colormaps.ValueRange | None = None
) -> np.ndarray:
    """Class ids 0..255 in PASCAL VOC's palette."""
    return colormaps.VOC_PALETTE[colormaps.plane(values)]


def semseg(
    class_names: tuple[str, ...] = VOC_CLASSES, classes: str = "all", background: bool = True
) -> Task:
    """Semantic segmentation.

    Args:
      class_names: in the order of their ids.
      classes: 'all', or 'present' to average over classes in the ground truth only.
      background: whether class 0 is what lies around an image that was rotated or made smaller; if
        not, nothing is known there.
    """
    return Task(
        name="semseg",
        channels=len(class_names),
        loss=losses.softmax_cross_entropy,
        loss_weight=1.0,
        predict=predictions.class_ids,
        geometry="label" if background else "framed",
        metric=functools.partial(
            segmentation.SegmentationMetric,
            len(class_names),
            classes=classes,
            class_names=class_names,
        ),
        notation=segmentation.NOTATION,
        headline="mIoU",
        file=CLASS_MAP,
        colorize=colorize_classes,
        truth="semseg",
        averaging=averaging.CLASSES,
        choices={"semseg_classes": metric_choice("classes")},
        class_names=class_names,
        title="Semantic segmentation",
        meaning="What kind of thing every pixel belongs to.",
    )
