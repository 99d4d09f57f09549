"""All settings of an experiment: a ConfigDict becomes frozen, checked records, once."""

import collections
import dataclasses
import fnmatch
import os
import pathlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from astmt_jax.config import former
from astmt_jax.config.evaluation import EvaluationConfig
from astmt_jax.config.model import DiscriminatorConfig, ModelConfig, check_discriminator
from astmt_jax.config.training import AugmentationConfig, OptimizerConfig, TrainConfig
from astmt_jax.records import (
    as_config_dict,
    build_record,
    check_choice,
    check_path,
    check_range,
    shown_name,
)

if TYPE_CHECKING:
    from ml_collections import ConfigDict

FREE_TO_CHANGE = (
    "config.plugins",
    "config.dataset.data_dir",
    "config.dataset.validation_split",
    "config.dataset.options.datasets.*.validation_split",
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
"""Fields and sections without influence on what a run learns: it can go on with other values. The *
is the name of one of a mixture's datasets."""

DATA_DIR = "data"
"""Where prepared datasets live, unless it is said otherwise."""

MAX_SEED = 2**32 - 1
"""JAX takes the seeds of random numbers modulo 2 ** 32."""


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
class Config:
    """Everything that decides an experiment's outcome.

    Attributes:
      seed: of initial weights, order of the data and augmentation.
      tasks: names, in the order in which they are trained; the dataset must have them.
      plugins: what the command line loads before all else, joined by +: see `plugins.load`.
      init_from: folder of a run, of whose variables this one takes what fits by name and shape
        (see `training.matching`); None starts anew.
      freeze: 'shared' trains only what `trained_tasks` own, and leaves everything else of the run
        that this one starts from bitwise as it is; None trains everything.
      trained_tasks: with `freeze`, the tasks that are trained; () are those that the run of
        `init_from` has not.
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
    plugins: str = ""
    init_from: str | None = None
    freeze: str | None = None
    trained_tasks: tuple[str, ...] = ()

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
        self._check_start()
        if self.train.image_size % self.model.output_stride:
            raise ValueError(
                f"train.image_size is {self.train.image_size}, but must be a multiple of "
                f"model.output_stride, {self.model.output_stride}."
            )

    def _check_start(self) -> None:
        """Raises ValueError where what the run starts from does not fit together."""
        if self.init_from is not None and self.model.pretrained is not None:
            raise ValueError(
                "init_from and model.pretrained both say what the encoder starts from: leave one "
                "of them out."
            )
        if self.freeze is None:
            if self.trained_tasks:
                raise ValueError(
                    "trained_tasks is set, but freeze is None, which trains all tasks: set "
                    "freeze='shared', too, or leave it out."
                )
            return
        check_choice("freeze", self.freeze, ("shared",))
        if self.init_from is None:
            raise ValueError(
                f"freeze is {self.freeze!r}, but init_from is None: name the run whose network "
                "stays as it is."
            )
        for name in self.trained_tasks:
            check_choice("trained_tasks", name, self.tasks)

    @property
    def learning_tasks(self) -> tuple[str, ...]:
        """The tasks that training changes, in the order of `tasks`."""
        return tuple(name for name in self.tasks if name in (self.trained_tasks or self.tasks))

    def to_dict(self) -> dict[str, Any]:
        """Nested dict of plain values, as stored beside checkpoints."""
        return dataclasses.asdict(self)


def from_config_dict(config: "ConfigDict | Mapping[str, Any]") -> Config:
    """Checks a ConfigDict (or the dict that `Config.to_dict` gave) and freezes it.

    Raises:
      ValueError: naming the field that is unknown, missing, of a wrong type or out of range.
    """
    values: Any = getattr(config, "to_dict", lambda: config)()
    former.check_values(values)
    return build_record(Config, values, "config")


def from_recorded(values: Any) -> Config:
    """The settings that this version or an earlier one recorded; errors of `from_config_dict`."""
    return from_config_dict(former.renamed(values))


def with_stride_in(config: Config, stride_in: str) -> Config:
    """The settings with another `model.stride_in`."""
    return dataclasses.replace(config, model=dataclasses.replace(config.model, stride_in=stride_in))


def with_trained_tasks(config: Config, names: tuple[str, ...]) -> Config:
    """The settings with `trained_tasks`, and no discriminator: it trains what tasks share."""
    discriminator = dataclasses.replace(config.discriminator, weight=0.0)
    return dataclasses.replace(config, trained_tasks=names, discriminator=discriminator)


def complete(values: Mapping[str, Any]) -> "ConfigDict":
    """Checks the fields that a configuration file sets and adds all others with their defaults.

    So every field of `Config` can be set on the command line, those that are None, too.

    Raises:
      ValueError: as `from_config_dict`.
    """
    return as_config_dict(from_config_dict(values))


def is_free_to_change(path: str) -> bool:
    """Whether a field, such as 'config.train.num_threads', is, or is part of, `FREE_TO_CHANGE`."""
    return any(fnmatch.fnmatchcase(f"{path}.", f"{free}.*") for free in FREE_TO_CHANGE)


def differences(old: Mapping[str, Any], new: Mapping[str, Any], where: str = "config") -> list[str]:
    """Fields in which two `Config.to_dict()` differ, as 'config.train.epochs: 3 -> 4'.

    Those that are free to change are left out.
    """
    changes = []
    for name in sorted({*old, *new}):
        a, b, path = old.get(name), new.get(name), f"{where}.{name}"
        if is_free_to_change(path):
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
    former.check_path(path)
    check_path(Config, path)
