"""Convolutions and gradients of kernels as matrix products, for CPUs.

XLA computes the gradients of kernels there, and convolutions of many channels to few, such as the
pyramid's, at a fraction of the speed of its products. Here all taps are one product.
"""

from functools import partial, reduce

import jax
import jax.numpy as jnp
from jax import lax

from astmt_jax.models.window import Window

FEW = 8
"""Times as many channels come in as go out where a convolution is products."""


def suits(window: Window, shape: tuple[int, ...]) -> bool:
    """Whether a kernel of `shape` makes so few channels that moving them costs little."""
    return window.stride == window.groups == 1 and shape[2] >= FEW * shape[3]


def convolve(window: Window, x: jax.Array, kernel: jax.Array) -> jax.Array:
    """A convolution of stride 1: every pixel's product with all taps, and the sum of these, moved.

    Rows of pixels that a row of taps never sees are left out of its product, where their number is
    known: with the pyramid's dilations they are many. Its gradient with respect to the images is as
    many products.
    """
    length, taps = x.shape[1], len(kernel)
    if not isinstance(length, int):
        return _moved_products(window, x, kernel)
    parts = []
    for row in range(taps):
        offset = window.dilation * (row - taps // 2)
        if abs(offset) >= length:
            continue
        seen = x[:, max(offset, 0) : length + min(offset, 0)]
        y = _moved_products(window, seen, kernel[row : row + 1])
        moved = ((0, 0), (max(-offset, 0), max(offset, 0)), (0, 0), (0, 0))
        parts.append(jnp.pad(y, moved))
    return reduce(jnp.add, parts)


def _moved_products(window: Window, x: jax.Array, kernel: jax.Array) -> jax.Array:
    """A convolution of stride 1 as one product, of all pixels with all taps."""
    taps, inputs, outputs = kernel.shape[:2], *kernel.shape[2:]
    mirrored = kernel[::-1, ::-1].reshape(-1, inputs, outputs)
    products = x @ mirrored.swapaxes(0, 1).reshape(inputs, -1)
    y = jax.ShapeDtypeStruct((*x.shape[:3], outputs), products.dtype)
    return jax.linear_transpose(lambda y: window.all_views(y, taps), y)(products)[0]


def kernel_gradient(
    window: Window, x: jax.Array, y: jax.Array, kernel: jax.ShapeDtypeStruct
) -> jax.Array:
    """The gradient of a kernel: one sum over all pixels of products x y, for all taps.

    The taps are views of the side with fewer channels; with a stride, of the images.
    """
    taps, inputs, outputs = kernel.shape[:2], *kernel.shape[2:]
    if window.stride > 1 or inputs < outputs:
        return product_over_rows(window.all_views(x, taps), y).reshape(kernel.shape)
    mirrored = product_over_rows(x, window.all_views(y, taps)).reshape(inputs, -1, outputs)
    return mirrored.swapaxes(0, 1).reshape(kernel.shape)[::-1, ::-1]


def product_over_rows(x: jax.Array, y: jax.Array) -> jax.Array:
    """(..., c) and (..., d) to the sum (c, d) of their products: the gradient of a 1x1 kernel."""
    rows = tuple(range(x.ndim - 1))
    product = partial(lax.dot_general, dimension_numbers=((rows, rows), ((), ())))
    # XLA transposes the first factor in memory on CPUs: let it be the narrow one.
    return product(x, y) if x.shape[-1] <= y.shape[-1] else product(y, x).T
