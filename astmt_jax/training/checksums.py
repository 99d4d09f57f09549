"""Checksums of trees of arrays, which every single bit changes: on the devices, and on the host.

Both give the same numbers, so that what was saved from devices can be checked where it is read.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from astmt_jax.training.state import TrainedVariables, TrainState


@jax.jit
def summary(state: TrainState | TrainedVariables) -> tuple[dict[str, jax.Array], jax.Array]:
    """The checksum of each field, () uint32, and which leaves are finite, (n,) bool.

    One program for arrays that may be split over devices and processes; it takes seconds to
    compile.
    """
    finite = [jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(state)]
    checksums = {name: checksum(value) for name, value in _fields(state).items()}
    return checksums, jnp.stack(finite)


def checksum(tree: Any) -> jax.Array:
    """() uint32 that every single bit changes, however the arrays are laid out over devices."""
    total = jnp.uint32(0)
    for number, leaf in enumerate(jax.tree.leaves(tree)):
        words = jax.lax.bitcast_convert_type(leaf, _word(leaf)).astype(jnp.uint32)
        position = jnp.zeros(words.shape, jnp.uint32)
        for axis, size in enumerate(words.shape):
            along = jax.lax.broadcasted_iota(jnp.uint32, words.shape, axis)
            position = position * np.uint32(size) + along
        # An odd factor loses no change of a word modulo 2 ** 32.
        weights = 2 * position + np.uint32(2 * number + 1)
        total += jnp.sum(words * weights, dtype=jnp.uint32)
    return total


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
