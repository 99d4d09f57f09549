"""What distinguishes one task from another, in one record each.

Everything that depends on the task (width and loss of its prediction layer, how augmentation moves
its labels, how it is scored and drawn) is a field of `Task`: no other module asks for the name of a
task.
"""

import dataclasses
import functools
from collections.abc import Callable, Iterable
from typing import Any

import jax
import jax.numpy as jnp

from astmt_jax.metrics import edges, regression, saliency, segmentation
from astmt_jax.metrics import normals as normals_metric
from astmt_jax.metrics.notation import Notation
from astmt_jax.tasks import colormaps, losses, prediction_files
from astmt_jax.tasks.prediction_files import FileFormat

VOC_CLASSES = (
    "background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair",
    "cow", "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa",
    "train", "tvmonitor",
)  # fmt: skip
PART_CLASSES = (
    "background", "head", "torso", "upper arms", "lower arms", "upper legs", "lower legs",
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Task:
    """One dense prediction task.

    Attributes:
      name: identifier, also the key of its labels.
      channels: number of logits per pixel.
      loss: `(logits (B, H, W, channels), labels (B, H, W, c)[, of]) -> scalar`, ignoring label 255;
        with the labels `of` the whole batch, what a part of it adds to the batch's loss.
      loss_weight: multiplier of the loss in training.
      predict: `logits (..., H, W, channels) -> prediction (..., H, W[, c])` in the label's units.
      geometry: how augmentation moves the label, a key of `pipeline.geometries.GEOMETRIES`.
      metric: makes an accumulator with `add(prediction, truth)` per image, `result()` (metric ->
        number) and `details()` (what stands behind the numbers, as plain values); takes the choices
        of `scoring.EvaluationConfig` for the task as keywords.
      file: how predictions are stored.
      notation: how each number of `result()` is written, with its unit.
      headline: key of `result()` that stands for the task in tables and in the average drop.
      higher_is_better: direction of the headline metric.
      colorize: `(map, value_range=None) -> uint8 (H, W, 3)`, for predictions and for labels.
      truth: key of the map that the metric compares with, where it is not the training label.
      class_names: names of the classes, for class maps.
      unit_length: whether predictions are vectors of length 1.
    """

    name: str
    channels: int
    loss: Callable[[jax.Array, jax.Array], jax.Array]
    loss_weight: float
    predict: Callable[[jax.Array], jax.Array]
    geometry: str
    metric: Callable[[], Any]
    notation: Notation
    headline: str
    higher_is_better: bool
    file: FileFormat
    colorize: Callable[..., Any]
    truth: str
    class_names: tuple[str, ...] = ()
    unit_length: bool = False


def channels_by_name(tasks: Iterable[Task]) -> dict[str, int]:
    """Task name -> number of logits a pixel, as `models.network.Network` takes them."""
    return {task.name: task.channels for task in tasks}


def _probability(logits: jax.Array) -> jax.Array:
    return jax.nn.sigmoid(logits[..., 0].astype(jnp.float32))


def _class_ids(logits: jax.Array) -> jax.Array:
    return jnp.argmax(logits, axis=-1).astype(jnp.uint8)


def _unit_vectors(logits: jax.Array) -> jax.Array:
    logits = logits.astype(jnp.float32)
    return logits / (jnp.linalg.norm(logits, axis=-1, keepdims=True) + 1e-12)


def _distance(logits: jax.Array) -> jax.Array:
    return logits[..., 0].astype(jnp.float32)


def _reflectance(logits: jax.Array) -> jax.Array:
    return jnp.clip(logits.astype(jnp.float32), 0.0, 1.0)


def edge(positive_weight: float = 0.95, protocol: str = "pascal", truth: str = "label_map") -> Task:
    """Boundaries.

    Args:
      positive_weight: weighs boundary pixels in the balanced loss, in [0, 1].
      protocol: key of `metrics.edges.PROTOCOLS`; its `true_edges` stays when the metric is made for
        another protocol, as it belongs to the form of the truth.
      truth: key of the map that `true_edges` makes edges of.
    """
    return Task(
        name="edge",
        channels=1,
        loss=functools.partial(
            losses.balanced_binary_cross_entropy, positive_weight=positive_weight
        ),
        loss_weight=50.0,
        predict=_probability,
        geometry="label",
        metric=functools.partial(
            edges.edge_metric,
            protocol=protocol,
            true_edges=edges.PROTOCOLS[protocol].true_edges,
        ),
        notation=edges.NOTATION,
        headline="odsF",
        higher_is_better=True,
        file=prediction_files.PROBABILITY,
        colorize=colormaps.colorize_edges,
        truth=truth,
    )


def semseg(class_names: tuple[str, ...] = VOC_CLASSES, classes: str = "all") -> Task:
    """Semantic segmentation. `classes='present'` averages over classes in the ground truth only."""
    return Task(
        name="semseg",
        channels=len(class_names),
        loss=losses.softmax_cross_entropy,
        loss_weight=1.0,
        predict=_class_ids,
        geometry="label",
        metric=functools.partial(
            segmentation.SegmentationMetric,
            len(class_names),
            classes=classes,
            class_names=class_names,
        ),
        notation=segmentation.NOTATION,
        headline="mIoU",
        higher_is_better=True,
        file=prediction_files.CLASS_MAP,
        colorize=colormaps.colorize_classes,
        truth="semseg",
        class_names=class_names,
    )


def human_parts() -> Task:
    """Background and six body parts; images without a person count neither in loss nor metric."""
    return Task(
        name="human_parts",
        channels=len(PART_CLASSES),
        loss=losses.softmax_cross_entropy,
        loss_weight=2.0,
        predict=_class_ids,
        geometry="foreground",
        metric=functools.partial(
            segmentation.SegmentationMetric,
            len(PART_CLASSES),
            skip_empty=True,
            class_names=PART_CLASSES,
        ),
        notation=segmentation.NOTATION,
        headline="mIoU",
        higher_is_better=True,
        file=prediction_files.CLASS_MAP,
        colorize=colormaps.colorize_parts,
        truth="human_parts",
        class_names=PART_CLASSES,
    )


def normals() -> Task:
    """Surface normals: unit vectors in camera axes, x right, y down, z towards the camera."""
    return Task(
        name="normals",
        channels=3,
        loss=losses.normals_l1,
        loss_weight=10.0,
        predict=_unit_vectors,
        geometry="normals",
        metric=normals_metric.NormalsMetric,
        notation=normals_metric.NOTATION,
        headline="mean",
        higher_is_better=False,
        file=prediction_files.NORMALS,
        colorize=colormaps.colorize_normals,
        truth="normals",
        unit_length=True,
    )


def sal() -> Task:
    """Saliency: probability that a pixel belongs to what the eye goes to first."""
    return Task(
        name="sal",
        channels=1,
        loss=functools.partial(losses.balanced_binary_cross_entropy, positive_weight=None),
        loss_weight=5.0,
        predict=_probability,
        geometry="label",
        metric=saliency.SaliencyMetric,
        notation=saliency.NOTATION,
        headline="mIoU",
        higher_is_better=True,
        file=prediction_files.PROBABILITY,
        colorize=colormaps.colorize_saliency,
        truth="sal",
    )


def depth(loss_weight: float = 1.0) -> Task:
    """Depth in metres along the optical axis."""
    return Task(
        name="depth",
        channels=1,
        loss=losses.depth_l1,
        loss_weight=loss_weight,
        predict=_distance,
        geometry="depth",
        metric=regression.DepthMetric,
        notation=regression.DEPTH_NOTATION,
        headline="rmse",
        higher_is_better=False,
        file=prediction_files.DEPTH,
        colorize=colormaps.colorize_depth,
        truth="depth",
    )


def disparity() -> Task:
    """Disparity, which is inverse to depth and has no unit, for data that measure distance so."""
    return dataclasses.replace(
        depth(),
        geometry="disparity",
        notation=regression.DISPARITY_NOTATION,
        colorize=colormaps.colorize_disparity,
    )


def albedo() -> Task:
    """Reflectance in 0..1 per colour channel: the picture without light and shadow."""
    return Task(
        name="albedo",
        channels=3,
        loss=losses.albedo_l1,
        loss_weight=1.0,
        predict=_reflectance,
        geometry="linear",
        metric=regression.AlbedoMetric,
        notation=regression.ALBEDO_NOTATION,
        headline="rmse",
        higher_is_better=False,
        file=prediction_files.ALBEDO,
        colorize=colormaps.colorize_albedo,
        truth="albedo",
    )
