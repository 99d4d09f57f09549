"""Settings of training: how parameters are updated, how images move, and the loop."""

import dataclasses
import math

import numpy as np

from astmt_jax.records import check_choice, check_range, shown

NORMALIZATIONS = {
    "none": (np.zeros(3), np.ones(3)),
    "imagenet": (255 * np.array([0.485, 0.456, 0.406]), 255 * np.array([0.229, 0.224, 0.225])),
    "efficientnet_lite": (np.full(3, 127.0), np.full(3, 128.0)),
}
"""Mean and standard deviation of the RGB channels, for images in 0..255."""

MAX_IMAGE_SIZE = 2**14
MAX_COUNT = 2**20
"""Of images a batch, passes over the data, and threads."""


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
class TrainConfig:
    """The training loop.

    Attributes:
      image_size: side of the square images that the network sees, in pixels.
      batch_size: images a batch, over all devices; of a mixture of datasets, groups of images.
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
