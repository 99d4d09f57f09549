"""Depthwise convolutions as sums over taps, for CPUs.

XLA computes them there, and their gradients, channel by channel: ten to fifty times as slowly as
these elementwise products.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax import lax

from astmt_jax.models.window import Window


def suits(window: Window, shape: tuple[int, ...]) -> bool:
    """Whether a kernel of `shape` makes every channel of one."""
    return window.groups == shape[3] > 1 == shape[2]


def convolve(window: Window, x: jax.Array, kernel: jax.Array) -> jax.Array:
    """(B, H, W, c) with (taps, taps, 1, c) -> (B, H', W', c)."""
    return _weighted(window.views(x, kernel.shape[:2]), kernel)


def input_gradient(
    window: Window, y: jax.Array, kernel: jax.Array, images: jax.ShapeDtypeStruct
) -> jax.Array:
    """Cotangent (B, H', W', c) of the result, and the kernel, to that of the images."""
    return _weighted(window.reached(y, images.shape[1:3], kernel.shape[:2]), kernel)


def _weighted(views: Sequence[jax.Array], kernel: jax.Array) -> jax.Array:
    """The sum of what each tap sees (B, H, W, c), times its weights.

    Half precision is added up in float32.
    """
    weights = kernel.reshape(len(views), -1)
    long = jnp.promote_types(kernel.dtype, jnp.float32)
    terms = (view * weight.astype(long) for view, weight in zip(views, weights, strict=True))
    return sum(terms, jnp.zeros((), long)).astype(kernel.dtype)


def kernel_gradient(
    window: Window, x: jax.Array, y: jax.Array, kernel: jax.ShapeDtypeStruct
) -> jax.Array:
    """The gradient of a kernel, row by row, so that what all taps see stays in cache."""
    padded, taps = window.padded(x, kernel.shape[:2]), kernel.shape[:2]
    long = jnp.promote_types(y.dtype, jnp.float32)
    rows, columns = (range(0, window.dilation * count, window.dilation) for count in taps)
    reach = window.stride * (y.shape[2] - 1) + 1

    def add_row(number, sums):
        cotangent = lax.dynamic_index_in_dim(y, number, 1, keepdims=False).astype(long)
        seen = [
            lax.dynamic_index_in_dim(padded, number * window.stride + top, 1, keepdims=False)
            for top in rows
        ]
        views = [row[:, left : left + reach : window.stride] for row in seen for left in columns]
        return [total + view * cotangent for total, view in zip(sums, views, strict=True)]

    empty = jnp.zeros((y.shape[0], *y.shape[2:]), long)
    sums = lax.fori_loop(0, y.shape[1], add_row, [empty] * (len(rows) * len(columns)))
    stacked = jnp.stack([total.sum(axis=(0, 1)) for total in sums])
    return stacked.reshape(kernel.shape).astype(y.dtype)
