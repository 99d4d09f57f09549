"""Which networks a comparison has: the ladders, field by field."""

import dataclasses

import pytest
from settings import assert_one_sentence, load, settings

from astmt_jax.compare.choice import ladder
from astmt_jax.compare.ladders import LADDERS, backbones, discriminator, modulation
from astmt_jax.compare.ladders import decoder as decoders
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


def modulations_of(compared):
    """Name -> values of `MODULATION` of all methods but single-task learning."""
    return {
        method.name: tuple(
            getattr(method.configs[method.name].model, field) for field in MODULATION
        )
        for method in compared
        if not method.is_single_task
    }


def test_ladder_of_modulation(config):
    """Each kind with and without the others, and each half of the network."""
    own, shared = "per_task", "shared"
    assert modulations_of(modulation(config)) == {
        "mtl": SHARED,
        "bn": (own, shared, False, own, False, False),
        "bn_se": (own, own, False, own, True, False),
        "bn_adapters": (own, shared, True, own, False, True),
        "bn_se_adapters": (own, own, True, own, True, True),
        "encoder_only": (own, own, True, shared, False, False),
        "decoder_only": (shared, shared, False, own, True, True),
    }
    assert all(
        network.discriminator.weight == 0
        for method in modulation(config)
        for network in method.configs.values()
    )


def test_ladder_of_discriminators(config):
    """The configuration's own, and each of its fields changed to every other value."""
    found = {
        method.name: dataclasses.astuple(method.configs[method.name].discriminator)
        for method in discriminator(config)[2:]
    }
    assert found == {
        "bn_se_adapters": (0.0, 2, 1),
        "astmt": (0.02, 2, 1),
        "discriminator_weight_0.001": (0.001, 2, 1),
        "discriminator_weight_0.01": (0.01, 2, 1),
        "discriminator_weight_0.1": (0.1, 2, 1),
        "discriminator_depth_1": (0.02, 1, 1),
        "discriminator_kernel_3": (0.02, 2, 3),
    }
    everything = modulations_of(methods(config))["bn_se_adapters"]
    assert set(modulations_of(discriminator(config)[2:]).values()) == {everything}


def test_ladder_of_discriminators_where_there_is_none():
    config = from_config_dict(settings(tasks=("edge", "depth"), discriminator__weight=0.0))
    by_name = {method.name: method for method in discriminator(config)}
    assert by_name["astmt"].configs["astmt"].discriminator.weight == 0.01


def test_ladder_of_decoders(config):
    own = {method.name: method for method in decoders(config)}
    found = {name: own[name].configs[name].model for name in own if name != "single"}
    assert {name: (model.decoder, model.encoder_se) for name, model in found.items()} == {
        "mtl": ("deeplab", "shared"),
        "uber": ("uber", "shared"),
        "bn_se_adapters": ("deeplab", "per_task"),
        "uber_modulation": ("uber", "per_task"),
    }


def test_ladder_of_backbones(config):
    """Each against single-task networks of its own, under names of its own."""
    found = backbones(config, ("resnet14", "resnet26"))
    assert [(method.name, method.single_task, method.changed) for method in found] == [
        ("resnet14-single", "resnet14-single", None),
        ("resnet14-mtl", "resnet14-single", "resnet14-single"),
        ("resnet14-astmt", "resnet14-single", "resnet14-mtl"),
        ("resnet26-single", "resnet26-single", None),
        ("resnet26-mtl", "resnet26-single", "resnet26-single"),
        ("resnet26-astmt", "resnet26-single", "resnet26-mtl"),
    ]
    for method in found:
        backbone = method.name.partition("-")[0]
        assert {network.model.backbone for network in method.configs.values()} == {backbone}
    assert found[2].configs["resnet14-astmt"] == methods(config)[-1].configs["astmt"]
    every = {method.name.partition("-")[0] for method in backbones(config)}
    assert every == {"resnet14", "resnet26", "resnet50", "resnet101"}


def test_backbones_of_other_families_are_refused(config):
    """They need other settings."""
    with pytest.raises(
        ValueError, match=r"'mobilenetv2', but must be one of: resnet14, "
    ) as caught:
        ladder("backbones:resnet14+mobilenetv2").methods(config)
    assert_one_sentence(str(caught.value))
    model = dataclasses.replace(config.model, pretrained="weights.pth")
    with pytest.raises(ValueError, match=r"model\.pretrained fits one backbone") as caught:
        backbones(dataclasses.replace(config, model=model))
    assert_one_sentence(str(caught.value))


@pytest.mark.parametrize("backbone", ["resnet14", "mobilenetv2"])
@pytest.mark.parametrize("name", LADDERS)
def test_what_ladders_have_in_common(name, backbone):
    """Each method changes one before it; runs of one name are the same run in every ladder."""
    variant = f"backbone={backbone},tasks=edge+depth"
    config = from_config_dict(load().get_config(variant))
    known = {n: c for m in methods(config) for n, c in m.configs.items()}
    seen = []
    for method in LADDERS[name](config):
        assert method.changed in seen or method.is_single_task
        assert method.single_task in (*seen, method.name)
        seen.append(method.name)
        for network, own in method.configs.items():
            assert known.setdefault(network, own) == own
    assert len(set(seen)) == len(seen)


def test_ladders_are_found_by_name():
    assert {name: ladder(name).report for name in LADDERS} == {
        "paper": "comparison",
        "modulation": "comparison-modulation",
        "discriminator": "comparison-discriminator",
        "decoder": "comparison-decoder",
        "backbones": "comparison-backbones",
    }
    with pytest.raises(
        ValueError, match=r"--ladder is 'all', but must be one of: paper, "
    ) as caught:
        ladder("all")
    assert_one_sentence(str(caught.value))


def test_networks_without_a_discriminator_are_not_called_astmt():
    config = from_config_dict(settings(tasks=("edge", "depth"), discriminator__weight=0.0))
    assert [m.label for m in backbones(config, ("resnet14",))][-1] == "resnet14, modulation"


def test_decoders_without_discriminator_have_no_ladder_of_them():
    changes = {"model__decoder": "uber", "discriminator__weight": 0.0}
    config = from_config_dict(settings(tasks=("edge", "depth"), **changes))
    with pytest.raises(ValueError, match=r"model\.decoder is 'uber'.*deeplab") as caught:
        discriminator(config)
    assert_one_sentence(str(caught.value))
