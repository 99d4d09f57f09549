"""The ways in which a convolution and its two gradients are computed, and which a CPU takes."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax

from astmt_jax.models import depthwise, products, winograd
from astmt_jax.models.window import Window


class Method(NamedTuple):
    """How a convolution and its gradients are computed.

    Attributes:
      forward: `(window, images (B, H, W, in), kernel (taps, taps, in / groups, out))` to the result
        (B, H', W', out).
      input_gradient: `(window, cotangent of the result, kernel, description of the images)` to the
        images' cotangent.
      kernel_gradient: `(window, images, cotangent of the result, description of the kernel)` to the
        kernel's cotangent.
    """

    forward: Callable[[Window, jax.Array, jax.Array], jax.Array]
    input_gradient: Callable[[Window, jax.Array, jax.Array, Any], jax.Array]
    kernel_gradient: Callable[[Window, jax.Array, jax.Array, Any], jax.Array]


def _input_of(forward: Callable) -> Callable:
    """The gradient with respect to the images, as JAX derives it."""

    def input_gradient(window, y, kernel, images):
        return jax.linear_transpose(lambda x: forward(window, x, kernel), images)(y)[0]

    return input_gradient


def _xla_kernel_gradient(window, x, y, kernel):
    return jax.linear_transpose(lambda kernel: window(x, kernel), kernel)(y)[0]


XLA = Method(Window.__call__, _input_of(Window.__call__), _xla_kernel_gradient)
KERNELS_AS_PRODUCTS = XLA._replace(kernel_gradient=products.kernel_gradient)
PRODUCTS = Method(products.convolve, _input_of(products.convolve), products.kernel_gradient)
DEPTHWISE = Method(depthwise.convolve, depthwise.input_gradient, depthwise.kernel_gradient)
WINOGRAD = Method(
    lambda window, x, kernel: winograd.convolve(x, kernel, window.dilation),
    lambda window, y, kernel, images: winograd.input_gradient(y, kernel, window.dilation),
    lambda window, x, y, kernel: winograd.kernel_gradient(x, y, window.dilation),
)


def for_cpu(window: Window, images: Any, kernel: Any) -> Method:
    """What a CPU computes fastest; images (B, H, W, in) and kernel can be descriptions."""
    if depthwise.suits(window, kernel.shape):
        return DEPTHWISE
    if products.suits(window, kernel.shape):
        return PRODUCTS
    if winograd.suits(window, images, kernel.shape):
        return WINOGRAD
    return KERNELS_AS_PRODUCTS if window.groups == 1 else XLA
