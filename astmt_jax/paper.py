"""The settings that the paper's experiments have in common."""

import types
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from astmt_jax.config import DiscriminatorConfig, ModelConfig, complete
from astmt_jax.models.families import ADAPTERS, BACKBONES
from astmt_jax.records import check_choice

if TYPE_CHECKING:
    from ml_collections import ConfigDict

METHODS = ("astmt", "mtl", "single")


def paper_config(
    variant: str,
    *,
    dataset: str,
    tasks: tuple[str, ...],
    options: Mapping[str, Any],
    backbone: str,
    epochs: int,
    backbone_epochs: Mapping[str, int] = types.MappingProxyType({}),
    discriminator_kernel: int,
) -> "ConfigDict":
    """Settings of an experiment of the paper and of the reference implementation.

    512 x 512 images, one SGD step a task and batch, poly decay every epoch; what the backbone's
    family needs is in its `PaperSettings`.

    Args:
      variant: what follows the colon of --config: `method` ('single' where there is one task
        only), `tasks` and `backbone`.
      dataset: a name of `datasets.registry`.
      tasks: what `tasks=all` means, in the order of training.
      options: of the dataset.
      backbone: the default one.
      epochs: passes over the training split.
      backbone_epochs: the same for backbones that need others, by name.
      discriminator_kernel: size of the discriminator's convolutions.

    Raises:
      ValueError: the variant is not understood or cannot be.
    """
    method = "astmt" if len(tasks) > 1 else "single"
    chosen = parse_variant(variant, method=method, tasks="all", backbone=backbone)
    names = task_names(chosen["tasks"], tasks)
    modulation, discriminator_weight = method_settings(chosen["method"], names, chosen["backbone"])
    family = BACKBONES[chosen["backbone"]].family
    settings = family.paper
    return complete(
        {
            "seed": 0,
            "tasks": names,
            "dataset": {"name": dataset, "data_dir": "data", "options": dict(options)},
            "model": {
                "backbone": chosen["backbone"],
                "output_stride": 16,
                "decoder_width": 64,
                "stride_in": "paper",
                "conv_init": settings.conv_init,
                **modulation,
            },
            "discriminator": {
                "weight": discriminator_weight,
                "depth": 2,
                "kernel": discriminator_kernel,
            },
            "optimizer": {
                "name": "sgd",
                "learning_rate": 1e-3,
                "momentum": 0.9,
                "weight_decay": 1e-4,
                "poly_power": 0.9,
                "decay_every": "epoch",
                "task_multiplier": settings.task_multiplier,
                "discriminator_multiplier": 10.0,
            },
            "augmentation": {"flip": True, "rotation": 20.0, "scale": (0.75, 1.25)},
            "train": {
                "image_size": 512,
                "batch_size": settings.batch_size,
                "epochs": backbone_epochs.get(chosen["backbone"], epochs),
                "update_rule": "per_task",
                "normalize": family.classifiers.normalize,
            },
        }
    )


def task_names(chosen: str, every: tuple[str, ...]) -> tuple[str, ...]:
    """The tasks that a variant names.

    Args:
      chosen: names joined by +, of which 'all' stands for several.
      every: these.
    """
    return tuple(
        name for part in chosen.split("+") for name in (every if part == "all" else (part,))
    )


def parse_variant(argument: str, **defaults: str | tuple[str, ...]) -> dict[str, str]:
    """Reads what follows the colon of `--config=FILE.py:key=value,key=value`.

    A value may contain '+' to name several things, such as tasks=edge+normals.

    Args:
      argument: the text.
      **defaults: key -> value where the text names none; or all values that there are, that one
        first.

    Raises:
      ValueError: an unknown key or value, or no '=' in an entry.
    """
    choices = {key: known for key, known in defaults.items() if isinstance(known, tuple)}
    first = {key: known if isinstance(known, str) else known[0] for key, known in defaults.items()}
    chosen = dict(first)
    for entry in filter(None, argument.split(",")):
        key, separator, value = entry.partition("=")
        if not separator or key not in defaults:
            known = ", ".join(f"{key}={value}" for key, value in first.items())
            raise ValueError(
                f"{entry!r} after the config file's colon is not understood; known, with their "
                f"defaults: {known}."
            )
        if key in choices:
            check_choice(key, value, choices[key])
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
        weight = DiscriminatorConfig.weight if family.paper.adversarial else 0.0
        return dict.fromkeys(ADAPTERS, family.has_adapters), weight
    return {
        "encoder_norm": "shared",
        "encoder_se": "shared",
        "encoder_adapters": False,
        "decoder_norm": "shared",
        "decoder_se": False,
        "decoder_adapters": False,
    }, 0.0
