"""A backbone of one's own: plain 3x3 convolutions, and a ResNet of another depth.

python -m astmt_jax.main --config=scenes:backbone=plain9 --config.plugins=examples/own_backbone.py

An encoder is written for one task: what each has of its own (here: batch norm) comes from layers.
"""

import dataclasses

import jax
from flax import nnx

from astmt_jax.config import ModelConfig
from astmt_jax.models import layers
from astmt_jax.models.families import add_backbone
from astmt_jax.models.family import Backbone, TorchNames
from astmt_jax.models.normalization import BatchNorm
from astmt_jax.models.resnet import RESNET

CHANNELS = (64, 128, 256, 512)  # of the stages, which end at strides 2, 4, 8 and 16


class Plain(nnx.Module):
    """Stages of 3x3 convolutions, the first with stride 2; `blocks` is how many each has."""

    def __init__(self, config: ModelConfig, blocks: tuple[int, ...]):
        self.low = sum(blocks[:2])  # after so many convolutions come the low-level features
        self.convs, self.norms = nnx.List([]), nnx.List([])
        before, stride = 3, 1
        for channels, count in zip(CHANNELS, blocks, strict=True):
            width = config.scaled(channels)
            for first in (True, *[False] * (count - 1)):
                step = 2 if first and stride < config.output_stride else 1
                stride *= step
                conv = layers.Conv(before, width, 3, stride=step, dtype=config.compute_dtype)
                self.convs.append(conv)
                self.norms.append(BatchNorm(width, config.encoder_norm))
                before = width

    def __call__(self, images: jax.Array, *, train: bool) -> tuple[jax.Array, jax.Array]:
        """Images (B, H, W, 3) -> features (B, H/4, W/4, .) and (B, H/os, W/os, .)."""
        x, outputs = images, []
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = jax.nn.relu(norm(conv(x), train=train))
            outputs.append(x)
        return outputs[self.low - 1], x


PLAIN = dataclasses.replace(
    RESNET,  # what is not said here: how it is trained, and its decoder
    encoder=Plain,
    narrowest=CHANNELS[0],
    low_channels=CHANNELS[1],
    high_channels=CHANNELS[3],
    has_adapters=False,
    torch=TorchNames(((r"encoder/(convs|norms)/(\d+)", "{0}.{1}"),)),  # in exported weights
)
add_backbone("plain9", Backbone(PLAIN, (2, 2, 2, 3)))
add_backbone("resnet20", Backbone(RESNET, (1, 2, 2, 1)))
