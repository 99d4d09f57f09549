"""The run that another one starts from: `config.init_from`, and `config.freeze`.

Its folder may come from a stranger, and is read as `load` reads one.
"""

import dataclasses
import os
import pathlib

import jax

from astmt_jax.config import STRIDES_IN, Config, differences, with_stride_in, with_trained_tasks
from astmt_jax.datasets import registry
from astmt_jax.files.messages import as_written
from astmt_jax.models.network import Network
from astmt_jax.tasks.task import channels_by_name
from astmt_jax.training.matching import Key, Match, Owner, Variables, match
from astmt_jax.training.trained import restore_variables, standing
from astmt_jax.training.workdir import recorded_config
from astmt_jax.weights import imagenet
from astmt_jax.weights.checks import WeightsError

WITHOUT_INFLUENCE = ("conv_init", "pretrained", "remat")
"""Fields of `ModelConfig` that decide nothing of what a network with given variables computes."""


def settled(config: Config) -> Config:
    """The settings with `model.stride_in` and `trained_tasks` decided.

    Both come from the run of `init_from` where there is one and they are left open; otherwise as
    `imagenet.settled`, whose errors it has, too.

    Raises:
      FileNotFoundError: there is no such run.
      ValueError: its settings cannot be read, or it has all tasks, so that none is to be trained.
    """
    if config.init_from is not None:
        if config.model.stride_in not in STRIDES_IN:
            stride_in = recorded_config(folder(config)).model.stride_in
            config = with_stride_in(config, stride_in)
        if config.freeze is not None:
            config = with_trained_tasks(config, config.trained_tasks or _added_tasks(config))
    return imagenet.settled(config)


def folder(config: Config) -> pathlib.Path:
    """Of the run to start from, which there is."""
    return pathlib.Path(os.path.expanduser(config.init_from or ""))


def _added_tasks(config: Config) -> tuple[str, ...]:
    """The tasks that the run to start from has not."""
    known = recorded_config(folder(config)).tasks
    added = tuple(name for name in config.tasks if name not in known)
    if not added:
        raise ValueError(
            f"freeze is {config.freeze!r}, but the run in {_shown(config)} has all tasks of this "
            "one, so that none is left to train: add a task, or name by trained_tasks those to "
            "go on with."
        )
    return added


def take(
    config: Config, initial: Variables, sharding: jax.sharding.Sharding
) -> tuple[Variables, list[str]]:
    """What a run starts with: all that fits of the variables of the run of `init_from`.

    These are the variables that stand for that run (see `trained.standing`), their moving averages
    where it keeps them.

    Args:
      config: settings of the run that starts, which `settled` gave.
      initial: its own initial variables.
      sharding: of arrays that every device of every process has.

    Returns:
      The variables, on the host, and lines that say what they are.

    Raises:
      WeightsError: the run's settings cannot be read, its encoder is another one, or it lacks
        something that would stay as it is.
      FileNotFoundError: there is no such run, or it has no checkpoint.
      CheckpointError: no checkpoint can be read.
      SelectionError: its best checkpoint is gone.
    """
    workdir = folder(config)
    try:
        origin = recorded_config(workdir)
        tasks = registry.tasks_of(origin)
        network = Network(origin.model, channels_by_name(tasks), origin.discriminator)
    except ValueError as error:
        raise WeightsError(f"init_from names no run to start from: {error}") from error
    _check_network(config, origin)
    trained = restore_variables(workdir, origin, network, sharding)
    found = match(initial, config.tasks, trained.evaluated, network.names)
    kept = [key for key in found.anew if config.freeze and key[0] not in config.trained_tasks]
    if kept:
        raise WeightsError(
            f"freeze is {config.freeze!r}, but {_shown(config)} has not all that would stay as it "
            f"is: {_of_owner(found, kept[0][0])}."
        )
    which = f"its {standing(workdir, origin)} checkpoint, of step {int(trained.step)}"
    return found.variables, _told(config, origin, found, which)


def _check_network(config: Config, origin: Config) -> None:
    """Checks that the encoders are of one kind, and with `freeze` that both compute the same.

    Raises:
      WeightsError: they do not.
    """
    new, old = config.model, origin.model
    encoders = [f"{each.backbone} of width {each.width_multiplier}" for each in (new, old)]
    if encoders[0] != encoders[1]:
        raise WeightsError(
            f"{_shown(config)} holds a {encoders[1]}, of which nothing fits a {encoders[0]}: set "
            f"model.backbone to {old.backbone} and model.width_multiplier to "
            f"{old.width_multiplier}, or choose another init_from."
        )
    changed = _changes(config, origin)
    if config.freeze is not None and changed:
        raise WeightsError(
            f"freeze is {config.freeze!r}, but what stays as it is would compute something else "
            f"than in {_shown(config)} ({'; '.join(changed)}): choose the same settings."
        )


def _changes(config: Config, origin: Config) -> list[str]:
    """Settings by which the same variables compute something else, from `origin` to `config`."""
    old, new = (
        {
            "model": {
                name: value
                for name, value in dataclasses.asdict(each.model).items()
                if name not in WITHOUT_INFLUENCE
            },
            "train": {"normalize": each.train.normalize},
        }
        for each in (origin, config)
    )
    return differences(old, new)


def _told(config: Config, origin: Config, found: Match, which: str) -> list[str]:
    """Lines about what was taken, and what was not."""
    shown, names = _shown(config), found.sizes.items()
    total = sum(found.sizes.values())
    taken = total - sum(size for key, size in names if key in found.anew)
    lines = [
        f"Starting from {shown} ({which}): {len(found.sizes) - len(found.anew)} of "
        f"{len(found.sizes)} variables are taken, {taken / total:.1%} of all numbers."
    ]
    for owner in dict.fromkeys(owner for owner, _ in found.anew):
        if isinstance(owner, tuple):
            lines.append("The discriminator starts anew: that of the run compares other tasks.")
        elif owner is not None and owner not in origin.tasks:
            lines.append(f"New: {owner}, of which the run has nothing.")
        else:
            lines.append(f"In part anew: {_of_owner(found, owner)}.")
    left = [name for name in origin.tasks if name not in config.tasks]
    if left:
        lines.append(f"Not taken: {', '.join(left)}, which this run has not.")
    if config.freeze is None and (changed := _changes(config, origin)):
        lines.append(f"Note: the same variables compute something else ({'; '.join(changed)}).")
    return lines


def _of_owner(found: Match, owner: Owner) -> str:
    """What of an owner's variables starts anew, the first one by name."""
    keys = [key for key in found.anew if key[0] == owner]
    other = found.anew[keys[0]]
    there = "is missing there" if other is None else f"has the shape {other} there"
    whose = "what tasks share" if owner is None else str(owner)
    return f"of {whose} {len(keys)} variables, such as {_name(keys[0])}, which {there}"


def _name(key: Key) -> str:
    return ".".join(map(str, key[1]))


def _shown(config: Config) -> str:
    return as_written(config.init_from or "")
