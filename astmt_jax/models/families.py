"""The backbones by name, and what each family of them fixes for the encoder and the decoder."""

import dataclasses
from collections.abc import Callable

import jax

from astmt_jax.models import layers


@dataclasses.dataclass(frozen=True)
class Family:
    """What the networks on one family of backbones have in common.

    Attributes:
      name: key of the encoder in `network.ENCODERS`.
      narrowest: channels of the narrowest of the encoder's layers; this and all other widths are
        at width 1.
      low_channels: of the low-level features, at stride 4.
      high_channels: of the high-level features, at the output stride.
      activation: in encoder, decoder and squeeze-and-excitation.
      se_reduction: of squeeze-and-excitation (SE).
      low_se_reduction: of the SE behind the decoder's reduced low-level features.
      has_adapters: whether adapters can be had.
      grouped_decoder: whether the decoder's convolutions have as many groups as their widths
        allow, instead of one.
      pooled_se: whether the pyramid's pooled branch has SE.
      low_first: order in which the decoder concatenates low- and high-level features.
    """

    name: str
    narrowest: int
    low_channels: int
    high_channels: int
    activation: Callable[[jax.Array], jax.Array]
    se_reduction: int
    low_se_reduction: int
    has_adapters: bool
    grouped_decoder: bool
    pooled_se: bool
    low_first: bool


@dataclasses.dataclass(frozen=True)
class Backbone:
    """One member of a family.

    Attributes:
      family: its family.
      blocks: number of residual blocks in each stage.
    """

    family: Family
    blocks: tuple[int, ...]


RESNET = Family(
    name="resnet",
    narrowest=64,
    low_channels=256,
    high_channels=2048,
    activation=jax.nn.relu,
    se_reduction=16,
    low_se_reduction=4,
    has_adapters=True,
    grouped_decoder=False,
    pooled_se=True,
    low_first=False,
)
MOBILENET_V2 = Family(
    name="mobilenetv2",
    narrowest=16,
    low_channels=24,
    high_channels=320,
    activation=layers.relu6,
    se_reduction=4,
    low_se_reduction=4,
    has_adapters=False,
    grouped_decoder=True,
    pooled_se=False,
    low_first=True,
)
BACKBONES = {
    "resnet14": Backbone(RESNET, (1, 1, 1, 1)),  # not in the paper: for laptops
    "resnet26": Backbone(RESNET, (2, 2, 2, 2)),
    "resnet50": Backbone(RESNET, (3, 4, 6, 3)),
    "resnet101": Backbone(RESNET, (3, 4, 23, 3)),
    "mobilenetv2": Backbone(MOBILENET_V2, (1, 2, 3, 4, 3, 3, 1)),
}
