"""What the methods of a comparison cost."""

import dataclasses
from collections.abc import Mapping, Sequence

from astmt_jax.compare.methods import Method
from astmt_jax.config import Config
from astmt_jax.datasets import registry
from astmt_jax.models.network import Network
from astmt_jax.summary import overall_cost
from astmt_jax.tasks.task import channels_by_name


@dataclasses.dataclass(frozen=True)
class Cost:
    """What one or several networks cost.

    Attributes:
      parameters: their number, without the discriminator's, which only training uses.
      multiply_adds: for one image of all tasks at once, at the resolution of training.
    """

    parameters: int
    multiply_adds: int


def network_costs(compared: Sequence[Method]) -> dict[str, Cost]:
    """Cost of every network by its name; nothing is allocated, but each takes a second or so."""
    return {
        name: _network_cost(config)
        for method in compared
        for name, config in method.configs.items()
    }


def _network_cost(config: Config) -> Cost:
    network = Network(config.model, channels_by_name(registry.tasks_of(config)))
    return Cost(*overall_cost(network, config.train.image_size))


def method_cost(method: Method, costs: Mapping[str, Cost]) -> Cost:
    """Cost of all networks of a method, given that of every network."""
    own = [costs[name] for name in method.configs]
    return Cost(sum(cost.parameters for cost in own), sum(cost.multiply_adds for cost in own))
