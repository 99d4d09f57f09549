"""Convolution of images whose `vmap` over tasks leaves the batch divisible among devices.

Under `vmap`, JAX's own convolution makes one batch of T * B images, the tasks outermost. If the B
images are divided among devices, XLA has no way to express how those T * B are: it gathers all of
them on every device, which then convolves them all. Here the program says how only when it is
lowered: for several devices the images are outermost, and every device keeps its own; for one
device the tasks are, which needs no copy.

On CPUs, XLA computes two of its convolutions at a fraction of the speed of its matrix products: the
gradients of kernels, and dilated convolutions to few channels, such as the pyramid's. There they
are one product of all taps at once. Depthwise convolutions are sums over taps: see `depthwise`.

The three primitives, the convolution and its two gradients, are derivatives of one another, so that
all of JAX's transformations hold for them.
"""

import dataclasses
from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
from jax import lax
from jax.core import ShapedArray
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from astmt_jax.models import depthwise

IMAGE_AXES = 4
FEW = 8
"""Times as many channels come in as go out where a convolution on a CPU is one product."""


PADDINGS = ("symmetric", "same")
"""PyTorch's, `dilation * (taps // 2)` on every side; and TensorFlow's, no more than gives every
stride of pixels a result, and, where that is odd, one more after the image than before it."""


