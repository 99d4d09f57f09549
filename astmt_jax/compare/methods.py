"""The methods that the paper compares, derived from one configuration."""

import dataclasses
import pathlib
from collections.abc import Iterator

from astmt_jax.config import Config
from astmt_jax.models import families
from astmt_jax.paper import method_settings

SINGLE_TASK = "single"
"""Name of the method that all others are compared with."""


@dataclasses.dataclass(frozen=True)
class Method:
    """One row of the comparison.

    Attributes:
      name: identifier.
      label: what tables call it.
      configs: one for each of its networks, by what tells the networks apart in a folder's name:
        single-task learning has a network for every task, all other methods have one.
    """

    name: str
    label: str
    configs: dict[str, Config]


@dataclasses.dataclass(frozen=True)
class Run:
    """One network to train with one seed.

    Attributes:
      method: name of the method that it belongs to.
      config: its settings.
      folder: its folder within the comparison's, such as seed0/single-depth.
    """

    method: str
    config: Config
    folder: pathlib.PurePath


def methods(config: Config) -> tuple[Method, ...]:
    """The methods to compare, in the order of the paper's ablation: each adds to the one before.

    Single-task networks and plain multi-task learning share everything but the prediction layers;
    then come batch norm for each task, squeeze-and-excitation for each task (in the decoder, too),
    adapters, and adversarial training, which makes it ASTMT. Backbones without adapters leave them
    out, and configurations whose discriminator has the weight 0 adversarial training.

    Args:
      config: what all have in common: data, optimizer and training are taken as they are; only
        `tasks`, the modulation in `model`, and the discriminator's weight differ.

    Raises:
      ValueError: there is no such backbone.
    """
    family, backbone = families.find(config.model).family, config.model.backbone
    singles = {
        f"{SINGLE_TASK}-{task}": _variant(
            config, (task,), method_settings("single", (task,), backbone)[0]
        )
        for task in config.tasks
    }
    compared = [Method(SINGLE_TASK, "single-task", singles)]
    settings, _ = method_settings("mtl", config.tasks, backbone)
    weight = 0.0

    def add(name: str, label: str) -> None:
        variant = _variant(config, config.tasks, settings, weight)
        compared.append(Method(name, label, {name: variant}))

    add("mtl", "multi-task")
    settings = settings | {"encoder_norm": "per_task", "decoder_norm": "per_task"}
    add("bn", "+ BN")
    settings = settings | {"encoder_se": "per_task", "decoder_se": True}
    add("bn_se", "+ SE")
    if family.has_adapters:
        settings = settings | {"adapters": True}
        add("bn_se_adapters", "+ adapters")
    if config.discriminator.weight > 0:
        weight = config.discriminator.weight
        add("astmt", "+ adversarial (ASTMT)")
    return tuple(compared)


def _variant(config: Config, tasks: tuple[str, ...], modulation: dict, weight: float = 0.0):
    return dataclasses.replace(
        config,
        tasks=tasks,
        model=dataclasses.replace(config.model, **modulation),
        discriminator=dataclasses.replace(config.discriminator, weight=weight),
    )


def runs(compared: tuple[Method, ...], num_seeds: int) -> Iterator[Run]:
    """All runs, seed by seed, so that the first seed's comparison is complete early.

    The seeds are that of the configuration and those that follow it.
    """
    for offset in range(num_seeds):
        for method in compared:
            for name, config in method.configs.items():
                seed = config.seed + offset
                yield Run(
                    method.name,
                    dataclasses.replace(config, seed=seed),
                    pathlib.PurePath(f"seed{seed}", name),
                )
