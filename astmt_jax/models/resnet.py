"""SE-ResNet encoder with adapters, for one task (paper section 3.1), and what its family fixes."""

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

STEM_CHANNELS = 64
EXPANSION = 4
SE_REDUCTION = 16
STRIDES = {8: (1, 2, 1, 1), 16: (1, 2, 2, 1)}
DILATIONS = {8: (1, 1, 2, 4), 16: (1, 1, 1, 2)}


class Projection(nnx.Module):
    """Shortcut that changes resolution or width: 1x1 convolution - batch norm."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        stride: int,
        config: ModelConfig,
    ):
        self.conv = layers.Conv(
            in_channels, out_channels, 1, stride=stride, dtype=config.compute_dtype
        )
        self.norm = BatchNorm(out_channels, config.encoder_norm)

    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        """(B, H, W, in_channels) -> (B, H / stride, W / stride, out_channels)."""
        return self.norm(self.conv(x), train=train)


class Bottleneck(nnx.Module):
    """1x1 - (3x3 + adapter) - 1x1 with batch norms, SE, and a shortcut around all.

    The stride sits where `ModelConfig.stride_in` says, in the first 1x1 or in the 3x3. The shortcut
    is a `Projection` when `project` is set, else the identity.
    """

    def __init__(
        self,
        in_channels: int,
        planes: int,
        *,
        stride: int,
        dilation: int,
        project: bool,
        config: ModelConfig,
    ):
        out_channels = planes * EXPANSION
        dtype = config.compute_dtype
        norm = config.encoder_norm
        # The first 1x1 convolution and the shortcut see the same pixels, which are taken once.
        self.input_stride = 1 if config.strides_like_classifiers else stride
        stride //= self.input_stride
        self.conv1 = layers.Conv(in_channels, planes, 1, dtype=dtype)
        self.norm1 = BatchNorm(planes, norm)
        self.conv2 = layers.Conv(planes, planes, 3, stride=stride, dilation=dilation, dtype=dtype)
        self.adapter = (
            layers.Adapter(planes, planes, stride=stride, dtype=dtype)
            if config.encoder_adapters
            else None
        )
        self.norm2 = BatchNorm(planes, norm)
        self.conv3 = layers.Conv(planes, out_channels, 1, dtype=dtype)
        self.norm3 = BatchNorm(out_channels, norm)
        self.se = layers.SqueezeExcite(
            out_channels,
            SE_REDUCTION,
            per_task=config.encoder_se == "per_task",
            dtype=dtype,
        )
        self.shortcut = (
            Projection(in_channels, out_channels, stride=stride, config=config) if project else None
        )

    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        """(B, H, W, in_channels) -> (B, H / stride, W / stride, 4 * planes)."""
        x = layers.every(x, self.input_stride)
        y = jax.nn.relu(self.norm1(self.conv1(x), train=train))
        spatial = self.conv2(y)
        if self.adapter is not None:
            spatial = spatial + self.adapter(y)
        y = jax.nn.relu(self.norm2(spatial, train=train))
        y = self.se(self.norm3(self.conv3(y), train=train))
        if self.shortcut is not None:
            x = self.shortcut(x, train=train)
        return jax.nn.relu(x + y)


class ResNet(nnx.Module):
    """Stem and four stages of bottlenecks; low-level features are the first stage's output.

    A stage whose stride is taken away is dilated instead. In the reference implementation all of
    its 3x3 convolutions are. In a classifier the first of them has the stride and sees its input at
    the resolution that it was trained for: it keeps the dilation of the stage before.

    Args:
      config: the network's settings.
      blocks: number of bottlenecks in each stage.
    """

    def __init__(self, config: ModelConfig, blocks: tuple[int, ...]):
        width = config.scaled(STEM_CHANNELS)
        self.stem_conv = layers.Conv(3, width, 7, stride=2, dtype=config.compute_dtype)
        self.stem_norm = BatchNorm(width, config.stem_norm)
        self.stages = nnx.List([])
        self.remat = config.remat
        channels = width
        strides, dilations = STRIDES[config.output_stride], DILATIONS[config.output_stride]
        for stage, (count, stride, dilation) in enumerate(
            zip(blocks, strides, dilations, strict=True)
        ):
            planes = width * 2**stage
            bottlenecks = nnx.List([])
            entry = dilations[max(stage - 1, 0)] if config.strides_like_classifiers else dilation
            for block in range(count):
                first = block == 0
                bottlenecks.append(
                    Bottleneck(
                        channels,
                        planes,
                        stride=stride if first else 1,
                        dilation=entry if first else dilation,
                        project=first,
                        config=config,
                    )
                )
                channels = planes * EXPANSION
            self.stages.append(bottlenecks)

    def __call__(self, images: jax.Array, *, train: bool) -> tuple[jax.Array, jax.Array]:
        """Images (B, H, W, 3) -> low-level (B, H/4, W/4, .), high-level (B, H/os, W/os, .)."""
        x = jax.nn.relu(self.stem_norm(self.stem_conv(images), train=train))
        x = layers.max_pool(x)
        outputs = []
        for stage in self.stages:
            for bottleneck in stage:
                x = apply_block(bottleneck, x, train=train, remat=self.remat)
            outputs.append(x)
        return outputs[0], outputs[-1]


RESNET = Family(
    encoder=ResNet,
    narrowest=STEM_CHANNELS,
    low_channels=STEM_CHANNELS * EXPANSION,
    high_channels=8 * STEM_CHANNELS * EXPANSION,
    activation=jax.nn.relu,
    se_reduction=SE_REDUCTION,
    has_adapters=True,
    decoder=DecoderStyle(),
    paper=PaperSettings(adversarial=True, conv_init="gaussian", batch_size=8, task_multiplier=None),
    torch=TorchNames(
        (
            (r"encoder/stem_conv", "conv1"),
            (r"encoder/stem_norm", "bn1"),
            (r"encoder/stages/(\d+)/(\d+)/conv(\d)", "layer{0+1}.{1}.conv{2}"),
            (r"encoder/stages/(\d+)/(\d+)/norm(\d)", "layer{0+1}.{1}.bn{2}"),
            (r"encoder/stages/(\d+)/(\d+)/adapter", "layer{0+1}.{1}.adapt"),
            (r"encoder/stages/(\d+)/(\d+)/se", "layer{0+1}.{1}.se.fc"),
            (r"encoder/stages/(\d+)/(\d+)/shortcut/conv", "layer{0+1}.{1}.downsample.process"),
            (r"encoder/stages/(\d+)/(\d+)/shortcut/norm", "layer{0+1}.{1}.downsample.norm"),
        )
    ),
    classifiers=ClassifierNames(
        stride_in="conv2",
        left_out=r"fc\.",
        renamed=(
            (r"\.downsample\.process\.", ".downsample.0."),
            (r"\.downsample\.norm\.", ".downsample.1."),
        ),
        gates=(r"layer.*\.se\.fc\.(\w+\.)?2\.", r"layer.*\.bn3\.(\w+\.)?(weight|bias)$"),
    ),
)