@dataclasses.dataclass(frozen=True)
class Window:
    """How a kernel, with an odd number of taps a side, moves over images.

    Attributes:
      stride: pixels from one position to the next.
      dilation: pixels from one tap to the next.
      groups: of channels.
      padding: with zeros, one of `PADDINGS`; they differ where there is a stride.
    """

    stride: int
    dilation: int
    groups: int
    padding: str = "symmetric"

    def margins(self, length: int, taps: int) -> tuple[int, int]:
        """Pixels of padding before and after an axis of `length`."""
        span = self.dilation * (taps - 1)
        if self.padding == "symmetric":
            return span // 2, span // 2
        both = max(span + 1 - (length % self.stride or self.stride), 0)
        return both // 2, both - both // 2

    def first_centre(self, length: int, taps: int) -> int:
        """The pixel of an axis of `length` that the first position's middle tap sees."""
        return self.dilation * (taps // 2) - self.margins(length, taps)[0]

    def __call__(self, x: jax.Array, kernel: jax.Array) -> jax.Array:
        """(B, H, W, in) with (taps, taps, in / groups, out) -> (B, H', W', out)."""
        return lax.conv_general_dilated(
            x,
            kernel,
            window_strides=(self.stride, self.stride),
            padding=[self.margins(*axis) for axis in zip(x.shape[1:3], kernel.shape, strict=False)],
            rhs_dilation=(self.dilation, self.dilation),
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
            feature_group_count=self.groups,
        )

    def padded(self, x: jax.Array, taps: tuple[int, ...]) -> jax.Array:
        """The images (B, H, W, c) with their margins."""
        margins = [self.margins(*axis) for axis in zip(x.shape[1:3], taps, strict=True)]
        return jnp.pad(x, ((0, 0), *margins, (0, 0)))

    def views(self, x: jax.Array, taps: tuple[int, ...]) -> list[jax.Array]:
        """What each tap of a kernel sees: (B, H, W, c) to (B, H', W', c), tap by tap."""
        (rows, columns), (height, width) = taps, x.shape[1:3]
        padded = self.padded(x, taps)
        return [
            padded[:, top : top + height : self.stride, left : left + width : self.stride]
            for top in range(0, rows * self.dilation, self.dilation)
            for left in range(0, columns * self.dilation, self.dilation)
        ]

    def all_views(self, x: jax.Array, taps: tuple[int, ...]) -> jax.Array:
        """`views` side by side: (B, H', W', taps * taps * c)."""
        return jnp.concatenate(self.views(x, taps), axis=-1)

    def reached(self, y: jax.Array, size: tuple[int, ...], taps: tuple[int, ...]) -> list:
        """What each tap hands back to images of `size`: (B, H', W', c) to (B, H, W, c)."""
        spans = [self.dilation * (count - 1) for count in taps]
        low = [
            span - self.margins(length, count)[0]
            for span, length, count in zip(spans, size, taps, strict=True)
        ]
        spread = [(count - 1) * self.stride + 1 for count in y.shape[1:3]]
        padding = [
            (before, length + span - before - own, self.stride - 1)
            for before, length, span, own in zip(low, size, spans, spread, strict=True)
        ]
        padded = jax.lax.pad(y, jnp.zeros((), y.dtype), ((0, 0, 0), *padding, (0, 0, 0)))
        return [
            padded[:, top : top + size[0], left : left + size[1]]
            for top in range(spans[0], -1, -self.dilation)
            for left in range(spans[1], -1, -self.dilation)
        ]

    def is_depthwise(self, shape: tuple[int, ...]) -> bool:
        """Whether a kernel of `shape` makes every channel of one."""
        return self.groups == shape[3] > 1 == shape[2]

    def has_few_outputs(self, shape: tuple[int, ...]) -> bool:
        """Whether a kernel of `shape` makes so few channels that moving them costs little."""
        return self.stride == self.groups == 1 and shape[2] >= FEW * shape[3]


def convolve(x: jax.Array, kernel: jax.Array, window: Window) -> jax.Array:
    """(B, H, W, in) with (taps, taps, in / groups, out) -> (B, H', W', out)."""
    return _forward_p.bind(x, kernel, window=window)


def _forward(x, kernel, *, window: Window, images_outermost: bool, on_cpu: bool):
    """Images (B, ...) or (T, B, ...) and a kernel to images of the same form."""
    images = _fold(x, images_outermost)
    if on_cpu and window.is_depthwise(kernel.shape):
        y = depthwise.weighted(window.views(images, kernel.shape[:2]), kernel)
    elif on_cpu and window.has_few_outputs(kernel.shape):
        y = _few_outputs(window, images, kernel)
    else:
        y = window(images, kernel)
    return _unfold(y, x.shape, images_outermost)


def _input_gradient(y, kernel, *, window: Window, shape, images_outermost: bool, on_cpu: bool):
    """Cotangent `y` of the result, and a kernel, to the cotangent of the images of `shape`."""
    if on_cpu and window.is_depthwise(kernel.shape):
        views = window.reached(_fold(y, images_outermost), shape[-3:-1], kernel.shape[:2])
        return _unfold(depthwise.weighted(views, kernel), shape, images_outermost)
    x = jax.ShapeDtypeStruct(shape, y.dtype)
    forward = partial(_forward, window=window, images_outermost=images_outermost, on_cpu=on_cpu)
    return jax.linear_transpose(lambda x: forward(x, kernel), x)(y)[0]


def _kernel_gradient(x, y, *, window: Window, shape, images_outermost: bool, on_cpu: bool):
    """Images and cotangent `y` of the result to the cotangent of the kernel of `shape`."""
    x, y = _fold(x, images_outermost), _fold(y, images_outermost)
    if on_cpu and window.is_depthwise(shape):
        padded = window.padded(x, shape[:2])
        return depthwise.kernel_gradient(
            padded, y, shape, stride=window.stride, dilation=window.dilation
        )
    if on_cpu and window.groups == 1:
        return _products_of_pixels(window, x, y, shape)
    kernel = jax.ShapeDtypeStruct(shape, x.dtype)
    return jax.linear_transpose(lambda kernel: window(x, kernel), kernel)(y)[0]


def _few_outputs(window: Window, x: jax.Array, kernel: jax.Array) -> jax.Array:
    """A convolution of stride 1: every pixel's product with all taps, and the sum of these, moved.

    Its gradient with respect to the images is one product, too.
    """
    taps, inputs, outputs = kernel.shape[:2], *kernel.shape[2:]
    mirrored = kernel[::-1, ::-1].reshape(-1, inputs, outputs)
    products = x @ mirrored.swapaxes(0, 1).reshape(inputs, -1)
    y = jax.ShapeDtypeStruct((*x.shape[:3], outputs), products.dtype)
    return jax.linear_transpose(lambda y: window.all_views(y, taps), y)(products)[0]


def _products_of_pixels(window: Window, x: jax.Array, y: jax.Array, shape) -> jax.Array:
    """The gradient of a kernel of `shape`: one sum over all pixels of products x y, for all taps.

    The taps are views of the side with fewer channels; with a stride, of the images.
    """
    taps, inputs, outputs = shape[:2], *shape[2:]
    if window.stride > 1 or inputs < outputs:
        return product_over_rows(window.all_views(x, taps), y).reshape(shape)
    mirrored = product_over_rows(x, window.all_views(y, taps)).reshape(inputs, -1, outputs)
    return mirrored.swapaxes(0, 1).reshape(shape)[::-1, ::-1]


def product_over_rows(x: jax.Array, y: jax.Array) -> jax.Array:
    """(..., c) and (..., d) to the sum (c, d) of their products: the gradient of a 1x1 kernel."""
    rows = tuple(range(x.ndim - 1))
    product = partial(lax.dot_general, dimension_numbers=((rows, rows), ((), ())))
    # XLA transposes the first factor in memory on CPUs: let it be the narrow one.
    return product(x, y) if x.shape[-1] <= y.shape[-1] else product(y, x).T


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
