"""The experiment's settings: a ConfigDict from configs/ becomes frozen, checked records, once."""

import collections
import dataclasses
import math
import os
import pathlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import jax.numpy as jnp
import numpy as np

from astmt_jax.metrics import regression, saliency
from astmt_jax.metrics.edge_protocols import PROTOCOLS
from astmt_jax.metrics.segmentation import MEAN_OVER
from astmt_jax.records import (
    as_config_dict,
    build_record,
    check_choice,
    check_path,
    check_range,
    shown,
    shown_name,
)

if TYPE_CHECKING:
    from ml_collections import ConfigDict

FREE_TO_CHANGE = (
    "config.dataset.data_dir",
    "config.dataset.validation_split",
    "config.train.log_every_steps",
    "config.train.checkpoint_every_steps",
    "config.train.keep_checkpoints",
    "config.train.keep_every_steps",
    "config.train.num_threads",
    "config.train.shard_parameters",
    "config.train.eval_every_epochs",
    "config.train.best_by",
    "config.train.baselines",
    "config.train.trackers",
    "config.evaluation",
)
"""Fields and sections without influence on what a run learns: it can go on with other values."""

FORMER_FIELDS = {
    "config.model.adapters": ("config.model.encoder_adapters", "config.model.decoder_adapters"),
}
"""Fields of earlier versions, and those that have their values today."""

NORMALIZATIONS = {
    "none": (np.zeros(3), np.ones(3)),
    "imagenet": (255 * np.array([0.485, 0.456, 0.406]), 255 * np.array([0.229, 0.224, 0.225])),
    "efficientnet_lite": (np.full(3, 127.0), np.full(3, 128.0)),
}
"""Mean and standard deviation of the RGB channels, for images in 0..255."""

DATA_DIR = "data"
"""Where prepared datasets live, unless it is said otherwise."""

MAX_SEED = 2**32 - 1
"""JAX takes the seeds of random numbers modulo 2 ** 32."""
MAX_WIDTH_MULTIPLIER = 64
MAX_DECODER_WIDTH = 2**14
MAX_IMAGE_SIZE = 2**14
MAX_COUNT = 2**20
"""Of images a batch, passes over the data, and threads."""

STRIDES_IN = ("conv1", "conv2")
"""Where a bottleneck's stride can sit; see `ModelConfig.stride_in`."""

DEFAULT = "default"
CHOICES = {
    "edge_protocol": (DEFAULT, *PROTOCOLS),
    "edge_truth": (DEFAULT, "edges"),
    "semseg_classes": (DEFAULT, *MEAN_OVER),
    "depth_convention": (DEFAULT, *regression.CONVENTIONS),
    "sal_convention": (DEFAULT, *saliency.CONVENTIONS),
}
"""Values of those fields of `EvaluationConfig` that concern anybody's predictions."""
LIMITS = ("min_depth", "max_depth")
"""The same, of those fields that are numbers."""

