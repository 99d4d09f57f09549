"""The original's names: exact round trip, and one error that lists everything that does not fit."""

import jax
import numpy as np
import pytest
from networks import SMALL, network_of, random_variables

from astmt_jax.weights.errors import WeightsError
from astmt_jax.weights.original import from_torch, to_torch

CHANNELS = {"semseg": 5, "normals": 3}


@pytest.fixture(scope="module")
def network():
    return network_of(CHANNELS, **SMALL)


@pytest.fixture(scope="module")
def tensors(network):
    return to_torch(*random_variables(network), network)


def test_round_trip_is_exact(network, tensors):
    """Variables -> names -> variables -> names."""
    variables = from_torch(tensors, network)
    jax.tree.map(np.testing.assert_array_equal, variables, random_variables(network))
    again = to_torch(*variables, network)
    assert again.keys() == tensors.keys()
    for name, value in tensors.items():
        np.testing.assert_array_equal(again[name], value)


def test_names_of_other_savers(network, tensors):
    """Prefix of training on several devices, and counters of batches."""
    saved = {f"module.{name}": value for name, value in tensors.items()}
    saved["module.bn1.num_batches_tracked"] = np.array(7)
    found = from_torch(saved, network)
    jax.tree.map(np.testing.assert_array_equal, found, from_torch(tensors, network))


WRONG_NUMBERS = {
    "NaN": (lambda value: np.full_like(value, np.nan), "not finite: {} holds NaN"),
    "one NaN": (lambda value: np.r_[np.nan, value[1:]], "not finite: {} holds NaN"),
    "infinity": (lambda value: np.r_[-np.inf, value[1:]], "not finite: {} holds infinity"),
    "negative": (lambda value: -value, "negative: {} is a variance, but holds -"),
    "integers": (lambda value: value.astype(np.int32), "wrong type: {} is int32"),
    "complex": (lambda value: value.astype(np.complex64), "wrong type: {} is complex64"),
    "truth": (lambda value: value > 0, "wrong type: {} is bool"),
}


@pytest.mark.parametrize("kind", WRONG_NUMBERS)
def test_numbers_that_are_no_weights(network, tensors, kind):
    change, words = WRONG_NUMBERS[kind]
    name = "bn1.running_var"
    with pytest.raises(WeightsError) as caught:
        from_torch(tensors | {name: change(tensors[name])}, network)
    first, *others = str(caught.value).splitlines()
    assert first == "1 tensors do not fit the network:"
    assert len(others) == 1
    assert others[0].strip().startswith(words.format(name))


def test_all_problems_in_one_error(network, tensors):
    broken = dict(tensors)
    del broken["bn1.running_mean"]
    del broken["layer2.0.bn1.normals.weight"]
    broken["fc.weight"] = np.ones((10, 3))
    broken["layer1.0.conv2.weight"] = np.ones((4, 4, 1, 1))
    broken["layer1.0.adapt.semseg.weight"] = np.ones((4, 4, 3, 3))
    broken["layer3.0.se.fc.semseg.0.bias"] = np.float32(1)
    broken["module.conv1.weight"] = broken["conv1.weight"]
    with pytest.raises(WeightsError) as caught:
        from_torch(broken, network)
    first, *others = str(caught.value).splitlines()
    assert first == "7 tensors do not fit the network:"
    assert sorted(line.strip() for line in others) == [
        "duplicate: conv1.weight",
        "missing: bn1.running_mean",
        "missing: layer2.0.bn1.normals.weight",
        "unused: fc.weight",
        "wrong shape: layer1.0.adapt.semseg.weight is (4, 4, 3, 3), the network needs (4, 4, 1, 1)",
        "wrong shape: layer1.0.conv2.weight is (4, 4, 1, 1), the network needs (4, 4, 3, 3)",
        "wrong shape: layer3.0.se.fc.semseg.0.bias is (), the network needs (4,)",
    ]
