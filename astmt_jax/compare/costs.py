"""What the methods of a comparison cost."""

from collections.abc import Mapping, Sequence

from astmt_jax.compare.methods import Method
from astmt_jax.config import Config
from astmt_jax.datasets import registry
from astmt_jax.models.cost import TotalCost, total_cost
from astmt_jax.models.network import Network
from astmt_jax.tasks.task import channels_by_name


def network_costs(compared: Sequence[Method]) -> dict[str, TotalCost]:
    """Cost of every network by its name; nothing is allocated, but each takes a second or so.

    The discriminator, which only training uses, is not counted.
    """
    return {
        name: _network_cost(config)
        for method in compared
        for name, config in method.configs.items()
    }


def _network_cost(config: Config) -> TotalCost:
    network = Network(config.model, channels_by_name(registry.tasks_of(config)))
    return total_cost(network, config.train.image_size)


def method_cost(method: Method, costs: Mapping[str, TotalCost]) -> TotalCost:
    """Cost of all networks of a method, given that of every network."""
    own = [costs[name] for name in method.configs]
    return TotalCost(sum(cost.parameters for cost in own), sum(cost.multiply_adds for cost in own))
