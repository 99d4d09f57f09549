"""3x3 convolutions with 16 multiplications for 2 x 2 pixels and a pair of channels, instead of 36.

Winograd's minimal filtering F(2x2, 3x3) after Lavin and Gray, "Fast Algorithms for Convolutional
Neural Networks" (CVPR 2016): tiles of 4 x 4 pixels, which overlap, and kernels become 16 sums of
themselves each; one matrix product for each of these, summed, is 2 x 2 pixels of the result. The
factors of all sums are 0, 1, -1, 1/2 and 1/4, so that it is about as precise as a direct one.

Images (B, H, W, C) are surrounded by zeros, and the result is as large as they are. Where there is
a dilation, a tile's pixels are that far apart.
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from astmt_jax.models.window import Window

TAPS = (3, 3)
MANY = 128
"""Channels that must come in, and go out, for the products to outweigh the sums."""
OF_PIXELS = np.array([[1, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, 1, 0, -1]], np.float32)
OF_TAPS = np.array([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]], np.float32)
OF_PRODUCTS = np.array([[1, 1, 1, 0], [0, 1, -1, -1]], np.float32)
"""The sums along an axis: of a tile's pixels, a kernel's taps, and the products of both."""


def suits(window: Window, images: Any, shape: tuple[int, ...]) -> bool:
    """Whether this computes images with a kernel of `shape` as precisely, and sooner.

    Not in bfloat16, nor where tiles would reach far beyond the images' border, nor where their size
    is a symbol.

    Args:
      window: of the convolution.
      images: (..., H, W, in), or their description.
      shape: of the kernel.
    """
    if shape[:2] != TAPS or not window.stride == window.groups == 1:
        return False
    sizes = images.shape[-3:-1]
    return (
        min(shape[2:]) >= MANY
        and jnp.finfo(images.dtype).bits >= 32
        and all(isinstance(length, int) for length in sizes)
        and all(4 * covered(length, window.dilation) <= 5 * length for length in sizes)
    )


def convolve(x: jax.Array, kernel: jax.Array, dilation: int) -> jax.Array:
    """(B, H, W, in) with (3, 3, in, out) -> (B, H, W, out)."""
    products = jnp.einsum("s...c,scd->s...d", _tiles(x, dilation), _taps(kernel))
    return _pixels(products, x.shape[1:3])


def input_gradient(y: jax.Array, kernel: jax.Array, dilation: int) -> jax.Array:
    """Cotangent (B, H, W, out) and kernel (3, 3, in, out) to that of the images, (B, H, W, in)."""
    mirrored = _taps(kernel[::-1, ::-1])
    products = jnp.einsum("s...d,scd->s...c", _tiles(y, dilation), mirrored)
    return _pixels(products, y.shape[1:3])


def kernel_gradient(x: jax.Array, y: jax.Array, dilation: int) -> jax.Array:
    """Images (B, H, W, in) and cotangent (B, H, W, out) to that of the kernel, (3, 3, in, out)."""
    tiles = _tiles(x, dilation)
    like = jax.ShapeDtypeStruct((*tiles.shape[:-1], y.shape[-1]), y.dtype)
    (cotangents,) = jax.linear_transpose(lambda products: _pixels(products, x.shape[1:3]), like)(y)
    products = jnp.einsum("s...c,s...d->scd", tiles, cotangents)
    kernel = jax.ShapeDtypeStruct((*TAPS, *products.shape[1:]), products.dtype)
    return jax.linear_transpose(_taps, kernel)(products)[0]


def covered(length: int, dilation: int) -> int:
    """Pixels that all tiles' results cover along an axis of `length`: at least as many."""
    return length + -length % (2 * dilation)


def _tiles(x: jax.Array, dilation: int) -> jax.Array:
    """Sums of the pixels of all tiles: (16, B, h, dilation, w, dilation, C)."""
    beyond = [covered(length, dilation) - length for length in x.shape[1:3]]
    x = jnp.pad(x, ((0, 0), *((dilation, dilation + each) for each in beyond), (0, 0)))
    batch, rows, columns, channels = x.shape
    halves = (batch, rows // (2 * dilation), 2, dilation, columns // (2 * dilation), 2, dilation)
    x = x.reshape(*halves, channels).transpose(2, 5, 0, 1, 3, 4, 6, 7)
    x = jnp.concatenate([x[:, :, :, :-1], x[:, :, :, 1:]], axis=0)
    x = jnp.concatenate([x[:, :, :, :, :, :-1], x[:, :, :, :, :, 1:]], axis=1)
    return _sums(OF_PIXELS, x)


def _taps(kernel: jax.Array) -> jax.Array:
    """Sums of the taps: (3, 3, in, out) -> (16, in, out)."""
    return _sums(OF_TAPS, kernel)


def _pixels(products: jax.Array, size: Sequence[int]) -> jax.Array:
    """(16, B, h, dilation, w, dilation, C) -> `(B, *size, C)`."""
    _, batch, rows, dilation, columns, _, channels = products.shape
    y = _sums(OF_PRODUCTS, products.reshape(4, 4, *products.shape[1:]))
    y = y.reshape(2, 2, *products.shape[1:]).transpose(2, 3, 0, 4, 5, 1, 6, 7)
    y = y.reshape(batch, rows * 2 * dilation, columns * 2 * dilation, channels)
    return y[:, : size[0], : size[1]]


def _sums(factors: np.ndarray, x: jax.Array) -> jax.Array:
    """Sums along the first two axes, as one product: (n, n, ...) -> (m * m, ...)."""
    both = np.kron(factors, factors).astype(x.dtype)
    return jnp.matmul(both, x.reshape(both.shape[1], -1)).reshape(-1, *x.shape[2:])
