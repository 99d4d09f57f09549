"""Winograd's convolution against XLA's, and its precision."""

import jax
import numpy as np
import pytest

from astmt_jax.models import winograd
from astmt_jax.models.window import Window

SIZES = [((4, 4), 1), ((5, 8), 1), ((1, 3), 1), ((8, 4), 2), ((7, 9), 3)]


def draw(*shape):
    return np.random.default_rng(len(shape)).standard_normal(shape)


def all_three(convolve):
    """The convolution of images and kernel, and both gradients of its product with `y`."""

    def run(x, kernel, y):
        result, gradients = jax.vjp(convolve, x, kernel)
        return result, *gradients(y)

    return run


@pytest.mark.parametrize(("size", "dilation"), SIZES)
def test_convolution_and_gradients_are_xlas(size, dilation):
    x, kernel, y = draw(2, *size, 3), draw(3, 3, 3, 5), draw(2, *size, 5)

    def own(x, kernel, y):
        return (
            winograd.convolve(x, kernel, dilation),
            winograd.input_gradient(y, kernel, dilation),
            winograd.kernel_gradient(x, y, dilation),
        )

    with jax.enable_x64(True):
        expected = jax.jit(all_three(Window(1, dilation, 1)))(x, kernel, y)
        for found, right in zip(jax.jit(own)(x, kernel, y), expected, strict=True):
            np.testing.assert_allclose(found, right, rtol=1e-12, atol=1e-12)


def test_float32_is_as_precise_as_a_direct_convolution_nearly():
    """Root mean square errors against float64, of sums of 9 * 64 products."""
    x, kernel = draw(2, 12, 12, 64), draw(3, 3, 64, 64)
    direct = Window(1, 1, 1)
    with jax.enable_x64(True):
        exact = np.asarray(jax.jit(direct)(x, kernel))
    x, kernel = x.astype(np.float32), kernel.astype(np.float32)
    error = lambda found: np.sqrt(np.mean(np.square(found - exact)))  # noqa: E731
    with jax.default_matmul_precision("highest"):
        own = error(jax.jit(winograd.convolve, static_argnums=2)(x, kernel, 1))
        assert 0 < own < 3 * error(jax.jit(direct)(x, kernel))


@pytest.mark.parametrize(("length", "dilation", "covered"), [(4, 1, 4), (5, 1, 6), (9, 3, 12)])
def test_covered(length, dilation, covered):
    assert winograd.covered(length, dilation) == covered


@pytest.mark.parametrize(
    ("suits", "window", "images", "kernel", "dtype"),
    [
        (True, Window(1, 1, 1), (2, 9, 8, 128), (3, 3, 128, 128), "float32"),
        (True, Window(1, 2, 1), (3, 2, 8, 16, 128), (3, 3, 128, 256), "float32"),
        (False, Window(1, 1, 1), (2, 9, 8, 128), (3, 3, 128, 128), "bfloat16"),
        (False, Window(1, 1, 1), (2, 9, 8, 64), (3, 3, 64, 256), "float32"),
        (False, Window(1, 1, 1), (2, 9, 8, 128), (1, 3, 128, 128), "float32"),
        (False, Window(2, 1, 1), (2, 9, 8, 128), (3, 3, 128, 128), "float32"),
        (False, Window(1, 1, 2), (2, 9, 8, 256), (3, 3, 128, 256), "float32"),
        # Tiles of 4 rows by 4 columns, of 2 x 2 pixels that are the image's own.
        (False, Window(1, 2, 1), (2, 2, 2, 128), (3, 3, 128, 128), "float32"),
    ],
)
def test_what_suits_winograd(suits, window, images, kernel, dtype):
    assert winograd.suits(window, jax.ShapeDtypeStruct(images, dtype), kernel) == suits
