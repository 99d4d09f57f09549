"""Checksums of arrays: each bit counts, and host and devices agree."""

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest

from astmt_jax.models.variables import Params, Stats
from astmt_jax.training import checksums
from astmt_jax.training.state import TrainedVariables

DTYPES = (np.float32, np.int32, np.uint8, np.float16, ml_dtypes.bfloat16)


def variables(leaves):
    """Variables that hold a list of arrays, and nothing else but the step."""
    params = Params(shared={"list": leaves}, task={}, heads={}, discriminator={})
    return TrainedVariables(jnp.int32(7), params, Stats({}, {}, {}, {}))


def of_bytes(random, dtype, shape):
    """An array of any bits, those of no number among them."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    return np.frombuffer(random.bytes(size), dtype).reshape(shape)


def by_hand(leaves):
    """The sum of words, each times 2 (its position + its array's number) + 1, in whole numbers."""
    total = 0
    for number, leaf in enumerate(leaves):
        word = min(leaf.dtype.itemsize, 4)
        data = leaf.tobytes()
        for position in range(len(data) // word):
            value = int.from_bytes(data[position * word : (position + 1) * word], "little")
            total += value * (2 * (position + number) + 1)
    return total % 2**32


@pytest.mark.parametrize("shape", [(), (5,), (3, 0), (2, 3, 4, 5)], ids=str)
def test_host_and_devices_agree(shape):
    random = np.random.default_rng(0)
    leaves = [of_bytes(random, dtype, shape) for dtype in DTYPES]
    state = variables(jax.device_put(leaves))
    on_devices, _ = checksums.summary(state)
    found = checksums.on_host(state)
    assert found == on_devices
    assert found == {"step": 7, "params": by_hand(leaves), "stats": 0, "average": 0}


def test_values_of_64_bits():
    """They are two words each."""
    leaves = [of_bytes(np.random.default_rng(0), dtype, (3, 4)) for dtype in ("f8", "i8")]
    assert checksums.on_host(variables(leaves))["params"] == by_hand(leaves)


def test_every_bit_counts():
    random = np.random.default_rng(0)
    leaves = [of_bytes(random, np.float32, (4,)), of_bytes(random, np.uint8, (4,))]
    sound = checksums.on_host(variables(leaves))["params"]
    for number, leaf in enumerate(leaves):
        for bit in range(8 * leaf.nbytes):
            data = bytearray(leaf.tobytes())
            data[bit // 8] ^= 1 << bit % 8
            changed = [*leaves]
            changed[number] = np.frombuffer(bytes(data), leaf.dtype)
            assert checksums.on_host(variables(changed))["params"] != sound
