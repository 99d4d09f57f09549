"""Convolution of images whose `vmap` over tasks leaves the batch divisible among devices.

Under `vmap`, JAX's own convolution makes one batch of T * B images, the tasks outermost. If the B
images are divided among devices, XLA has no way to express how those T * B are: it gathers all of
them on every device, which then convolves them all. Here the program says how only when it is
lowered: for several devices the images are outermost, and every device keeps its own; for one
device the tasks are, which needs no copy.

On CPUs, XLA computes some of its convolutions at a fraction of the speed of its matrix products:
there it is `methods.for_cpu` that says how each is computed.

The three primitives, the convolution and its two gradients, are derivatives of one another, so that
all of JAX's transformations hold for them.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.core import ShapedArray
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from astmt_jax.models import methods
from astmt_jax.models.methods import Method
from astmt_jax.models.window import Window

IMAGE_AXES = 4


def convolve(x: jax.Array, kernel: jax.Array, window: Window) -> jax.Array:
    """(B, H, W, in) with (taps, taps, in / groups, out) -> (B, H', W', out)."""
    return _forward_p.bind(x, kernel, window=window)


def _forward(x, kernel, *, window: Window, images_outermost: bool, on_cpu: bool):
    """Images (B, ...) or (T, B, ...) and a kernel to images of the same form."""
    images = _fold(x, images_outermost)
    y = _method(on_cpu, window, images, kernel).forward(window, images, kernel)
    return _unfold(y, x.shape, images_outermost)


def _input_gradient(y, kernel, *, window: Window, shape, images_outermost: bool, on_cpu: bool):
    """Cotangent `y` of the result, and a kernel, to the cotangent of the images of `shape`."""
    y = _fold(y, images_outermost)
    images = jax.ShapeDtypeStruct((y.shape[0], *shape[-3:]), y.dtype)
    x = _method(on_cpu, window, images, kernel).input_gradient(window, y, kernel, images)
    return _unfold(x, shape, images_outermost)


def _kernel_gradient(x, y, *, window: Window, shape, images_outermost: bool, on_cpu: bool):
    """Images and cotangent `y` of the result to the cotangent of the kernel of `shape`."""
    x, y = _fold(x, images_outermost), _fold(y, images_outermost)
    kernel = jax.ShapeDtypeStruct(shape, x.dtype)
    return _method(on_cpu, window, x, kernel).kernel_gradient(window, x, y, kernel)


def _method(on_cpu: bool, window: Window, images: Any, kernel: Any) -> Method:
    """How a convolution is computed, of arrays or their descriptions."""
    return methods.for_cpu(window, images, kernel) if on_cpu else methods.XLA


def _fold(x: jax.Array, images_outermost: bool) -> jax.Array:
    """(T, B, ...) -> (B * T, ...) or (T * B, ...); images without tasks stay as they are."""
    if x.ndim == IMAGE_AXES:
        return x
    x = x.swapaxes(0, 1) if images_outermost else x
    return x.reshape(-1, *x.shape[2:])


def _unfold(y: jax.Array, shape: tuple[int, ...], images_outermost: bool) -> jax.Array:
    """Undoes `_fold` of an array that had `shape`."""
    if len(shape) == IMAGE_AXES:
        return y
    tasks, batch = shape[:2]
    if images_outermost:
        return y.reshape(batch, tasks, *y.shape[1:]).swapaxes(0, 1)
    return y.reshape(tasks, batch, *y.shape[1:])


def _lower(function: Callable, on_cpu: bool) -> Callable:
    """Lowering of `function` for the devices that the program is for."""

    def lower(context, *operands, **parameters):
        devices = getattr(context.module_context.axis_context, "num_devices", 1)
        chosen = partial(function, images_outermost=devices > 1, on_cpu=on_cpu)
        return mlir.lower_fun(chosen, multiple_results=False)(context, *operands, **parameters)

    return lower


def _primitive(name: str, function: Callable, shares_kernel: bool) -> Primitive:
    """A primitive that computes `function` of two arrays.

    Args:
      name: of the primitive.
      function: of two arrays, `images_outermost`, `on_cpu` and the primitive's parameters.
      shares_kernel: whether the second array is a kernel, which all tasks may share.
    """
    plain = partial(function, images_outermost=False, on_cpu=False)

    def abstract_eval(*operands, **parameters):
        shape = jax.eval_shape(partial(plain, **parameters), *map(_description, operands))
        return ShapedArray(shape.shape, shape.dtype)

    def batch(operands, axes, **parameters):
        images, kernel = operands
        if shares_kernel and axes[1] is None and images.ndim == IMAGE_AXES + 1:
            images = jnp.moveaxis(images, axes[0], 0)
            if "shape" in parameters:
                parameters["shape"] = (images.shape[0], *parameters["shape"])
            return primitive.bind(images, kernel, **parameters), 0
        return jax.vmap(partial(plain, **parameters), axes)(*operands), 0

    primitive = Primitive(name)
    primitive.def_impl(plain)
    primitive.def_abstract_eval(abstract_eval)
    batching.primitive_batchers[primitive] = batch
    mlir.register_lowering(primitive, _lower(function, on_cpu=False))
    mlir.register_lowering(primitive, _lower(function, on_cpu=True), platform="cpu")
    return primitive


def _description(value) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(value.shape, value.dtype)


_forward_p = _primitive("image_convolution", _forward, shares_kernel=True)
_input_p = _primitive("image_convolution_input_gradient", _input_gradient, shares_kernel=True)
_kernel_p = _primitive("image_convolution_kernel_gradient", _kernel_gradient, shares_kernel=False)


def _to_input(cotangent, x, kernel, *, window, shape=None):
    return _input_p.bind(cotangent, kernel, window=window, shape=x.aval.shape)


def _to_kernel(cotangent, x, kernel, *, window, shape=None):
    return _kernel_p.bind(x, cotangent, window=window, shape=kernel.aval.shape)


# Each is linear in both operands. Transposed, `_input_p` of (y, kernel) is the convolution of the
# images' cotangent, and `_kernel_p` of (x, y) is either of the others with the kernel's cotangent.
ad.defbilinear(_forward_p, _to_input, _to_kernel)
ad.defbilinear(
    _input_p,
    lambda cotangent, y, kernel, *, window, shape: _forward_p.bind(
        cotangent, kernel, window=window
    ),
    lambda cotangent, y, kernel, *, window, shape: _kernel_p.bind(
        cotangent, y, window=window, shape=kernel.aval.shape
    ),
)
ad.defbilinear(
    _kernel_p,
    lambda cotangent, x, y, *, window, shape: _input_p.bind(
        y, cotangent, window=window, shape=x.aval.shape
    ),
    lambda cotangent, x, y, *, window, shape: _forward_p.bind(x, cotangent, window=window),
)
