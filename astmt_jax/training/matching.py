"""Which variables of another network fit into a network: by who owns them, name and shape."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from flax import traverse_util

from astmt_jax.models.variables import Params, Stats

Variables = tuple[Params, Stats]
Owner = str | tuple[str, ...] | None
"""A task, the tasks that a discriminator compares, in their order, or None, all tasks together."""
Key = tuple[Owner, tuple]
"""Owner of a variable, and its path, of attributes and indexes."""


class Match(NamedTuple):
    """What a network took of another one.

    Attributes:
      variables: of the network, on the host.
      sizes: how many numbers each of them has.
      anew: those that keep their initial values, and the shape of what the other network has
        instead; None if it has nothing of that name.
    """

    variables: Variables
    sizes: Mapping[Key, int]
    anew: Mapping[Key, tuple[int, ...] | None]


def match(
    initial: Variables, names: Sequence[str], given: Variables, given_names: Sequence[str]
) -> Match:
    """Takes all that fits.

    A task takes what the task of its name owned, and what all tasks shared where the other network
    shares what is the task's own here; the discriminator is that of the same tasks only.

    Args:
      initial: variables of the network that takes.
      names: its tasks.
      given: of the network that gives.
      given_names: its tasks.
    """
    new, found = (
        _by_owner(*jax.device_get(variables), tasks)
        for variables, tasks in ((initial, names), (given, given_names))
    )
    taken, anew = dict(new), {}
    for (owner, path), value in new.items():
        other = found.get((owner, path), found.get((None, path)))
        if other is not None and other.shape == value.shape:
            taken[owner, path] = other.astype(value.dtype)
        else:
            anew[owner, path] = None if other is None else other.shape
    sizes = {key: value.size for key, value in new.items()}
    return Match(_rebuilt(initial, taken, names), sizes, anew)


def _by_owner(params: Params, stats: Stats, names: Sequence[str]) -> dict[Key, np.ndarray]:
    """Every variable, as the one of its owner."""
    owners: dict[Owner, dict] = {
        None: _flat(params.shared) | _flat(stats.shared) | _flat(stats.frozen),
        tuple(names): _flat(params.discriminator),
    }
    stacked = _flat(params.task) | _flat(stats.task)
    for index, name in enumerate(names):
        head = _flat({"head": params.heads[name]}) | _flat({"head": stats.heads[name]})
        owners[name] = {path: value[index] for path, value in stacked.items()} | head
    return {(owner, path): value for owner, of in owners.items() for path, value in of.items()}


def _rebuilt(like: Variables, values: Mapping[Key, np.ndarray], names: Sequence[str]) -> Variables:
    """The reverse of `_by_owner`."""

    def of(owner: Owner, tree: dict) -> dict:
        flat = {path: values[owner, path] for path in _flat(tree)}
        return traverse_util.unflatten_dict(flat)

    def stacked(tree: dict) -> dict:
        paths = _flat(tree)
        flat = {path: np.stack([values[name, path] for name in names]) for path in paths}
        return traverse_util.unflatten_dict(flat)

    def heads(trees: Mapping[str, dict]) -> dict[str, dict]:
        return {name: of(name, {"head": tree}).get("head", {}) for name, tree in trees.items()}

    params, stats = like
    return (
        Params(
            shared=of(None, params.shared),
            task=stacked(params.task),
            heads=heads(params.heads),
            discriminator=of(tuple(names), params.discriminator),
        ),
        Stats(
            shared=of(None, stats.shared),
            task=stacked(stats.task),
            heads=heads(stats.heads),
            frozen=of(None, stats.frozen),
        ),
    )


def _flat(tree: Any) -> dict[tuple, Any]:
    return traverse_util.flatten_dict(tree)
