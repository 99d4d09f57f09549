"""Encoders of inverted residuals, for one task: what MobileNet-v2 and EfficientNet-Lite share."""

import dataclasses
from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

import jax
from flax import nnx

from astmt_jax.config import ModelConfig
from astmt_jax.models import layers
from astmt_jax.models.normalization import BATCH_NORM_EPSILON, BatchNorm
from astmt_jax.models.rematerialization import apply_block

STEM_CHANNELS = 32
STEM_STRIDE = 2
SE_REDUCTION = 4
LOW_LEVEL_STAGES = 2
"""The low-level features are those after so many stages, at stride 4."""


class Stage(NamedTuple):
    """Blocks of one width, of which the first has the stride."""

    kernel_size: int
    stride: int
    expansion: int
    channels: int


@dataclasses.dataclass(frozen=True)
class Architecture:
    """What tells these encoders from one another.

    Attributes:
      stages: with the strides of the classifier, and widths at `width_multiplier` 1.
      padding: of the convolutions, one of `window.PADDINGS`.
      epsilon: of the batch norms.
      dilates_first: whether the first block of a stage whose stride is taken away is dilated as the
        others are (the reference implementation's MobileNet). In a classifier that block sees its
        input at the resolution that it was trained for, and keeps the dilation of the stage before.
    """

    stages: tuple[Stage, ...]
    padding: str = "symmetric"
    epsilon: float = BATCH_NORM_EPSILON
    dilates_first: bool = False

    def blocks(
        self, repeats: tuple[int, ...], output_stride: int
    ) -> Iterator[tuple[Stage, int, int]]:
        """Stage, stride and dilation of every block.

        Strides that would lead beyond the output stride become dilations.

        Args:
          repeats: number of blocks in each stage.
          output_stride: input resolution / resolution of the last stage.
        """
        reached, dilation = STEM_STRIDE, 1
        for stage, count in zip(self.stages, repeats, strict=True):
            stride, entry = stage.stride, dilation
            if reached * stride > output_stride:
                dilation, stride = dilation * stride, 1
            reached *= stride
            yield stage, stride, dilation if self.dilates_first else entry
            yield from [(stage, 1, dilation)] * (count - 1)


class InvertedResidual(nnx.Module):
    """1x1 expansion - depthwise - linear 1x1 projection with batch norms, then SE.

    Without expansion the first 1x1 is left out. The adapter is a 1x1 convolution in parallel with
    all of the block's, from its input, where the depthwise convolution is centred, to what the last
    batch norm reads. Input and output are added when their shapes agree.
    """

    def __init__(
        self,
        in_channels: int,
        *,
        stage: Stage,
        stride: int,
        dilation: int,
        architecture: Architecture,
        config: ModelConfig,
    ):
        conv = partial(layers.Conv, dtype=config.compute_dtype)
        norm = partial(BatchNorm, ownership=config.encoder_norm, epsilon=architecture.epsilon)
        hidden, out_channels = in_channels * stage.expansion, config.scaled(stage.channels)
        expands = stage.expansion > 1
        self.expand_conv = conv(in_channels, hidden, 1) if expands else None
        self.expand_norm = norm(hidden) if expands else None
        self.depthwise_conv = conv(
            hidden,
            hidden,
            stage.kernel_size,
            stride=stride,
            dilation=dilation,
            groups=hidden,
            padding=architecture.padding,
        )
        self.depthwise_norm = norm(hidden)
        self.project_conv = conv(hidden, out_channels, 1)
        adapter = partial(layers.Adapter, in_channels, out_channels, dtype=config.compute_dtype)
        self.adapter = adapter() if config.encoder_adapters else None
        self.project_norm = norm(out_channels)
        self.se = layers.SqueezeExcite(
            out_channels,
            SE_REDUCTION,
            per_task=config.encoder_se == "per_task",
            activation=layers.relu6,
            dtype=config.compute_dtype,
        )
        self.adds_input = stride == 1 and in_channels == out_channels

    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        """(B, H, W, in_channels) -> (B, ceil(H / stride), ceil(W / stride), channels)."""
        y = x
        if self.expand_conv is not None and self.expand_norm is not None:
            y = layers.relu6(self.expand_norm(self.expand_conv(y), train=train))
        y = layers.relu6(self.depthwise_norm(self.depthwise_conv(y), train=train))
        y = self.project_conv(y)
        if self.adapter is not None:
            y = y + self.adapter(self.depthwise_conv.centres(x))
        y = self.se(self.project_norm(y, train=train))
        return x + y if self.adds_input else y


class InvertedResiduals(nnx.Module):
    """Stem and stages of inverted residuals.

    Args:
      architecture: of the family.
      config: the network's settings.
      repeats: number of blocks in each stage.
    """

    def __init__(self, architecture: Architecture, config: ModelConfig, repeats: tuple[int, ...]):
        channels = config.scaled(STEM_CHANNELS)
        self.stem_conv = layers.Conv(
            3,
            channels,
            3,
            stride=STEM_STRIDE,
            padding=architecture.padding,
            dtype=config.compute_dtype,
        )
        self.stem_norm = BatchNorm(channels, config.stem_norm, architecture.epsilon)
        self.blocks = nnx.List([])
        for stage, stride, dilation in architecture.blocks(repeats, config.output_stride):
            self.blocks.append(
                InvertedResidual(
                    channels,
                    stage=stage,
                    stride=stride,
                    dilation=dilation,
                    architecture=architecture,
                    config=config,
                )
            )
            channels = config.scaled(stage.channels)
        self.low_level_blocks = sum(repeats[:LOW_LEVEL_STAGES])
        self.remat = config.remat

    def __call__(self, images: jax.Array, *, train: bool) -> tuple[jax.Array, jax.Array]:
        """Images (B, H, W, 3) -> low-level (B, H/4, W/4, .), high-level (B, H/os, W/os, .)."""
        x = layers.relu6(self.stem_norm(self.stem_conv(images), train=train))
        outputs = []
        for block in self.blocks:
            x = apply_block(block, x, train=train, remat=self.remat)
            outputs.append(x)
        return outputs[self.low_level_blocks - 1], outputs[-1]
