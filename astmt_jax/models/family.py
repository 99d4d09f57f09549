"""What a family of backbones declares, in the module of its encoder."""

import dataclasses
import re
from collections.abc import Callable
from typing import Protocol

import jax

from astmt_jax.config import ModelConfig

Replacement = str | Callable[[re.Match], str]


class Encoder(Protocol):
    """The part of a network that makes features of images; an `nnx.Module`."""

    def __call__(self, images: jax.Array, *, train: bool) -> tuple[jax.Array, jax.Array]:
        """Images (B, H, W, 3) -> low-level (B, H/4, W/4, .), high-level (B, H/os, W/os, .)."""


@dataclasses.dataclass(frozen=True)
class DecoderStyle:
    """What the reference implementation's decoder does otherwise for some families.

    Attributes:
      grouped: whether the convolutions have as many groups as their widths allow, instead of one.
      pooled_se: whether the pyramid's pooled branch has squeeze-and-excitation (SE).
      low_first: whether low-level features come first where they meet the high-level ones.
      low_se_reduction: of the SE after the reduced low-level features.
    """

    grouped: bool = False
    pooled_se: bool = True
    low_first: bool = False
    low_se_reduction: int = 4


@dataclasses.dataclass(frozen=True)
class PaperSettings:
    """How the paper and the reference implementation train networks of the family.

    Attributes:
      adversarial: whether with a discriminator.
      conv_init: `ModelConfig.conv_init`.
      batch_size: `TrainConfig.batch_size`.
      task_multiplier: `OptimizerConfig.task_multiplier`.
    """

    adversarial: bool
    conv_init: str
    batch_size: int
    task_multiplier: float | None


@dataclasses.dataclass(frozen=True)
class TorchNames:
    """Names of the encoder's tensors in PyTorch.

    They are those of the reference implementation, or of a family that it has not, the
    classifier's.

    Attributes:
      modules: (pattern of our module's path, the original's name): {n} in the name is a group of
        the pattern, {n+1} counts from 1. The first pattern that a path begins with counts.
      repeated: (pattern, replacement) of names under which its files hold tensors a second time;
        None if they do not.
      repeated_as: (pattern, replacement) pairs from a name to its second one; the first pattern
        that matches counts.
    """

    modules: tuple[tuple[str, str], ...]
    repeated: tuple[str, str] | None = None
    repeated_as: tuple[tuple[str, str], ...] = ()


@dataclasses.dataclass(frozen=True)
class ClassifierNames:
    """How files of ImageNet classifiers name the encoder's tensors, and what else they hold.

    Attributes:
      stride_in: `ModelConfig.stride_in` with which they compute what they were trained to.
      left_out: pattern of what names of tensors that come after the encoder begin with.
      renamed: (pattern, replacement) pairs, one after the other, from the names in `TorchNames`,
        less the task, to those in the files.
      normalize: scaling of the images that they were trained with, a key of
        `config.NORMALIZATIONS`.
      gates: patterns of names, as in `TorchNames`, for classifiers without
        squeeze-and-excitation: of the layers that open the gates, and of the batch norms before
        the gates. None if there are no such classifiers.
    """

    stride_in: str
    left_out: str
    renamed: tuple[tuple[str, Replacement], ...]
    normalize: str = "imagenet"
    gates: tuple[str, str] | None = None


@dataclasses.dataclass(frozen=True)
class Family:
    """A family of backbones; all widths are those at `width_multiplier` 1.

    Attributes:
      encoder: makes the encoder, an `nnx.Module`, from the settings and from the number of
        residual blocks in each stage.
      narrowest: channels of the narrowest of its layers.
      low_channels: channels of the low-level features that it hands on, at stride 4.
      high_channels: channels of the high-level features, at the output stride.
      activation: in encoder, decoder and squeeze-and-excitation.
      se_reduction: of squeeze-and-excitation (SE).
      has_adapters: whether adapters can be had.
      decoder: what its decoder has of its own.
      paper: settings of its training.
      torch: names in PyTorch.
      classifiers: names in files of ImageNet classifiers.
    """

    encoder: Callable[[ModelConfig, tuple[int, ...]], Encoder]
    narrowest: int
    low_channels: int
    high_channels: int
    activation: Callable[[jax.Array], jax.Array]
    se_reduction: int
    has_adapters: bool
    decoder: DecoderStyle
    paper: PaperSettings
    torch: TorchNames
    classifiers: ClassifierNames


@dataclasses.dataclass(frozen=True)
class Backbone:
    """One member of a family.

    Attributes:
      family: its family.
      blocks: number of residual blocks in each stage.
    """

    family: Family
    blocks: tuple[int, ...]
