"""Which networks a comparison has: the paper's ablation, field by field."""

import dataclasses

import pytest
from test_config import load, settings

from astmt_jax.compare.ladders import paper as methods
from astmt_jax.compare.methods import runs
from astmt_jax.config import from_config_dict

MODULATION = (
    "encoder_norm",
    "encoder_se",
    "encoder_adapters",
    "decoder_norm",
    "decoder_se",
    "decoder_adapters",
)
SHARED = ("shared", "shared", False, "shared", False, False)


@pytest.fixture(scope="module")
def config():
    return from_config_dict(settings(tasks=("edge", "depth", "sal"), discriminator__weight=0.02))


def test_methods_of_the_paper(config):
    """Each adds one thing; only the last has a discriminator."""
    found = {
        name: (
            network.tasks,
            tuple(getattr(network.model, field) for field in MODULATION),
            network.discriminator.weight,
        )
        for method in methods(config)
        for name, network in method.configs.items()
    }
    everything = ("edge", "depth", "sal")
    assert found == {
        "single-edge": (("edge",), SHARED, 0.0),
        "single-depth": (("depth",), SHARED, 0.0),
        "single-sal": (("sal",), SHARED, 0.0),
        "mtl": (everything, SHARED, 0.0),
        "bn": (everything, ("per_task", "shared", False, "per_task", False, False), 0.0),
        "bn_se": (everything, ("per_task", "per_task", False, "per_task", True, False), 0.0),
        "bn_se_adapters": (everything, ("per_task", "per_task", True, "per_task", True, True), 0.0),
        "astmt": (everything, ("per_task", "per_task", True, "per_task", True, True), 0.02),
    }
    assert [method.name for method in methods(config)] == [
        "single", "mtl", "bn", "bn_se", "bn_se_adapters", "astmt",
    ]  # fmt: skip


def test_everything_else_is_the_configuration(config):
    for method in methods(config):
        for network in method.configs.values():
            assert network == dataclasses.replace(
                config,
                tasks=network.tasks,
                model=dataclasses.replace(
                    config.model,
                    **{field: getattr(network.model, field) for field in MODULATION},
                ),
                discriminator=dataclasses.replace(
                    config.discriminator, weight=network.discriminator.weight
                ),
            )


@pytest.mark.parametrize("method", ["astmt", "mtl"])
@pytest.mark.parametrize("name", ["pascal", "nyud", "fsv", "scenes"])
def test_first_and_last_are_the_configurations_own(name, method):
    """What the configuration files call astmt, mtl and single is what is compared."""
    config = from_config_dict(load(name).get_config())
    compared = {m.name: m for m in methods(config)}
    own = from_config_dict(load(name).get_config(f"method={method}"))
    assert compared[method].configs == {method: own}
    task = config.tasks[0]
    single = from_config_dict(load(name).get_config(f"method=single,tasks={task}"))
    assert compared["single"].configs[f"single-{task}"] == single


def test_what_a_backbone_lacks_is_left_out():
    config = from_config_dict(load("pascal").get_config("backbone=mobilenetv2"))
    *_, last = methods(config)
    assert [method.name for method in methods(config)] == ["single", "mtl", "bn", "bn_se"]
    assert last.configs["bn_se"] == config


def test_runs_go_seed_by_seed(config):
    found = list(runs(methods(dataclasses.replace(config, seed=5)), 2))
    names = [
        "single-edge", "single-depth", "single-sal", "mtl", "bn", "bn_se", "bn_se_adapters", "astmt"
    ]  # fmt: skip
    expected = [f"seed{seed}/{name}" for seed in (5, 6) for name in names]
    assert [str(run.folder) for run in found] == expected
    assert [run.config.seed for run in found] == [5] * 8 + [6] * 8
    assert [run.method for run in found] == 2 * (["single"] * 3 + names[3:])
    assert len({run.config.to_dict().__repr__() for run in found}) == 16
