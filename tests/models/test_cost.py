"""Parameters and multiply-adds of networks, part by part."""

import pytest
from networks import SHARED, SMALL, network_of, shapes_of

from astmt_jax.config import DiscriminatorConfig, ModelConfig
from astmt_jax.models.cost import TotalCost, network_cost, single_task_costs, total_cost
from astmt_jax.models.variables import parameter_count

CHANNELS = {"semseg": 5, "normals": 3, "edge": 1}
SIZE = 64


@pytest.fixture(scope="module")
def network():
    return network_of(CHANNELS, DiscriminatorConfig(depth=1, kernel=3), **SMALL)


@pytest.fixture(scope="module")
def cost(network):
    return network_cost(network, SIZE)


def test_parameters_of_a_network(network, cost):
    """Every one belongs to exactly one part; heads and discriminator in closed form."""
    assert cost.parameters == parameter_count(shapes_of(network)[0])
    assert cost.heads == {name: 32 * count + count for name, count in CHANNELS.items()}
    assert list(cost.heads) == list(cost.one_task) == list(CHANNELS)
    assert cost.discriminator == 9 * 32 * 3 + 3
    per_task = parameter_count(shapes_of(network)[0].task)
    assert cost.owned * 3 == per_task > 0


def test_frozen_weights_are_parameters():
    """What is never trained is part of the network still."""
    frozen = network_cost(network_of(CHANNELS, **SMALL | {"encoder_norm": "frozen"}), SIZE)
    shared = network_cost(network_of(CHANNELS, **SMALL | {"encoder_norm": "shared"}), SIZE)
    assert frozen.parameters == shared.parameters


def test_total(network, cost):
    """The same as part by part."""
    assert total_cost(network, SIZE) == TotalCost(cost.parameters, cost.all_tasks)


@pytest.mark.parametrize("model", [SMALL, SMALL | SHARED], ids=["modulated", "plain"])
def test_single_task_networks(model):
    """As large and as costly as each is when it is built by itself."""
    singles = single_task_costs(ModelConfig(**model), CHANNELS, SIZE)
    assert list(singles) == list(CHANNELS)
    for name, count in CHANNELS.items():
        assert singles[name] == network_cost(network_of({name: count}, **model), SIZE)


def test_all_tasks_share_what_does_not_depend_on_them(cost):
    """With everything shared, a further task costs its prediction layer only."""
    shared = network_cost(network_of(CHANNELS, **SMALL, **SHARED), SIZE)
    heads = {name: (SIZE // 4) ** 2 * 32 * count for name, count in CHANNELS.items()}
    trunk = shared.one_task["edge"] - heads["edge"]
    assert shared.one_task == {name: trunk + head for name, head in heads.items()}
    assert shared.all_tasks == trunk + sum(heads.values())
    assert shared.all_tasks < cost.all_tasks < sum(cost.one_task.values())
