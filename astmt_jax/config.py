"""The experiment's settings: a ConfigDict from configs/ becomes frozen, checked records, once."""

import dataclasses
import difflib
import types
import typing
from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict, config_dict

from astmt_jax.augment import Augmentation
from astmt_jax.models.config import (
    DiscriminatorConfig,
    ModelConfig,
    check_choice,
    check_discriminator,
)
from astmt_jax.models.families import BACKBONES
from astmt_jax.optimizer import OptimizerConfig
from astmt_jax.pipeline import NORMALIZATIONS
from astmt_jax.scoring import EvaluationConfig

FREE_TO_CHANGE = (
    "config.dataset.data_dir",
    "config.train.log_every_steps",
    "config.train.checkpoint_every_steps",
    "config.train.keep_checkpoints",
    "config.train.keep_every_steps",
    "config.train.num_threads",
    "config.train.shard_parameters",
    "config.evaluation",
)
"""Fields and sections without influence on what a run learns: it can go on with other values."""

UPDATE_RULES = ("per_task", "joint")
METHODS = ("astmt", "mtl", "single")


@dataclasses.dataclass(frozen=True)
class DatasetConfig:
    """Which data, and where it lives.

    Attributes:
      name: a name of `datasets.registry`.
      data_dir: folder of prepared datasets.
      options: fields of the dataset's own options record.
      train_split: split to train on, or a slice such as 'train[:64]'; '' is the dataset's own.
      eval_split: split to evaluate on, in the same way.
    """

    name: str
    data_dir: str = "data"
    options: dict[str, Any] = dataclasses.field(default_factory=dict)
    train_split: str = ""
    eval_split: str = ""


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """The training loop.

    Attributes:
      image_size: side of the square images that the network sees, in pixels.
      batch_size: images a batch, over all devices.
      epochs: passes over the training split.
      accumulate: in how many parts a batch is taken, one after the other, to save memory; see
        `TrainStep` for what that means for batch norm.
      update_rule: 'per_task' (the paper's: one optimizer step a task and batch) or 'joint' (one
        step a batch on the sum of all losses).
      normalize: scaling of the input, a key of `pipeline.NORMALIZATIONS`.
      log_every_steps: between lines of progress and points of the curves.
      checkpoint_every_steps: between checkpoints; the last step is always saved.
      keep_checkpoints: how many of the newest checkpoints stay.
      keep_every_steps: checkpoints of multiples of it stay for good, too; None for none.
      num_threads: of the input pipeline; None is one a core.
      shard_parameters: splits variables and optimizer states over the devices instead of keeping
        them on every one, which saves memory and costs communication.
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

    def __post_init__(self):
        check_choice("train.update_rule", self.update_rule, UPDATE_RULES)
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
        for name in ("keep_every_steps", "num_threads"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"train.{name} is {value}, but must be at least 1, or None.")


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
    augmentation: Augmentation
    train: TrainConfig
    evaluation: EvaluationConfig = dataclasses.field(default_factory=EvaluationConfig)

    def __post_init__(self):
        if self.seed < 0:
            raise ValueError(f"seed is {self.seed}, but must be at least 0.")
        if not self.tasks:
            raise ValueError("tasks is empty, but must name at least one task.")
        repeated = sorted({name for name in self.tasks if self.tasks.count(name) > 1})
        if repeated:
            raise ValueError(f"tasks names {', '.join(repeated)} more than once.")
        check_discriminator(self.model, self.discriminator)
        if self.train.image_size % self.model.output_stride:
            raise ValueError(
                f"train.image_size is {self.train.image_size}, but must be a multiple of "
                f"model.output_stride, {self.model.output_stride}."
            )

    def to_dict(self) -> dict[str, Any]:
        """Nested dict of plain values, as stored beside checkpoints."""
        return dataclasses.asdict(self)


def from_config_dict(config: ConfigDict | Mapping[str, Any]) -> Config:
    """Checks a ConfigDict (or the dict that `Config.to_dict` gave) and freezes it.

    Raises:
      ValueError: naming the field that is unknown, missing, of a wrong type or out of range.
    """
    values = config.to_dict() if isinstance(config, ConfigDict) else dict(config)
    return build_record(Config, values, "config")


def complete(values: Mapping[str, Any]) -> ConfigDict:
    """Checks the fields that a configuration file sets and adds all others with their defaults.

    So every field of `Config` can be set on the command line, those that are None, too.

    Raises:
      ValueError: as `from_config_dict`.
    """
    return _with_placeholders(from_config_dict(values))


def _with_placeholders(record: Any) -> ConfigDict:
    config = ConfigDict()
    for field in dataclasses.fields(record):
        value = getattr(record, field.name)
        if dataclasses.is_dataclass(value):
            config[field.name] = _with_placeholders(value)
        elif value is None:
            kind = next(k for k in typing.get_args(field.type) if k is not type(None))
            config[field.name] = config_dict.placeholder(kind)
        else:
            config[field.name] = value
    return config


def build_record(record: type, values: Mapping[str, Any], where: str) -> Any:
    """Makes a dataclass from a dict, converting nested ones, too.

    Raises:
      ValueError: naming the key, with `where` before it, that is unknown, missing or mistyped.
    """
    if not isinstance(values, Mapping):
        raise ValueError(f"{where} is {values!r}, but must be a section with fields of its own.")
    fields = _fields(record)
    for name in values:
        _check_known(name, fields, where)
    required = [
        name
        for name, field in fields.items()
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    ]
    missing = [name for name in required if name not in values]
    if missing:
        raise ValueError(f"{where} lacks {', '.join(missing)}.")
    return record(
        **{
            name: _convert(fields[name].type, value, f"{where}.{name}")
            for name, value in values.items()
        }
    )


def check_field(path: str) -> None:
    """Checks that 'config.train.epochs', say, is a field of `Config`.

    Raises:
      ValueError: naming the section in which a field is unknown, and the field that comes closest.
    """
    where, *names = path.split(".")
    record = Config
    for name in names:
        if not dataclasses.is_dataclass(record):
            return  # a dataset's own options
        fields = _fields(record)
        _check_known(name, fields, where)
        record, where = fields[name].type, f"{where}.{name}"


def _fields(record: type) -> dict[str, dataclasses.Field]:
    return {field.name: field for field in dataclasses.fields(record) if field.init}


def _check_known(name: str, fields: Mapping[str, Any], where: str) -> None:
    if name not in fields:
        close = difflib.get_close_matches(name, fields, 1)
        hint = f"did you mean {close[0]}?" if close else f"known: {', '.join(fields)}."
        raise ValueError(f"{where}.{name} is not a field; {hint}")


def _convert(kind: Any, value: Any, where: str) -> Any:
    """`value` as `kind` (a record, a scalar type, a tuple or a union with None)."""
    if dataclasses.is_dataclass(kind):
        return build_record(kind, value, where)
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is types.UnionType:
        if value is None:
            return None
        kind = next(argument for argument in arguments if argument is not type(None))
        return _convert(kind, value, where)
    if origin is tuple and isinstance(value, list | tuple):
        return tuple(_convert(arguments[0], item, where) for item in value)
    if origin is dict and isinstance(value, Mapping):
        return dict(value)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    numeric_bool = isinstance(value, bool) and kind is not bool
    if isinstance(kind, type) and isinstance(value, kind) and not numeric_bool:
        return value
    name = getattr(kind, "__name__", str(kind)) if origin is None else str(kind)
    raise ValueError(f"{where} is {value!r}, but must be of type {name}.")


def differences(old: Mapping[str, Any], new: Mapping[str, Any], where: str = "config") -> list[str]:
    """Fields in which two `Config.to_dict()` differ, as 'config.train.epochs: 3 -> 4'.

    Those that are `FREE_TO_CHANGE` are left out.
    """
    found = []
    for name in sorted({*old, *new}):
        a, b, path = old.get(name), new.get(name), f"{where}.{name}"
        if path in FREE_TO_CHANGE:
            continue
        if isinstance(a, Mapping) and isinstance(b, Mapping):
            found += differences(a, b, path)
        elif _plain(a) != _plain(b):
            found.append(f"{path}: {a!r} -> {b!r}")
    return found


def _plain(value: Any) -> Any:
    """Tuples as lists, as JSON has them."""
    return list(value) if isinstance(value, tuple) else value


def parse_variant(argument: str, **defaults: str) -> dict[str, str]:
    """Reads what follows the colon of `--config=FILE.py:key=value,key=value`.

    A value may contain '+' to name several things, such as tasks=edge+normals.

    Raises:
      ValueError: an unknown key, or no '=' in an entry.
    """
    chosen = dict(defaults)
    for entry in filter(None, argument.split(",")):
        key, separator, value = entry.partition("=")
        if not separator or key not in defaults:
            known = ", ".join(f"{key}={value}" for key, value in defaults.items())
            raise ValueError(
                f"{entry!r} after the config file's colon is not understood; known, with their "
                f"defaults: {known}."
            )
        chosen[key] = value
    return chosen


def method_settings(
    method: str, tasks: tuple[str, ...], backbone: str = ModelConfig.backbone
) -> tuple[dict[str, Any], float]:
    """What a method of the paper's comparison means for the model.

    Args:
      method: 'astmt' (per-task modulation and adversarial training), 'mtl' (plain multi-task
        learning: everything but the prediction layers is shared) or 'single' (the same plain
        network for one task).
      tasks: names of the tasks.
      backbone: a key of `BACKBONES`; not every one has adapters or a discriminator.

    Returns:
      Fields of `ModelConfig`, and the discriminator's weight.

    Raises:
      ValueError: an unknown method or backbone, or several tasks for a single-task network.
    """
    check_choice("method", method, METHODS)
    check_choice("backbone", backbone, BACKBONES)
    if method == "single" and len(tasks) != 1:
        raise ValueError(
            f"method=single trains one task, but tasks names {', '.join(tasks)}: "
            f"add one, such as method=single,tasks={tasks[0]}."
        )
    if method == "astmt":
        family = BACKBONES[backbone].family
        weight = DiscriminatorConfig.weight if family.adversarial else 0.0
        return {"adapters": family.has_adapters}, weight
    return {
        "encoder_norm": "shared",
        "encoder_se": "shared",
        "adapters": False,
        "decoder_norm": "shared",
        "decoder_se": False,
    }, 0.0
