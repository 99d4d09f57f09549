"""Rematerialisation: what the backward pass computes again instead of keeping it in memory."""

from typing import TypeVar

import jax
from flax import nnx
from jax.ad_checkpoint import checkpoint_name

_SUM = "sum"
Arrays = TypeVar("Arrays")


def kept(sums: Arrays) -> Arrays:
    """The same arrays, marked as what takes many operations or a pass over memory of its own."""
    return checkpoint_name(sums, _SUM)


REMATERIALIZATIONS = {
    "none": None,
    "elementwise": jax.checkpoint_policies.save_only_these_names(_SUM),
    "block": jax.checkpoint_policies.nothing_saveable,
}
"""What is kept of the inside of a block by name: everything; the results of convolutions and sums,
so that only normalisations and activations are computed again; nothing."""


def apply_block(block: nnx.Module, x: jax.Array, *, train: bool, remat: str) -> jax.Array:
    """`block(x, train=train)`, with a backward pass that keeps what `remat` says."""
    if remat == "none" or not train:
        return block(x, train=train)
    run = nnx.remat(lambda block, x: block(x, train=train), policy=REMATERIALIZATIONS[remat])
    return run(block, x)
