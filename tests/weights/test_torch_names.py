"""Names and layouts of the original's tensors: exact both ways, for every kind of network."""

import dataclasses

import golden_cases
import jax
import networks
import numpy as np
import pytest
from plugged import forgotten

from astmt_jax.config import DiscriminatorConfig, ModelConfig
from astmt_jax.models.families import add_backbone
from astmt_jax.models.family import Backbone, TorchNames
from astmt_jax.models.network import Network
from astmt_jax.models.resnet import RESNET
from astmt_jax.weights import original as convert
from astmt_jax.weights.checks import WeightsError

TASKS = {"semseg": 4, "normals": 3}
SMALL = {"backbone": "resnet14", "width_multiplier": 0.0625, "decoder_width": 32}
PLAIN = {
    "encoder_se": "shared",
    "encoder_adapters": False,
    "decoder_adapters": False,
    "decoder_norm": "shared",
    "decoder_se": False,
}
MOBILENET = {
    "backbone": "mobilenetv2",
    "width_multiplier": 0.25,
    "encoder_adapters": False,
    "decoder_adapters": False,
}
LITE = {"backbone": "efficientnet_lite0", "width_multiplier": 0.25}
NETWORKS = {
    "astmt": (SMALL, DiscriminatorConfig(depth=2)),
    "shallow discriminator": (SMALL, DiscriminatorConfig(depth=1, kernel=3)),
    "plain": (SMALL | PLAIN, None),
    "shared norm": (SMALL | PLAIN | {"encoder_norm": "shared"}, None),
    "frozen norm": (SMALL | PLAIN | {"encoder_norm": "frozen"}, None),
    "uber": (SMALL | {"decoder": "uber"}, None),
    "mobilenet": (MOBILENET, None),
    "lite": (LITE, None),
    "plain mobilenet": (MOBILENET | PLAIN | {"encoder_norm": "shared"}, None),
}


def network_of(model, discriminator):
    return Network(ModelConfig(**model), TASKS, discriminator)


def random_tensors(network):
    """Every variable of the network under the original's name, all different."""
    shapes = jax.eval_shape(network.init, jax.random.key(0))
    params, stats = jax.tree.map(lambda leaf: np.zeros(leaf.shape), shapes)
    random = np.random.default_rng(0)
    tensors = {
        name: random.standard_normal(value.shape).astype(np.float32)
        for name, value in convert.to_torch(params, stats, network).items()
    }
    variances = {name: abs(v) for name, v in tensors.items() if name.endswith("running_var")}
    return tensors | variances


def assert_round_trip(tensors, network):
    again = convert.to_torch(*convert.from_torch(tensors, network), network)
    assert set(again) == set(tensors)
    for name, value in tensors.items():
        assert again[name].dtype == value.dtype
        np.testing.assert_array_equal(again[name], value, err_msg=name)


@pytest.mark.parametrize("kind", NETWORKS)
def test_round_trip(kind):
    network = network_of(*NETWORKS[kind])
    tensors = random_tensors(network)
    variables = jax.tree.leaves(jax.eval_shape(network.init, jax.random.key(0)))
    assert sum(value.size for value in tensors.values()) == sum(leaf.size for leaf in variables)
    assert_round_trip(tensors, network)


@pytest.mark.parametrize("name", ["forward_pascal_r26", "forward_pascal_mnet"])
def test_round_trip_of_the_originals_names(name):
    case = golden_cases.Case(golden_cases.GOLDEN / f"{name}.json", "float32")
    assert_round_trip(case.tensors, case.network)


def test_names_of_the_uber_decoder():
    tensors = random_tensors(network_of(*NETWORKS["uber"]))
    norm = ("weight", "bias", "running_mean", "running_var")
    expected = {
        f"decoder.{level}_level.{task}.{part}"
        for level in ("low", "high")
        for task in TASKS
        for part in ("0.weight", *(f"1.{leaf}" for leaf in norm))
    } | {f"decoder.predict.{task}.{leaf}" for task in TASKS for leaf in ("weight", "bias")}
    assert {name for name in tensors if name.startswith("decoder.")} == expected
    assert tensors["decoder.high_level.semseg.0.weight"].shape == (4, 128, 1, 1)
    assert tensors["decoder.predict.normals.weight"].shape == (3, 6, 1, 1)


