"""MobileNet-v2 encoder with squeeze-and-excitation, for one task, and what its family fixes."""

from typing import NamedTuple

import jax
from flax import nnx

from astmt_jax.config import ModelConfig
from astmt_jax.models import layers
from astmt_jax.models.family import (
    ClassifierNames,
    DecoderStyle,
    Family,
    PaperSettings,
    TorchNames,
)
from astmt_jax.models.normalization import BatchNorm
from astmt_jax.models.rematerialization import apply_block

STEM_CHANNELS = 32
SE_REDUCTION = 4
LOW_LEVEL_STAGES = 2  # the low-level features are those after the one of 24 channels


class Stage(NamedTuple):
    """Residual blocks of one width; the first of them has the stride, all have the dilation."""

    expansion: int
    channels: int
    stride: int
    dilation: int


def stages(output_stride: int) -> tuple[Stage, ...]:
    """Strides that would lead beyond the output stride become dilations."""
    dense = output_stride == 8
    return (
        Stage(1, 16, 1, 1),
        Stage(6, 24, 2, 1),
        Stage(6, 32, 2, 1),
        Stage(6, 64, 1 if dense else 2, 2 if dense else 1),
        Stage(6, 96, 1, 2 if dense else 1),
        Stage(6, 160, 1, 4 if dense else 2),
        Stage(6, 320, 1, 4 if dense else 2),
    )


class InvertedResidual(nnx.Module):
    """1x1 expansion - depthwise 3x3 - linear 1x1 projection with batch norms, then SE.

    Without expansion the first 1x1 is left out. Input and output are added when their shapes agree.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        stride: int,
        stage: Stage,
        config: ModelConfig,
    ):
        dtype, norm = config.compute_dtype, config.encoder_norm
        hidden = in_channels * stage.expansion
        expands = stage.expansion > 1
        self.expand_conv = layers.Conv(in_channels, hidden, 1, dtype=dtype) if expands else None
        self.expand_norm = BatchNorm(hidden, norm) if expands else None
        self.depthwise_conv = layers.Conv(
            hidden, hidden, 3, stride=stride, dilation=stage.dilation, groups=hidden, dtype=dtype
        )
        self.depthwise_norm = BatchNorm(hidden, norm)
        self.project_conv = layers.Conv(hidden, out_channels, 1, dtype=dtype)
        self.project_norm = BatchNorm(out_channels, norm)
        self.se = layers.SqueezeExcite(
            out_channels,
            SE_REDUCTION,
            per_task=config.encoder_se == "per_task",
            activation=layers.relu6,
            dtype=dtype,
        )
        self.adds_input = stride == 1 and in_channels == out_channels

    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        """(B, H, W, in_channels) -> (B, H / stride, W / stride, out_channels)."""
        y = x
        if self.expand_conv is not None and self.expand_norm is not None:
            y = layers.relu6(self.expand_norm(self.expand_conv(y), train=train))
        y = layers.relu6(self.depthwise_norm(self.depthwise_conv(y), train=train))
        y = self.se(self.project_norm(self.project_conv(y), train=train))
        return x + y if self.adds_input else y


class MobileNetV2(nnx.Module):
    """Stem and seven stages of inverted residuals.

    Args:
      config: the network's settings.
      blocks: number of inverted residuals in each stage.
    """

    def __init__(self, config: ModelConfig, blocks: tuple[int, ...]):
        channels = config.scaled(STEM_CHANNELS)
        self.stem_conv = layers.Conv(3, channels, 3, stride=2, dtype=config.compute_dtype)
        self.stem_norm = BatchNorm(channels, config.stem_norm)
        self.blocks = nnx.List([])
        for stage, repeats in zip(stages(config.output_stride), blocks, strict=True):
            for index in range(repeats):
                self.blocks.append(
                    InvertedResidual(
                        channels,
                        config.scaled(stage.channels),
                        stride=stage.stride if index == 0 else 1,
                        stage=stage,
                        config=config,
                    )
                )
                channels = config.scaled(stage.channels)
        self.low_level_blocks = sum(blocks[:LOW_LEVEL_STAGES])
        self.remat = config.remat

    def __call__(self, images: jax.Array, *, train: bool) -> tuple[jax.Array, jax.Array]:
        """Images (B, H, W, 3) -> low-level (B, H/4, W/4, .), high-level (B, H/os, W/os, .)."""
        x = layers.relu6(self.stem_norm(self.stem_conv(images), train=train))
        outputs = []
        for block in self.blocks:
            x = apply_block(block, x, train=train, remat=self.remat)
            outputs.append(x)
        return outputs[self.low_level_blocks - 1], outputs[-1]


MOBILENET_V2 = Family(
    encoder=MobileNetV2,
    narrowest=16,
    low_channels=24,
    high_channels=320,
    activation=layers.relu6,
    se_reduction=SE_REDUCTION,
    has_adapters=False,
    decoder=DecoderStyle(grouped=True, pooled_se=False, low_first=True),
    paper=PaperSettings(
        adversarial=False, conv_init="kaiming_fan_out", batch_size=16, task_multiplier=1.0
    ),
    torch=TorchNames(
        (
            (r"encoder/stem_conv", "features.0.conv.0"),
            (r"encoder/stem_norm", "features.0.conv.1"),
            (r"encoder/blocks/0/depthwise_conv", "features.1.conv.conv1"),  # it does not expand
            (r"encoder/blocks/0/depthwise_norm", "features.1.conv.bn1"),
            (r"encoder/blocks/0/project_conv", "features.1.conv.conv2"),
            (r"encoder/blocks/0/project_norm", "features.1.conv.bn2"),
            (r"encoder/blocks/(\d+)/expand_conv", "features.{0+1}.conv.conv1"),
            (r"encoder/blocks/(\d+)/expand_norm", "features.{0+1}.conv.bn1"),
            (r"encoder/blocks/(\d+)/depthwise_conv", "features.{0+1}.conv.conv2"),
            (r"encoder/blocks/(\d+)/depthwise_norm", "features.{0+1}.conv.bn2"),
            (r"encoder/blocks/(\d+)/project_conv", "features.{0+1}.conv.conv3"),
            (r"encoder/blocks/(\d+)/project_norm", "features.{0+1}.conv.bn3"),
            (r"encoder/blocks/(\d+)/se", "features.{0+1}.se.fc"),
        ),
        repeated=(r"^features_(?:low|high)\.", "features."),
        repeated_as=(
            (r"^features\.([0-3])\.", r"features_low.\1."),  # up to the low-level features
            (r"^features\.", "features_high."),
        ),
    ),
    classifiers=ClassifierNames(
        stride_in="conv1",  # has no bottleneck of which one could choose the convolution
        left_out=r"classifier\.|features\.18\.",
        renamed=(
            (r"^features\.0\.conv\.", "features.0."),
            (r"\.conv\.conv(\d)\.", lambda match: f".conv.{3 * int(match[1]) - 3}."),
            (r"\.conv\.bn(\d)\.", lambda match: f".conv.{3 * int(match[1]) - 2}."),
        ),
    ),
)
