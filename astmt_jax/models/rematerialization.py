"""Rematerialisation: what the backward pass computes again instead of keeping it in memory."""

import jax
from flax import nnx
from jax.extend.core import Primitive

_SUMS = ("image_convolution", "dot_general", "reduce_sum")


def _keep_sums(primitive: Primitive, *_, **__) -> bool:
    """Keeps what takes many operations or a pass over memory of its own."""
    return primitive.name in _SUMS


REMATERIALIZATIONS = {
    "none": None,
    "elementwise": _keep_sums,
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