@pytest.mark.parametrize(("depth", "layers"), [(1, [0]), (2, [0, 2])])
def test_names_of_the_discriminator(depth, layers):
    tensors = random_tensors(network_of(SMALL, DiscriminatorConfig(depth=depth)))
    names = {name for name in tensors if name.startswith("discriminator.")}
    weights = {f"discriminator.model.{layer}.weight" for layer in layers}
    assert names == weights | {f"discriminator.model.{layers[-1]}.bias"}


@pytest.fixture(scope="module")
def mobilenet():
    """A network, its tensors, and the encoder's as the original's files repeat them."""
    network = network_of(*NETWORKS["mobilenet"])
    tensors = random_tensors(network)
    repeated = {}
    for name, value in tensors.items():
        if name.startswith("features."):
            part = "low" if int(name.split(".")[1]) < 4 else "high"
            repeated[name.replace("features.", f"features_{part}.")] = value
    assert len(repeated) > 100
    return network, tensors, repeated


def test_repeated_tensors_are_exported(mobilenet):
    network, tensors, repeated = mobilenet
    variables = convert.from_torch(tensors, network)
    exported = convert.state_dict(*variables, network)
    assert exported.keys() == (tensors | repeated).keys()
    for name, value in (tensors | repeated).items():
        np.testing.assert_array_equal(exported[name], value)


def test_number_of_repeated_tensors():
    """Those that the original misses in a file of its MobileNet for PASCAL without them."""
    network = Network(
        ModelConfig(backbone="mobilenetv2", encoder_adapters=False, decoder_adapters=False),
        networks.PASCAL,
    )
    shapes = jax.eval_shape(network.init, jax.random.key(0))
    zeros = jax.tree.map(lambda leaf: np.broadcast_to(np.float32(0), leaf.shape), shapes)
    once, twice = (names(*zeros, network) for names in (convert.to_torch, convert.state_dict))
    assert len(twice) - len(once) == 1395
    assert sum(name.startswith("features.") for name in once) == 1395


def test_other_families_repeat_nothing():
    network = network_of(*NETWORKS["astmt"])
    variables = convert.from_torch(random_tensors(network), network)
    assert len(convert.state_dict(*variables, network)) == len(random_tensors(network))


def test_repeated_tensors_are_accepted(mobilenet):
    network, tensors, repeated = mobilenet
    expected = convert.from_torch(tensors, network)
    others = {name: value for name, value in tensors.items() if not name.startswith("features.")}
    for given in (tensors | repeated, repeated | others):
        jax.tree.map(np.testing.assert_array_equal, convert.from_torch(given, network), expected)


def test_repeated_tensors_must_agree(mobilenet):
    """All that differ are listed, whichever comes first."""
    network, tensors, repeated = mobilenet
    wrong = ["features_low.0.conv.0.weight", "features_high.5.conv.conv2.weight"]
    changed = repeated | {name: repeated[name] + 1 for name in wrong}
    for given in (tensors | changed, changed | tensors):
        with pytest.raises(ValueError, match="2 tensors") as caught:
            convert.from_torch(given, network)
        for name in wrong:
            assert name in str(caught.value)


def test_everything_wrong_is_listed_at_once():
    network = network_of(*NETWORKS["plain"])
    tensors = random_tensors(network)
    del tensors["conv1.weight"]
    tensors["bn1.weight"] = tensors["bn1.weight"][:-1]
    tensors |= {"fc.weight": np.zeros(3), "bn1.num_batches_tracked": np.zeros(())}
    with pytest.raises(ValueError, match="3 tensors") as caught:
        convert.from_torch(tensors, network)
    for expected in ("missing: conv1.weight", "wrong shape: bn1.weight", "unused: fc.weight"):
        assert expected in str(caught.value)


def test_a_family_without_names_is_told():
    """As a plugin's may be that is never exported."""
    with forgotten():
        nameless = dataclasses.replace(RESNET, torch=TorchNames(()))
        add_backbone("nameless", Backbone(nameless, (1, 1, 1, 1)))
        network = Network(ModelConfig(**SMALL | {"backbone": "nameless"}), TASKS)
        variables = jax.eval_shape(network.init, jax.random.key(0))
        with pytest.raises(WeightsError, match=r"module encoder/.*: the family of nameless"):
            convert.state_dict(*variables, network)
