"""DeepLab-v3+ decoder with per-task modulation, for one task (paper section 3.1)."""

import jax
import jax.numpy as jnp
from flax import nnx

from astmt_jax.models import layers
from astmt_jax.models.config import (
    SE_REDUCTION,
    SE_REDUCTION_LOW_LEVEL,
    ModelConfig,
    low_level_width,
)

ATROUS_RATES = {16: (6, 12, 18), 8: (12, 24, 36)}


class ModulatedConv(nnx.Module):
    """Convolution (+ adapter) - batch norm - ReLU (- SE)."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        *,
        dilation: int = 1,
        adapter: bool = True,
        se_reduction: int = SE_REDUCTION,
        config: ModelConfig,
    ):
        dtype = config.compute_dtype
        self.conv = layers.Conv(
            in_channels, out_channels, kernel_size, dilation=dilation, dtype=dtype
        )
        self.adapter = (
            layers.Adapter(in_channels, out_channels, dtype=dtype)
            if config.adapters and adapter
            else None
        )
        self.norm = layers.BatchNorm(out_channels, config.decoder_norm)
        self.se = (
            layers.SqueezeExcite(out_channels, se_reduction, per_task=True, dtype=dtype)
            if config.decoder_se
            else None
        )

    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        """(B, H, W, in_channels) -> (B, H, W, out_channels)."""
        y = self.conv(x)
        if self.adapter is not None:
            y = y + self.adapter(x)
        y = jax.nn.relu(self.norm(y, train=train))
        return y if self.se is None else self.se(y)


class AtrousPyramid(nnx.Module):
    """Atrous spatial pyramid pooling: one 1x1, three dilated 3x3 branches and the global mean."""

    def __init__(self, in_channels: int, config: ModelConfig):
        width = config.decoder_width
        self.branches = nnx.List(
            [ModulatedConv(in_channels, width, 1, config=config)]
            + [
                ModulatedConv(in_channels, width, 3, dilation=rate, config=config)
                for rate in ATROUS_RATES[config.output_stride]
            ]
        )
        self.pooled = ModulatedConv(in_channels, width, 1, adapter=False, config=config)
        self.project = ModulatedConv(5 * width, width, 1, config=config)

    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        """(B, h, w, in_channels) -> (B, h, w, width)."""
        outputs = [branch(x, train=train) for branch in self.branches]
        pooled = self.pooled(jnp.mean(x, axis=(1, 2), keepdims=True), train=train)
        outputs.append(jnp.broadcast_to(pooled, outputs[0].shape))
        return self.project(jnp.concatenate(outputs, axis=-1), train=train)


class DeepLabDecoder(nnx.Module):
    """Pyramid on the high-level features, refined with the low-level ones at stride 4."""

    def __init__(self, low_channels: int, high_channels: int, config: ModelConfig):
        width = config.decoder_width
        low_width = low_level_width(width)
        self.pyramid = AtrousPyramid(high_channels, config)
        self.reduce_low = ModulatedConv(
            low_channels, low_width, 1, se_reduction=SE_REDUCTION_LOW_LEVEL, config=config
        )
        self.fuse = ModulatedConv(width + low_width, width, 3, config=config)
        self.refine = ModulatedConv(width, width, 3, config=config)

    def __call__(self, low: jax.Array, high: jax.Array, *, train: bool) -> jax.Array:
        """Low (B, H, W, .) and high-level features -> the shared features (B, H, W, width)."""
        low = self.reduce_low(low, train=train)
        x = layers.resize_bilinear(self.pyramid(high, train=train), low.shape[1:3])
        x = self.fuse(jnp.concatenate([x, low], axis=-1), train=train)
        return self.refine(x, train=train)
