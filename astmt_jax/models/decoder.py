"""DeepLab-v3+ decoder with per-task modulation, for one task (paper section 3.1)."""

import math
from functools import partial

import jax
import jax.numpy as jnp
from flax import nnx

from astmt_jax.config import ModelConfig
from astmt_jax.models import layers
from astmt_jax.models.family import Family
from astmt_jax.models.normalization import BatchNorm

ATROUS_RATES = {16: (6, 12, 18), 8: (12, 24, 36)}


class ModulatedConv(nnx.Module):
    """Convolution (+ adapter) - batch norm - activation (- SE).

    Args:
      in_channels: of the input.
      out_channels: of the output.
      kernel_size: of the convolution.
      dilation: of the convolution.
      grouped: whether the convolution is one of those that the family may group.
      adapter: whether it may have an adapter.
      se_reduction: of the squeeze-and-excitation (SE); None for no SE in any case.
      config: which modulation there is.
      family: of the encoder.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        *,
        dilation: int = 1,
        grouped: bool = True,
        adapter: bool = True,
        se_reduction: int | None,
        config: ModelConfig,
        family: Family,
    ):
        dtype = config.compute_dtype
        grouped = grouped and family.decoder.grouped
        groups = math.gcd(in_channels, out_channels) if grouped else 1
        self.conv = layers.Conv(
            in_channels, out_channels, kernel_size, dilation=dilation, groups=groups, dtype=dtype
        )
        self.adapter = (
            layers.Adapter(in_channels, out_channels, dtype=dtype)
            if config.decoder_adapters and adapter
            else None
        )
        self.norm = BatchNorm(out_channels, config.decoder_norm)
        self.se = (
            layers.SqueezeExcite(
                out_channels,
                se_reduction,
                per_task=True,
                activation=family.activation,
                dtype=dtype,
            )
            if config.decoder_se and se_reduction is not None
            else None
        )
        self.activation = family.activation

    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        """(B, H, W, in_channels) -> (B, H, W, out_channels)."""
        y = self.conv(x)
        if self.adapter is not None:
            y = y + self.adapter(x)
        y = self.activation(self.norm(y, train=train))
        return y if self.se is None else self.se(y)


class AtrousPyramid(nnx.Module):
    """Atrous spatial pyramid pooling: one 1x1, three dilated 3x3 branches and the global mean."""

    def __init__(self, in_channels: int, config: ModelConfig, family: Family):
        width = config.decoder_width
        unit = partial(ModulatedConv, config=config, family=family)
        self.branches = nnx.List(
            [unit(in_channels, width, 1, grouped=False, se_reduction=family.se_reduction)]
            + [
                unit(in_channels, width, 3, dilation=rate, se_reduction=family.se_reduction)
                for rate in ATROUS_RATES[config.output_stride]
            ]
        )
        self.pooled = unit(
            in_channels,
            width,
            1,
            adapter=False,
            se_reduction=family.se_reduction if family.decoder.pooled_se else None,
        )
        self.project = unit(5 * width, width, 1, se_reduction=family.se_reduction)

    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        """(B, h, w, in_channels) -> (B, h, w, width)."""
        outputs = [branch(x, train=train) for branch in self.branches]
        pooled = self.pooled(jnp.mean(x, axis=(1, 2), keepdims=True), train=train)
        # In float32, so that the gradient, a sum over the image, is one in float32, too.
        spread = jnp.broadcast_to(layers.widen(pooled), outputs[0].shape)
        outputs.append(spread.astype(pooled.dtype))
        return self.project(jnp.concatenate(outputs, axis=-1), train=train)


class DeepLabDecoder(nnx.Module):
    """Pyramid on the high-level features, refined with the low-level ones at stride 4.

    Attributes:
      pools: whether some batch norm sees one position an image.
    """

    pools = True

    def __init__(self, config: ModelConfig, family: Family):
        width = config.decoder_width
        low_width = 48 * width // 256
        unit = partial(ModulatedConv, config=config, family=family)
        self.pyramid = AtrousPyramid(config.scaled(family.high_channels), config, family)
        self.reduce_low = unit(
            config.scaled(family.low_channels),
            low_width,
            1,
            se_reduction=family.decoder.low_se_reduction,
        )
        self.fuse = unit(width + low_width, width, 3, se_reduction=family.se_reduction)
        self.refine = unit(width, width, 3, se_reduction=family.se_reduction)
        self.low_first = family.decoder.low_first

    def __call__(self, low: jax.Array, high: jax.Array, *, train: bool) -> jax.Array:
        """Low (B, H, W, .) and high-level features -> the shared features (B, H, W, width)."""
        low = self.reduce_low(low, train=train)
        x = layers.resize_bilinear(self.pyramid(high, train=train), low.shape[1:3])
        parts = [low, x] if self.low_first else [x, low]
        x = self.fuse(jnp.concatenate(parts, axis=-1), train=train)
        return self.refine(x, train=train)


class PredictionLayer(layers.Conv):
    """One task's head: a 1x1 convolution with bias on the trunk's features."""

    def __init__(self, num_outputs: int, config: ModelConfig, family: Family):
        del family
        super().__init__(
            config.decoder_width, num_outputs, 1, use_bias=True, dtype=config.compute_dtype
        )

    def features(self, features: jax.Array, *, train: bool) -> jax.Array:
        """What it reads: the trunk's features (B, h, w, width) as they are."""
        del train
        return features
