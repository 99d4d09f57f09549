"""Checksums of trees of arrays, which every single bit changes: on the devices, and on the host.

Both give the same numbers, so that what was saved from devices can be checked where it is read.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from astmt_jax.training.state import TrainedVariables, TrainState


def summary(state: TrainState | TrainedVariables) -> tuple[dict[str, int], np.ndarray]:
    """The checksum of each field, 0 to 2 ** 32 - 1, and which leaves are finite, (n,) bool.

    Of arrays that may be split over devices and processes.
    """
    fields = _fields(state)
    found = jax.device_get([_of_arrays(value) for value in fields.values()])
    checksums = {name: _total(pairs) for name, pairs in zip(fields, found, strict=True)}
    return checksums, np.array([finite for pairs in found for _, finite in pairs])


def checksum(tree: Any) -> int:
    """0 to 2 ** 32 - 1; every single bit changes it, however the arrays are laid out."""
    return _total(jax.device_get(_of_arrays(tree)))


def _of_arrays(tree: Any) -> list[tuple[jax.Array, jax.Array]]:
    leaves = jax.tree.leaves(tree)
    return [_of_array(leaf, np.uint32(number)) for number, leaf in enumerate(leaves)]


@jax.jit  # a program for each shape: one for all arrays takes several times as long to compile
def _of_array(leaf: jax.Array, number: jax.Array) -> tuple[jax.Array, jax.Array]:
    """What an array adds to the checksum, () uint32, and whether it is finite."""
    words = jax.lax.bitcast_convert_type(leaf, _word(leaf)).astype(jnp.uint32)
    position = jnp.zeros(words.shape, jnp.uint32)
    for axis, size in enumerate(words.shape):
        along = jax.lax.broadcasted_iota(jnp.uint32, words.shape, axis)
        position = position * np.uint32(size) + along
    # An odd factor loses no change of a word modulo 2 ** 32.
    weights = 2 * (position + number) + 1
    return jnp.sum(words * weights, dtype=jnp.uint32), jnp.isfinite(leaf).all()


def _total(pairs: Sequence[tuple[np.ndarray, np.ndarray]]) -> int:
    return sum(int(value) for value, _ in pairs) % 2**32


def on_host(state: TrainedVariables) -> dict[str, int]:
    """The checksums of `summary`, of arrays that this process has whole; compiles nothing."""
    return {name: _checksum_on_host(value) for name, value in _fields(state).items()}


def _checksum_on_host(tree: Any) -> int:
    total = 0
    for number, leaf in enumerate(jax.tree.leaves(tree)):
        words = np.asarray(leaf).reshape(-1).view(_word(leaf)).astype(np.uint32, copy=False)
        weights = 2 * np.arange(words.size, dtype=np.uint32) + np.uint32(2 * number + 1)
        total += int(np.sum(words * weights, dtype=np.uint32))
    return total % 2**32


def _fields(state: TrainState | TrainedVariables) -> dict[str, Any]:
    return {field.name: getattr(state, field.name) for field in dataclasses.fields(state)}


def _word(leaf: jax.Array) -> str:
    """The type of the words that an array's values are taken as."""
    return f"uint{8 * min(leaf.dtype.itemsize, 4)}"
