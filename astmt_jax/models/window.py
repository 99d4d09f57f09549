"""How the kernel of a convolution moves over images, and what each of its taps sees."""

import dataclasses

import jax
import jax.numpy as jnp
from jax import lax

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
        padded = lax.pad(y, jnp.zeros((), y.dtype), ((0, 0, 0), *padding, (0, 0, 0)))
        return [
            padded[:, top : top + size[0], left : left + size[1]]
            for top in range(spans[0], -1, -self.dilation)
            for left in range(spans[1], -1, -self.dilation)
        ]
