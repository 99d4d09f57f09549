"""Costs of a comparison's methods, against those that are counted part by part."""

from settings import settings

from astmt_jax.compare.costs import method_cost, network_costs
from astmt_jax.compare.ladders import paper as methods
from astmt_jax.config import from_config_dict
from astmt_jax.datasets import registry
from astmt_jax.models.cost import TotalCost, network_cost
from astmt_jax.models.network import Network
from astmt_jax.tasks.task import channels_by_name


def test_costs():
    """ASTMT without its discriminator; single-task networks together."""
    config = from_config_dict(
        settings(tasks=("edge", "depth"), model__width_multiplier=0.0625, train__image_size=64)
    )
    compared = {method.name: method for method in methods(config)}
    costs = network_costs([compared["single"], compared["astmt"]])
    assert list(costs) == ["single-edge", "single-depth", "astmt"]

    def by_parts(config):
        channels = channels_by_name(registry.tasks_of(config))
        return network_cost(Network(config.model, channels, config.discriminator), 64)

    whole = by_parts(config)
    assert whole.discriminator > 0
    expected = TotalCost(whole.parameters - whole.discriminator, whole.all_tasks)
    assert method_cost(compared["astmt"], costs) == expected

    singles = [by_parts(network) for network in compared["single"].configs.values()]
    assert method_cost(compared["single"], costs) == TotalCost(
        sum(single.parameters for single in singles), sum(single.all_tasks for single in singles)
    )