EVALUATION_PROTOCOLS = {
    "astmt": {"depth_convention": "masked", "sal_convention": "astmt"},
    "successors": {"depth_convention": "pooled", "sal_convention": "successors"},
}
"""Whose published numbers ours are to mean the same as -> what is chosen, where it is 'default'.
What a protocol does not name is the dataset's own in it."""


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """The network's architecture and which of its parts each task owns.

    What depends on the family of the backbone is checked where networks are built, by
    `families.find`, and so are the choices that tables in the folder models/ hold.

    Attributes:
      backbone: a key of `families.BACKBONES`.
      width_multiplier: scales every width of the encoder (1.0 is the paper's).
      output_stride: input resolution / resolution of the encoder's last stage; 8 or 16.
      stride_in: which convolution of a ResNet's bottleneck has the stride: 'conv1' (1x1, the
        reference implementation's) or 'conv2' (3x3, as ImageNet classifiers have it); or what
        `weights.imagenet.settled` makes one of them: 'auto', which is 'conv2' with `pretrained`
        and 'conv1' without, or 'paper', the same but for the reference implementation's own
        classifiers, from which the paper's networks started with 'conv1'.
      decoder: 'deeplab' (DeepLab-v3+) or 'uber' (a small one for each task, as in UberNet; it
        ignores the other settings of the decoder).
      decoder_width: channels of the decoder's features; the paper's PASCAL networks use 64.
      encoder_norm: batch norm of the encoder's blocks: 'per_task', 'shared', or 'frozen' (shared,
        scale and bias never trained). The stem's is shared in any case, and frozen with 'frozen'.
      encoder_se: squeeze-and-excitation of the encoder's blocks: 'per_task' or 'shared'.
      encoder_adapters: per-task 1x1 convolutions in parallel with a ResNet's 3x3 ones, or with the
        blocks of an EfficientNet-Lite; MobileNets have none.
      decoder_adapters: the same in parallel with the decoder's convolutions.
      decoder_norm: batch norm of the decoder: 'per_task' or 'shared'.
      decoder_se: whether the decoder has (per-task) squeeze-and-excitation.
      conv_init: initial convolution kernels: 'gaussian' (N(0, 0.01), the paper's, whose encoder
        starts from ImageNet), 'kaiming' (N(0, sqrt(2 / fan-in)), to train from scratch) or
        'kaiming_fan_out' (N(0, sqrt(2 / fan-out)), usual for MobileNets).
      pretrained: file of an ImageNet classifier's weights that the encoder starts from (see
        `astmt_jax.weights.imagenet`); None draws them as `conv_init` says.
      dtype: of activations and matrix products; parameters, statistics and losses stay float32.
      remat: what of the inside of the encoder's blocks the backward pass computes again, to save
        memory: 'none', 'elementwise' (normalisations and activations) or 'block' (everything).
    """

    backbone: str = "resnet26"
    width_multiplier: float = 1.0
    output_stride: int = 16
    stride_in: str = "auto"
    decoder: str = "deeplab"
    decoder_width: int = 64
    encoder_norm: str = "per_task"
    encoder_se: str = "per_task"
    encoder_adapters: bool = True
    decoder_adapters: bool = True
    decoder_norm: str = "per_task"
    decoder_se: bool = True
    conv_init: str = "gaussian"
    pretrained: str | None = None
    dtype: str = "float32"
    remat: str = "none"

    def __post_init__(self):
        check_choice("model.output_stride", self.output_stride, (8, 16))
        check_choice("model.stride_in", self.stride_in, (*STRIDES_IN, "auto", "paper"))
        check_choice("model.decoder", self.decoder, ("deeplab", "uber"))
        check_choice("model.encoder_norm", self.encoder_norm, ("per_task", "shared", "frozen"))
        check_choice("model.encoder_se", self.encoder_se, ("per_task", "shared"))
        check_choice("model.decoder_norm", self.decoder_norm, ("per_task", "shared"))
        check_choice("model.dtype", self.dtype, ("float32", "bfloat16", "float64"))
        check_range("model.width_multiplier", self.width_multiplier, 0, MAX_WIDTH_MULTIPLIER)
        check_range("model.decoder_width", self.decoder_width, 0, MAX_DECODER_WIDTH)
        if self.decoder_width < 32 or self.decoder_width % 16:
            raise ValueError(
                f"model.decoder_width is {self.decoder_width}, but must be a multiple of 16 and at "
                "least 32 (the paper uses 64; DeepLab-v3+ uses 256)."
            )

    @property
    def strides_like_classifiers(self) -> bool:
        """Whether a bottleneck's 3x3 convolution has the stride; not where that is undecided."""
        return self.stride_in == "conv2"

    @property
    def stem_norm(self) -> str:
        """Batch norm of the encoder's stem, which no task owns."""
        return "frozen" if self.encoder_norm == "frozen" else "shared"

    def scaled(self, channels: int) -> int:
        """Width of one of the encoder's layers that has `channels` at width 1."""
        return int(channels * self.width_multiplier)

    @property
    def compute_dtype(self):
        """`dtype` as a NumPy dtype."""
        return jnp.dtype(self.dtype)


@dataclasses.dataclass(frozen=True)
class DiscriminatorConfig:
    """The discriminator of the tasks' gradients.

    Attributes:
      weight: d in total = (1 - d) * task loss + d * discriminator loss; 0 leaves it out.
      depth: number of convolutions, 1 or 2.
      kernel: their size: 1 for PASCAL, 3 for NYUD in the paper's experiments.
    """

    weight: float = 0.01
    depth: int = 2
    kernel: int = 1

    def __post_init__(self):
        if not 0 <= self.weight < 1:
            raise ValueError(
                f"discriminator.weight is {self.weight}, but must be in [0, 1); 0 switches it off."
            )
        check_choice("discriminator.depth", self.depth, (1, 2))
        check_choice("discriminator.kernel", self.kernel, (1, 3))


def check_discriminator(model: ModelConfig, discriminator: DiscriminatorConfig) -> None:
    """Raises ValueError if the model's tasks have no features of one width to compare."""
    if model.decoder == "uber" and discriminator.weight > 0:
        raise ValueError(
            f"discriminator.weight is {discriminator.weight}, but model.decoder is 'uber', whose "
            "features differ in width from task to task: set the weight to 0."
        )


