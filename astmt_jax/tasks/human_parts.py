"""Human parts: which part of a body every pixel shows."""

import functools

import numpy as np

from astmt_jax.labels import IGNORE
from astmt_jax.metrics import segmentation
from astmt_jax.tasks import averaging, colormaps, losses, predictions
from astmt_jax.tasks.prediction_files import CLASS_MAP
from astmt_jax.tasks.task import Task

PART_CLASSES = (
    "background", "head", "torso", "upper arms", "lower arms", "upper legs", "lower legs",
)  # fmt: skip

# Background and six parts, in the colour-blind-safe colours of Okabe and Ito: upper and lower
# limbs of one kind are neighbours in hue, arms blue and legs green to yellow.
PART_PALETTE = np.array(
    [
        (0, 0, 0),
        (204, 121, 167),
        (213, 94, 0),
        (0, 114, 178),
        (86, 180, 233),
        (0, 158, 115),
        (240, 228, 66),
    ],
    np.uint8,
)


def colorize_parts(
    values: np.ndarray, value_range: colormaps.ValueRange | None = None
) -> np.ndarray:
    """Human part ids 0 (background) to 6; ValueError for others except 255."""
    values = colormaps.plane(values)
    unknown = (values >= len(PART_PALETTE)) & (values != IGNORE)
    if unknown.any():
        raise ValueError(f"human part {values[unknown][0]} is unknown, parts are 0..6, or 255")
    palette = np.tile(colormaps.VOID_COLOR, (256, 1))
    palette[: len(PART_PALETTE)] = PART_PALETTE
    return palette[values]


def human_parts() -> Task:
    """Background and six body parts; images without a person count neither in loss nor metric."""
    return Task(
        name="human_parts",
        channels=len(PART_CLASSES),
        loss=losses.softmax_cross_entropy,
        loss_weight=2.0,
        predict=predictions.class_ids,
        geometry="foreground",
        metric=functools.partial(
            segmentation.SegmentationMetric,
            len(PART_CLASSES),
            skip_empty=True,
            class_names=PART_CLASSES,
        ),
        notation=segmentation.NOTATION,
        headline="mIoU",
        file=CLASS_MAP,
        colorize=colorize_parts,
        truth="human_parts",
        averaging=averaging.CLASSES,
        class_names=PART_CLASSES,
        title="Human parts",
        meaning="Which part of a body every pixel belongs to.",
    )
