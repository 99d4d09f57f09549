"""Training what some tasks own, while everything else of a network stays as it is."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
from flax import traverse_util

from astmt_jax.models.network import Network
from astmt_jax.models.variables import Params, Stats


class TrainedTasks:
    """Tasks of a network that are trained; what they do not own is never written.

    Their variables are seen as those of a network for them alone, to which the weights that all
    tasks share are constants: no gradient of these is computed, and no optimizer state is kept.

    Args:
      network: with all tasks.
      names: of the tasks that are trained.

    Attributes:
      network: as given.
      alone: the network for these tasks alone.
    """

    def __init__(self, network: Network, names: Sequence[str]):
        self.network = network
        channels = {name: network.channels[name] for name in network.names if name in names}
        self.alone = type(network)(network.config, channels, shared_is_frozen=True)
        self._numbers = np.array([network.names.index(name) for name in self.alone.names])

    def of(self, params: Params, stats: Stats) -> tuple[Params, Stats]:
        """The variables of `alone`, from those of `network`."""
        return (
            Params(
                shared={},
                task=self._slices(params.task),
                heads=self._heads(params.heads),
                discriminator={},
            ),
            Stats(
                shared=stats.shared,
                task=self._slices(stats.task),
                heads=self._heads(stats.heads),
                frozen=_united(params.shared, stats.frozen),
            ),
        )

    def put_back(
        self, whole: tuple[Params, Stats], alone: tuple[Params, Stats]
    ) -> tuple[Params, Stats]:
        """The variables of `network` with those of `alone` that training moves."""
        (params, stats), (trained_params, trained_stats) = whole, alone
        return self._with(params, trained_params), self._with(stats, trained_stats)

    def _with(self, whole: Any, trained: Any) -> Any:
        task = jax.tree.map(lambda x, new: x.at[self._numbers].set(new), whole.task, trained.task)
        return dataclasses.replace(whole, task=task, heads={**whole.heads, **trained.heads})

    def _slices(self, stacked: dict) -> dict:
        return jax.tree.map(lambda x: x[self._numbers], stacked)

    def _heads(self, heads: Mapping[str, dict]) -> dict[str, dict]:
        return {name: heads[name] for name in self.alone.names}


def _united(*trees: dict) -> dict:
    """One nested dict of what several, which have no path in common, hold."""
    flat = [traverse_util.flatten_dict(tree) for tree in trees]
    return traverse_util.unflatten_dict({path: x for tree in flat for path, x in tree.items()})
