"""Building blocks of all networks: convolutions, adapters, squeeze-and-excitation, resizing.

Every module is written for one task. A variable that each task owns is a `TaskParam` or a
`TaskStat`; `network.py` stacks those over tasks and broadcasts everything else.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import lax

from astmt_jax.models import convolution, products
from astmt_jax.models.initialization import gaussian
from astmt_jax.models.rematerialization import kept
from astmt_jax.models.variables import TaskParam
from astmt_jax.models.window import Window


def widen(x: jax.Array) -> jax.Array:
    """In float32, unless it is wider already."""
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))


class Conv(nnx.Module):
    """2-D convolution with zero padding, one of `window.PADDINGS`, NHWC and HWIO.

    Weights start as `ModelConfig.conv_init` says, the bias as 0.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        *,
        stride: int = 1,
        dilation: int = 1,
        groups: int = 1,
        padding: str = "symmetric",
        use_bias: bool = False,
        dtype=jnp.float32,
    ):
        shape = (kernel_size, kernel_size, in_channels // groups, out_channels)
        # PyTorch's fan-out of a grouped convolution counts the outputs of all groups.
        fans = (kernel_size**2 * shape[2], kernel_size**2 * out_channels)
        self.kernel = gaussian(nnx.Param, shape, layer="conv", fans=fans)
        self.bias = nnx.Param(jnp.zeros(out_channels)) if use_bias else None
        self.window = Window(stride, dilation, groups, padding)
        self.dtype = dtype

    def __call__(self, x: jax.Array) -> jax.Array:
        """(B, H, W, in) -> (B, ceil(H / stride), ceil(W / stride), out)."""
        y = convolve(x.astype(self.dtype), self.kernel[...].astype(self.dtype), self.window)
        if self.bias is None:
            return y
        # Added in float32, so that the bias's gradient, a long sum, is one in float32, too.
        return (widen(y) + self.bias[...]).astype(self.dtype)

    def centres(self, x: jax.Array) -> jax.Array:
        """The pixels (B, H', W', C) of (B, H, W, C) on which the kernel is centred."""
        taps, stride = self.kernel.shape[0], self.window.stride
        top, left = (self.window.first_centre(length, taps) for length in x.shape[1:3])
        return every(x, stride, top, left)


def convolve(x: jax.Array, kernel: jax.Array, window: Window) -> jax.Array:
    """Convolves images (B, H, W, in) with an HWIO kernel; a 1x1 kernel is a matrix product.

    Taps that see nothing but padding are left out first: on small images those of the pyramid's
    dilated convolutions reach beyond the border from everywhere.
    """
    rows, columns = (
        _reaching_taps(taps, window, length)
        for taps, length in zip(kernel.shape[:2], x.shape[1:3], strict=True)
    )
    kernel = kernel[rows, columns]
    if kernel.shape[:2] == (1, 1):
        x = every(x, window.stride)
        if window.groups > 1:
            return kept(grouped_pointwise(x, kernel[0, 0], window.groups))
        return kept(pointwise(x, kernel[0, 0]))
    return kept(convolution.convolve(x, kernel, window))


def _reaching_taps(taps: int, window: Window, length: int) -> slice:
    """The taps of a centred kernel that overlap an axis of `length` at some position.

    All of them where the length is a symbol, in a program that is exported for any size, and where
    their number decides about the padding.
    """
    if not isinstance(length, int) or (window.padding == "same" and window.stride > 1):
        return slice(None)
    centre = taps // 2
    reach = min(centre, (length - 1) // window.dilation)
    return slice(centre - reach, centre + reach + 1)


def every(x: jax.Array, stride: int, top: int = 0, left: int = 0) -> jax.Array:
    """One pixel of every `stride` in each direction, from (top, left) on: (B, H, W, C).

    As a slice it stays one where H and W are symbols, in a program that is exported for any size;
    with brackets it would be a gathering of pixels.
    """
    if stride == 1 and top == left == 0:
        return x
    return lax.slice(x, (0, top, left, 0), x.shape, (1, stride, stride, 1))


@jax.custom_vjp
def pointwise(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """1x1 convolution (..., in) x (in, out) -> (..., out).

    As a matrix product it stays one under `vmap` over per-task kernels, where a convolution
    would become a slow grouped one; on CPUs it is faster even without.
    """
    return jnp.einsum("...c,cd->...d", x, kernel)


def _pointwise_forward(x, kernel):
    return pointwise(x, kernel), (x, kernel)


def _pointwise_backward(residuals, gradient):
    x, kernel = residuals
    kernel_gradient = products.product_over_rows(x, gradient)
    return jnp.einsum("...d,cd->...c", gradient, kernel), kernel_gradient


pointwise.defvjp(_pointwise_forward, _pointwise_backward)


def grouped_pointwise(x: jax.Array, kernel: jax.Array, groups: int) -> jax.Array:
    """1x1 convolution in groups: (..., in) x (in / groups, out) -> (..., out)."""
    x = x.reshape(*x.shape[:-1], groups, -1)
    y = jnp.einsum("...gc,cgd->...gd", x, kernel.reshape(kernel.shape[0], groups, -1))
    return y.reshape(*y.shape[:-2], -1)


class Adapter(nnx.Module):
    """Residual adapter: a per-task 1x1 convolution without bias that starts at 0."""

    def __init__(self, in_channels: int, out_channels: int, *, stride: int = 1, dtype=jnp.float32):
        self.kernel = TaskParam(jnp.zeros((in_channels, out_channels)))
        self.stride = stride
        self.dtype = dtype

    def __call__(self, x: jax.Array) -> jax.Array:
        """(B, H, W, in) -> (B, ceil(H / stride), ceil(W / stride), out)."""
        x = every(x, self.stride)
        return kept(pointwise(x.astype(self.dtype), self.kernel[...].astype(self.dtype)))


class SqueezeExcite(nnx.Module):
    """Squeeze-and-excitation: channels are scaled by a gate computed from their global averages.

    Args:
      channels: of the input and of the output.
      reduction: the gate's hidden layer has `channels // reduction` units.
      per_task: whether each task owns the weights (else they are shared).
      activation: of the hidden layer.

    Biases start as 0.
    """

    def __init__(
        self,
        channels: int,
        reduction: int,
        *,
        per_task: bool,
        activation: Callable[[jax.Array], jax.Array] = jax.nn.relu,
        dtype=jnp.float32,
    ):
        param = TaskParam if per_task else nnx.Param
        hidden = channels // reduction

        def kernel(inputs, outputs):
            return gaussian(param, (inputs, outputs), layer="linear", fans=(inputs, outputs))

        self.reduce_kernel = kernel(channels, hidden)
        self.reduce_bias = param(jnp.zeros(hidden))
        self.expand_kernel = kernel(hidden, channels)
        self.expand_bias = param(jnp.zeros(channels))
        self.activation = activation
        self.dtype = dtype

    def __call__(self, x: jax.Array) -> jax.Array:
        """(B, H, W, C) -> (B, H, W, C)."""
        gate = self.gate(x)[:, None, None, :]
        # In float32, so that the gate's gradient, a long sum, is one in float32, too.
        return (widen(x) * widen(gate)).astype(x.dtype)

    def gate(self, x: jax.Array) -> jax.Array:
        """What each channel of x (B, H, W, C) is multiplied by: (B, C), 0..1."""
        squeezed = kept(jnp.mean(x, axis=(1, 2)))
        hidden = self.activation(self._linear(squeezed, self.reduce_kernel, self.reduce_bias))
        return jax.nn.sigmoid(self._linear(hidden, self.expand_kernel, self.expand_bias))

    def _linear(self, x: jax.Array, kernel: nnx.Variable, bias: nnx.Variable) -> jax.Array:
        return kept(pointwise(x, kernel[...].astype(self.dtype))) + bias[...].astype(self.dtype)


def relu6(x: jax.Array) -> jax.Array:
    """min(max(x, 0), 6), with derivative 0 where it is clipped."""
    return jnp.where(x < 6, jax.nn.relu(x), jnp.asarray(6, x.dtype))


def max_pool(x: jax.Array) -> jax.Array:
    """3x3 maximum with stride 2 and padding 1: (B, H, W, C) -> (B, ceil(H/2), ceil(W/2), C)."""
    return lax.reduce_window(
        x,
        np.array(-np.inf, x.dtype),
        lax.max,
        window_dimensions=(1, 3, 3, 1),
        window_strides=(1, 2, 2, 1),
        padding=((0, 0), (1, 1), (1, 1), (0, 0)),
    )


def resize_bilinear(x: jax.Array, size: tuple[int, ...]) -> jax.Array:
    """Bilinear interpolation with half-pixel centres: (B, h, w, C) -> `(B, *size, C)`."""
    shape = (x.shape[0], *size, x.shape[-1])
    return jax.image.resize(x, shape, method="bilinear", antialias=False)