@dataclasses.dataclass(frozen=True)
class OptimizerConfig:
    """How parameters are updated.

    Attributes:
      name: 'sgd' (momentum, weight decay added to the gradient; the paper's) or 'adamw'.
      learning_rate: of shared parameters at the start.
      momentum: of SGD; b1, the decay of AdamW's first moment.
      adam_b2: decay of AdamW's second moment; SGD has none.
      weight_decay: on every parameter.
      schedule: of the learning rate: 'poly'.
      warmup_steps: linear increase of the learning rate over the first steps.
      poly_power: decay to (1 - progress) ** poly_power.
      decay_every: 'epoch' (progress advances with each epoch, as in the paper) or 'step'.
      task_multiplier: learning-rate multiplier of task-specific parameters, prediction layers
        included; None means the number of tasks, as in the paper.
      discriminator_multiplier: learning-rate multiplier of the discriminator.
      ema_decay: of an exponential moving average of the variables (see `moving_average`), which is
        then what is evaluated; None keeps none.
    """

    name: str = "sgd"
    learning_rate: float = 1e-3
    momentum: float = 0.9
    adam_b2: float = 0.999
    weight_decay: float = 1e-4
    schedule: str = "poly"
    warmup_steps: int = 0
    poly_power: float = 0.9
    decay_every: str = "epoch"
    task_multiplier: float | None = None
    discriminator_multiplier: float = 10.0
    ema_decay: float | None = None

    def __post_init__(self):
        check_choice("optimizer.decay_every", self.decay_every, ("epoch", "step"))
        if not 0 < self.learning_rate < math.inf:
            raise ValueError(
                f"optimizer.learning_rate is {self.learning_rate}, but must be a positive number."
            )
        for name in ("momentum", "adam_b2"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(
                    f"optimizer.{name} is {getattr(self, name)}, but must be in [0, 1)."
                )
        if self.ema_decay is not None and not 0 < self.ema_decay < 1:
            raise ValueError(
                f"optimizer.ema_decay is {self.ema_decay}, but must be between 0 and 1, or None."
            )
        for name in (
            "weight_decay",
            "warmup_steps",
            "poly_power",
            "task_multiplier",
            "discriminator_multiplier",
        ):
            value = getattr(self, name)
            if value is not None and not 0 <= value < math.inf:
                raise ValueError(f"optimizer.{name} is {shown(value)}, but must be 0 or more.")


@dataclasses.dataclass(frozen=True)
class AugmentationConfig:
    """Distribution of motions.

    Attributes:
      flip: mirror every second image.
      rotation: largest angle in degrees, 0..180; uniform in [-rotation, rotation].
      scale: smallest and largest zoom, positive; uniform between them.
      depth_scaling: divide depth by the zoom, and multiply disparity by it (the reference
        implementation does not).

    Raises:
      ValueError: a value is out of its range.
    """

    flip: bool = True
    rotation: float = 20.0
    scale: tuple[float, float] = (0.75, 1.25)
    depth_scaling: bool = True

    def __post_init__(self):
        if not 0 <= self.rotation <= 180:
            raise ValueError(
                f"augmentation.rotation is {self.rotation}; it must be an angle of 0 to 180 degrees"
            )
        if len(self.scale) != 2 or not 0 < self.scale[0] <= self.scale[1] < math.inf:
            raise ValueError(
                f"augmentation.scale is {self.scale}; it must be two positive numbers, smallest"
                " zoom first"
            )


@dataclasses.dataclass(frozen=True)
class EvaluationConfig:
    """How predictions are scored.

    What is 'default' is left to the protocol, and what that does not choose to the dataset.

    Attributes:
      quantize: score a network's predictions as they come back from the files that the reference
        implementation writes (8-bit levels; depth is not rounded), not as they are.
      image_resize: how images become as large as the network's input, a key of `augment.RESIZES`:
        'linear' as in training, or 'cubic', the reference implementation's.
      protocol: a key of `EVALUATION_PROTOCOLS`, which chooses what is 'default' below.
      edge_protocol: key of `metrics.edge_protocols.PROTOCOLS`; the truth stays the dataset's.
      edge_truth: 'edges' compares with the edge labels, thinned, and nothing else.
      semseg_classes: 'all' or 'present': the classes that mIoU is the mean over.
      depth_convention: 'masked', 'pooled', or 'reference' for the reference implementation's
        numbers; see `metrics.regression.DepthMetric`.
      min_depth: metres; depth is scored where the truth is more than that. None is 0.
      max_depth: metres; depth is scored where the truth is less than that. None is no limit.
      sal_convention: 'astmt', 'astmt_numpy1' or 'successors'; see `metrics.saliency`.

    Raises:
      ValueError: an unknown choice.
    """

    quantize: bool = True
    image_resize: str = "linear"
    protocol: str = "astmt"
    edge_protocol: str = DEFAULT
    edge_truth: str = DEFAULT
    semseg_classes: str = DEFAULT
    depth_convention: str = DEFAULT
    min_depth: float | None = None
    max_depth: float | None = None
    sal_convention: str = DEFAULT

    def __post_init__(self):
        check_choice("evaluation.protocol", self.protocol, EVALUATION_PROTOCOLS)
        for name, choices in CHOICES.items():
            check_choice(f"evaluation.{name}", getattr(self, name), choices)
        chosen = self.choices()
        regression.check_depth_range(
            str(chosen.get("depth_convention")), self.min_depth, self.max_depth
        )

    def choices(self) -> dict[str, str | float]:
        """What is chosen, here or by the protocol; what is left to the dataset is not in it."""
        written = {name: getattr(self, name) for name in (*CHOICES, *LIMITS)}
        said = {name: value for name, value in written.items() if value not in (DEFAULT, None)}
        return {**EVALUATION_PROTOCOLS[self.protocol], **said}


@dataclasses.dataclass(frozen=True)
class DatasetConfig:
    """Which data, and where it lives.

    Attributes:
      name: a name of `datasets.registry`.
      data_dir: folder of prepared datasets, as it is written.
      options: fields of the dataset's own options record.
      train_split: split to train on, or a slice such as 'train[:64]'; '' is the dataset's own.
      eval_split: split to evaluate on, in the same way.
      validation_split: split to evaluate on during training, in the same way; '' is the one to
        evaluate on, by which no checkpoint can be chosen.
    """

    name: str
    data_dir: str = DATA_DIR
    options: dict[str, Any] = dataclasses.field(default_factory=dict)
    train_split: str = ""
    eval_split: str = ""
    validation_split: str = ""

    @property
    def folder(self) -> pathlib.Path:
        """`data_dir`, in which ~ is the home folder."""
        return pathlib.Path(os.path.expanduser(self.data_dir))


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """The training loop.

    Attributes:
      image_size: side of the square images that the network sees, in pixels.
      batch_size: images a batch, over all devices.
      epochs: passes over the training split.
      accumulate: in how many parts a batch is taken, one after the other, to save memory; see
        `training.update.Ingredients` for what that means for batch norm.
      update_rule: 'per_task' (the paper's: one optimizer step a task and batch) or 'joint' (one
        step a batch on the sum of all losses).
      normalize: scaling of the input, a key of `NORMALIZATIONS`.
      log_every_steps: between lines of progress and points of the curves.
      checkpoint_every_steps: between checkpoints; the last step is always saved.
      keep_checkpoints: how many of the newest checkpoints stay.
      keep_every_steps: checkpoints of multiples of it stay for good, too; None for none.
      num_threads: of the input pipeline; None is one a core.
      shard_parameters: splits variables and optimizer states over the devices instead of keeping
        them on every one, which saves memory and costs communication.
      eval_every_epochs: between evaluations during training, on `dataset.validation_split`; None
        evaluates at the end only.
      best_by: by what the best checkpoint is chosen, on `dataset.validation_split`: a metric such
        as 'semseg.mIoU', or 'average_drop' against the baselines; None keeps and scores the last.
      baselines: results of single-task networks, with which the average drop is shown: a
        results.json, or a folder of runs; see `evaluation.baselines`.
      trackers: what shows the run beside TensorBoard, names of `training.trackers`.
    """

    image_size: int
    batch_size: int
    epochs: int
    accumulate: int = 1
    update_rule: str = "per_task"
    normalize: str = "imagenet"
    log_every_steps: int = 50
    checkpoint_every_steps: int = 1000
    keep_checkpoints: int = 2
    keep_every_steps: int | None = None
    num_threads: int | None = None
    shard_parameters: bool = False
    eval_every_epochs: int | None = None
    best_by: str | None = None
    baselines: str | None = None
    trackers: tuple[str, ...] = ()

    def __post_init__(self):
        check_choice("train.normalize", self.normalize, NORMALIZATIONS)
        for name in (
            "image_size",
            "batch_size",
            "epochs",
            "accumulate",
            "log_every_steps",
            "checkpoint_every_steps",
            "keep_checkpoints",
        ):
            if getattr(self, name) < 1:
                raise ValueError(f"train.{name} is {getattr(self, name)}, but must be at least 1.")
        for name in ("keep_every_steps", "num_threads", "eval_every_epochs"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"train.{name} is {value}, but must be at least 1, or None.")
        check_range("train.image_size", self.image_size, 1, MAX_IMAGE_SIZE)
        for name in ("batch_size", "epochs", "accumulate", "num_threads"):
            check_range(f"train.{name}", getattr(self, name), 1, MAX_COUNT)


@dataclasses.dataclass(frozen=True)
class Config:
    """Everything that decides an experiment's outcome.

    Attributes:
      seed: of initial weights, order of the data and augmentation.
      tasks: names, in the order in which they are trained; the dataset must have them.
    """

    seed: int
    dataset: DatasetConfig
    tasks: tuple[str, ...]
    model: ModelConfig
    discriminator: DiscriminatorConfig
    optimizer: OptimizerConfig
    augmentation: AugmentationConfig
    train: TrainConfig
    evaluation: EvaluationConfig = dataclasses.field(default_factory=EvaluationConfig)

    def __post_init__(self):
        check_range("seed", self.seed, 0, MAX_SEED)
        if not self.tasks:
            raise ValueError("tasks is empty, but must name at least one task.")
        repeated = [name for name, count in collections.Counter(self.tasks).items() if count > 1]
        if repeated:
            raise ValueError(
                f"tasks names {', '.join(map(shown_name, sorted(repeated)[:5]))} more than once."
            )
        check_discriminator(self.model, self.discriminator)
        if self.train.image_size % self.model.output_stride:
            raise ValueError(
                f"train.image_size is {self.train.image_size}, but must be a multiple of "
                f"model.output_stride, {self.model.output_stride}."
            )

    def to_dict(self) -> dict[str, Any]:
        """Nested dict of plain values, as stored beside checkpoints."""
        return dataclasses.asdict(self)


def from_config_dict(config: "ConfigDict | Mapping[str, Any]") -> Config:
    """Checks a ConfigDict (or the dict that `Config.to_dict` gave) and freezes it.

    Raises:
      ValueError: naming the field that is unknown, missing, of a wrong type or out of range.
    """
    values: Any = getattr(config, "to_dict", lambda: config)()
    for former in FORMER_FIELDS:
        _, section, field = former.split(".")
        if _has(values, section, field):
            _refuse_former(former)
    return build_record(Config, values, "config")


def from_recorded(values: Any) -> Config:
    """The settings that this version or an earlier one recorded; errors of `from_config_dict`."""
    for former, current in FORMER_FIELDS.items():
        _, section, field = former.split(".")
        if _has(values, section, field):
            fields = dict(values[section])
            value = fields.pop(field)
            renamed = {path.rpartition(".")[2]: value for path in current}
            values = {**values, section: {**fields, **renamed}}
    return from_config_dict(values)


def _has(values: Any, section: str, field: str) -> bool:
    fields = values.get(section) if isinstance(values, Mapping) else None
    return isinstance(fields, Mapping) and field in fields


def _refuse_former(path: str) -> None:
    raise ValueError(f"{path} has become {' and '.join(FORMER_FIELDS[path])}: set these.")


def with_stride_in(config: Config, stride_in: str) -> Config:
    """The settings with another `model.stride_in`."""
    return dataclasses.replace(config, model=dataclasses.replace(config.model, stride_in=stride_in))


def complete(values: Mapping[str, Any]) -> "ConfigDict":
    """Checks the fields that a configuration file sets and adds all others with their defaults.

    So every field of `Config` can be set on the command line, those that are None, too.

    Raises:
      ValueError: as `from_config_dict`.
    """
    return as_config_dict(from_config_dict(values))


def differences(old: Mapping[str, Any], new: Mapping[str, Any], where: str = "config") -> list[str]:
    """Fields in which two `Config.to_dict()` differ, as 'config.train.epochs: 3 -> 4'.

    Those that are `FREE_TO_CHANGE` are left out.
    """
    changes = []
    for name in sorted({*old, *new}):
        a, b, path = old.get(name), new.get(name), f"{where}.{name}"
        if path in FREE_TO_CHANGE:
            continue
        if isinstance(a, Mapping) and isinstance(b, Mapping):
            changes += differences(a, b, path)
        elif _plain(a) != _plain(b):
            changes.append(f"{path}: {a!r} -> {b!r}")
    return changes


def _plain(value: Any) -> Any:
    """Tuples as lists, as JSON has them."""
    return list(value) if isinstance(value, tuple) else value


def check_field(path: str) -> None:
    """Checks that 'config.train.epochs', say, is a field of `Config`; errors of `check_path`."""
    if path in FORMER_FIELDS:
        _refuse_former(path)
    check_path(Config, path)
