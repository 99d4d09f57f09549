"""UberNet's small decoder: each task has one of its own, directly on the encoder's features."""

import jax
import jax.numpy as jnp
from flax import nnx

from astmt_jax.config import ModelConfig
from astmt_jax.models import layers
from astmt_jax.models.family import Family
from astmt_jax.models.normalization import BatchNorm


class EncoderFeatures(nnx.Module):
    """What tasks share of this decoder: nothing.

    Attributes:
      pools: whether some batch norm sees one position an image.
    """

    pools = False

    def __init__(self, config: ModelConfig, family: Family):
        del config, family

    def __call__(
        self, low: jax.Array, high: jax.Array, *, train: bool
    ) -> tuple[jax.Array, jax.Array]:
        """Low (B, H, W, .) and high-level features (B, h, w, .), unchanged."""
        del train
        return low, high


class Reduction(nnx.Module):
    """1x1 convolution - batch norm - activation."""

    def __init__(self, in_channels: int, out_channels: int, config: ModelConfig, family: Family):
        self.conv = layers.Conv(in_channels, out_channels, 1, dtype=config.compute_dtype)
        self.norm = BatchNorm(out_channels, "shared")
        self.activation = family.activation

    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        """(B, h, w, in_channels) -> (B, h, w, out_channels)."""
        return self.activation(self.norm(self.conv(x), train=train))


class UberHead(nnx.Module):
    """One task's head: both levels reduced to the task's width, then a 1x1 prediction."""

    def __init__(self, num_outputs: int, config: ModelConfig, family: Family):
        low, high = config.scaled(family.low_channels), config.scaled(family.high_channels)
        self.reduce_low = Reduction(low, num_outputs, config, family)
        self.reduce_high = Reduction(high, num_outputs, config, family)
        self.predict = layers.Conv(
            2 * num_outputs, num_outputs, 1, use_bias=True, dtype=config.compute_dtype
        )

    def features(self, features: tuple[jax.Array, jax.Array], *, train: bool) -> jax.Array:
        """Low (B, H, W, .) and high-level features -> (B, H, W, 2 * num_outputs)."""
        low, high = features
        low = self.reduce_low(low, train=train)
        high = layers.resize_bilinear(self.reduce_high(high, train=train), low.shape[1:3])
        return jnp.concatenate([low, high], axis=-1)

    def __call__(self, features: jax.Array) -> jax.Array:
        """(B, h, w, 2 * num_outputs) -> (B, h, w, num_outputs)."""
        return self.predict(features)
