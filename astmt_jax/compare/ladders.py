"""The ladders: which methods a comparison has, each derived from one configuration."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from astmt_jax.compare.methods import Method
from astmt_jax.config import Config, DiscriminatorConfig
from astmt_jax.models import families
from astmt_jax.paper import method_settings
from astmt_jax.records import check_choice

SINGLE_TASK = "single"
"""Name of the method that all others are compared with."""
MULTI_TASK = "mtl"
"""Name of plain multi-task learning."""

Changes = Mapping[str, Mapping[str, Any]]
"""Section of `Config` -> field -> value."""

NORM = {"encoder_norm": "per_task", "decoder_norm": "per_task"}
SE = {"encoder_se": "per_task", "decoder_se": True}
ADAPTERS = {"encoder_adapters": True, "decoder_adapters": True}
DISCRIMINATORS = {"weight": (0.001, 0.01, 0.1), "depth": (1, 2), "kernel": (1, 3)}
"""Field of `DiscriminatorConfig` -> values to compare."""


class Rows:
    """Methods in the making: single-task networks and plain multi-task learning are there.

    They share everything but the prediction layers, and have no discriminator.

    Args:
      config: what all methods have in common: data, optimizer and training are taken as they are.
    """

    def __init__(self, config: Config):
        backbone = config.model.backbone
        self.has_adapters = families.find(config.model).family.has_adapters
        self.everything = {**NORM, **SE, **(ADAPTERS if self.has_adapters else {})}
        self.complete = "bn_se_adapters" if self.has_adapters else "bn_se"
        shared, _ = method_settings("mtl", config.tasks, backbone)
        without = {"model": shared, "discriminator": {"weight": 0.0}}
        self.plain = with_changes(config, without)
        singles = {
            f"{SINGLE_TASK}-{task}": dataclasses.replace(self.plain, tasks=(task,))
            for task in config.tasks
        }
        self._methods = [Method(SINGLE_TASK, "single-task", singles, SINGLE_TASK)]
        self.add(MULTI_TASK, "multi-task", {}, SINGLE_TASK)

    def add(self, name: str, label: str, changes: Changes, changed: str) -> None:
        """Adds plain multi-task learning with other settings; arguments as of `add_config`."""
        self.add_config(name, label, with_changes(self.plain, changes), changed)

    def add_config(self, name: str, label: str, config: Config, changed: str) -> None:
        """Adds a method of one network.

        Args:
          name: of the method, and of its run's folder.
          label: what tables call it.
          config: its settings.
          changed: name of the method that it is compared with seed by seed.
        """
        self._methods.append(Method(name, label, {name: config}, SINGLE_TASK, changed))

    def methods(self) -> tuple[Method, ...]:
        """All that were added, in order."""
        return tuple(self._methods)


def with_changes(config: Config, changes: Changes) -> Config:
    """The settings with other fields of their sections."""
    sections = {
        name: dataclasses.replace(getattr(config, name), **fields)
        for name, fields in changes.items()
    }
    return dataclasses.replace(config, **sections)


def paper(config: Config) -> tuple[Method, ...]:
    """The paper's ablation: each method adds to the one before.

    Batch norm for each task, squeeze-and-excitation for each task (in the decoder, too), adapters,
    and adversarial training, which makes it ASTMT. Backbones without adapters leave them out, and
    configurations whose discriminator has the weight 0 adversarial training.
    """
    ladder = Rows(config)
    ladder.add("bn", "+ BN", {"model": NORM}, MULTI_TASK)
    ladder.add("bn_se", "+ SE", {"model": {**NORM, **SE}}, "bn")
    if ladder.has_adapters:
        ladder.add(ladder.complete, "+ adapters", {"model": ladder.everything}, "bn_se")
    if config.discriminator.weight > 0:
        weight = {"weight": config.discriminator.weight}
        changes = {"model": ladder.everything, "discriminator": weight}
        ladder.add("astmt", "+ adversarial (ASTMT)", changes, ladder.complete)
    return ladder.methods()


def modulation(config: Config) -> tuple[Method, ...]:
    """What each kind of modulation brings, and where in the network it pays."""
    ladder = Rows(config)
    ladder.add("bn", "BN", {"model": NORM}, MULTI_TASK)
    ladder.add("bn_se", "BN, SE", {"model": {**NORM, **SE}}, "bn")
    everything = "BN, SE"
    if ladder.has_adapters:
        everything = "BN, SE, adapters"
        ladder.add("bn_adapters", "BN, adapters", {"model": {**NORM, **ADAPTERS}}, "bn")
        ladder.add(ladder.complete, everything, {"model": ladder.everything}, "bn_adapters")
    for part in ("encoder", "decoder"):
        own = {name: value for name, value in ladder.everything.items() if name.startswith(part)}
        label = f"{everything} ({part} only)"
        ladder.add(f"{part}_only", label, {"model": own}, ladder.complete)
    return ladder.methods()


def discriminator(config: Config) -> tuple[Method, ...]:
    """Full modulation without a discriminator, with the configuration's, and with others.

    Where the configuration has none, `DiscriminatorConfig`'s weight stands for its own.

    Raises:
      ValueError: the decoder leaves the tasks no features of one width to compare.
    """
    if config.model.decoder == "uber":
        raise ValueError(
            "model.decoder is 'uber', with which there is no discriminator: --ladder=discriminator "
            "needs model.decoder=deeplab."
        )
    own = config.discriminator
    if not own.weight:
        own = dataclasses.replace(own, weight=DiscriminatorConfig.weight)
    ladder = Rows(config)
    ladder.add(ladder.complete, "no discriminator", {"model": ladder.everything}, MULTI_TASK)

    def add(name: str, chosen: DiscriminatorConfig) -> None:
        fields = dataclasses.asdict(chosen)
        label = ", ".join(f"{field} {value:g}" for field, value in fields.items())
        changes = {"model": ladder.everything, "discriminator": fields}
        ladder.add(name, label, changes, ladder.complete)

    add("astmt", own)
    for field, values in DISCRIMINATORS.items():
        for value in values:
            if value != getattr(own, field):
                other = dataclasses.replace(own, **{field: value})
                add(f"discriminator_{field}_{value:g}", other)
    return ladder.methods()


def decoder(config: Config) -> tuple[Method, ...]:
    """DeepLab-v3+'s decoder, which tasks share, and UberNet's, of which each has its own.

    Both without and with modulation; UberNet's has none of its own, and no discriminator. Drops
    are relative to single-task networks with DeepLab-v3+'s.
    """
    ladder = Rows(with_changes(config, {"model": {"decoder": "deeplab"}}))
    own = {name: value for name, value in ladder.everything.items() if name.startswith("encoder")}
    ladder.add("uber", "multi-task, UberNet", {"model": {"decoder": "uber"}}, MULTI_TASK)
    ladder.add(ladder.complete, "modulation", {"model": ladder.everything}, MULTI_TASK)
    changes = {"model": {**own, "decoder": "uber"}}
    ladder.add("uber_modulation", "modulation, UberNet", changes, ladder.complete)
    return ladder.methods()


def backbones(config: Config, names: Sequence[str] = ()) -> tuple[Method, ...]:
    """Single-task, multi-task and ASTMT on several backbones, each against its own single tasks.

    Where there is no discriminator the last is ASTMT without it.

    Args:
      config: what all have in common.
      names: of backbones; all of the family of the configuration's if none are given, as other
        families need other settings.

    Raises:
      ValueError: a backbone is unknown or of another family, or there are weights to start from,
        which fit one backbone only.
    """
    family = families.find(config.model).family
    known = [name for name, other in families.BACKBONES.items() if other.family is family]
    for name in names:
        check_choice("a backbone of --ladder", name, known)
    if config.model.pretrained is not None:
        raise ValueError(
            "model.pretrained fits one backbone, but --ladder=backbones compares several: leave it "
            "out, or make a comparison for each."
        )
    found: list[Method] = []
    for name in names or known:
        chosen = with_changes(config, {"model": {"backbone": name}})
        single, multi, *_, last = paper(chosen)
        label = "ASTMT" if chosen.discriminator.weight else "modulation"
        last = dataclasses.replace(last, label=label, changed=multi.name)
        found += [_of_backbone(method, name) for method in (single, multi, last)]
    return tuple(found)


def _of_backbone(method: Method, backbone: str) -> Method:
    """The method under a name of its own."""
    return Method(
        f"{backbone}-{method.name}",
        f"{backbone}, {method.label}",
        {f"{backbone}-{name}": config for name, config in method.configs.items()},
        f"{backbone}-{method.single_task}",
        method.changed and f"{backbone}-{method.changed}",
    )


LADDERS: Mapping[str, Callable[[Config], tuple[Method, ...]]] = {
    "paper": paper,
    "modulation": modulation,
    "discriminator": discriminator,
    "decoder": decoder,
    "backbones": backbones,
}
"""Name -> methods of a configuration."""
