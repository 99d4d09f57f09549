"""Settings of the networks, as plain frozen records; each refuses what cannot be built."""

import dataclasses

import jax.numpy as jnp

RESNET_BLOCKS = {
    "resnet14": (1, 1, 1, 1),  # not in the paper: for laptops
    "resnet26": (2, 2, 2, 2),
    "resnet50": (3, 4, 6, 3),
    "resnet101": (3, 4, 23, 3),
}
SE_REDUCTION = 16
SE_REDUCTION_LOW_LEVEL = 4


def check_choice(where: str, value, choices) -> None:
    """Raises ValueError naming `where` unless `value` is one of `choices`."""
    if value not in choices:
        options = ", ".join(str(choice) for choice in choices)
        raise ValueError(f"{where} is {value!r}, but must be one of: {options}.")


def low_level_width(decoder_width: int) -> int:
    """Channels to which DeepLab's decoder reduces the low-level features: 48 for width 256."""
    return 48 * decoder_width // 256


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """The network's architecture and which of its parts each task owns.

    Attributes:
      backbone: a key of `RESNET_BLOCKS`.
      width_multiplier: scales every width of the encoder (1.0 is the paper's).
      output_stride: input resolution / resolution of the encoder's last stage; 8 or 16.
      decoder_width: channels of the decoder's features; the paper's PASCAL networks use 64.
      encoder_norm: batch norm of the encoder's blocks: 'per_task', 'shared', or 'frozen' (shared,
        scale and bias never trained). The stem's is shared in any case, and frozen with 'frozen'.
      encoder_se: squeeze-and-excitation of the encoder's blocks: 'per_task' or 'shared'.
      adapters: per-task 1x1 convolutions in parallel with the encoder's 3x3 ones and all of the
        decoder's.
      decoder_norm: batch norm of the decoder: 'per_task' or 'shared'.
      decoder_se: whether the decoder has (per-task) squeeze-and-excitation.
      conv_init: initial convolution kernels: 'gaussian' (N(0, 0.01), the paper's, whose encoder
        starts from ImageNet) or 'kaiming' (N(0, sqrt(2 / fan-in)), to train from scratch).
      pretrained: file of an ImageNet classifier's weights that the encoder starts from (see
        `astmt_jax.pretrained`); None draws them as `conv_init` says.
      dtype: of activations and matrix products; parameters and statistics stay float32.
    """

    backbone: str = "resnet26"
    width_multiplier: float = 1.0
    output_stride: int = 16
    decoder_width: int = 64
    encoder_norm: str = "per_task"
    encoder_se: str = "per_task"
    adapters: bool = True
    decoder_norm: str = "per_task"
    decoder_se: bool = True
    conv_init: str = "gaussian"
    pretrained: str | None = None
    dtype: str = "float32"

    def __post_init__(self):
        check_choice("model.backbone", self.backbone, RESNET_BLOCKS)
        check_choice("model.output_stride", self.output_stride, (8, 16))
        check_choice("model.encoder_norm", self.encoder_norm, ("per_task", "shared", "frozen"))
        check_choice("model.encoder_se", self.encoder_se, ("per_task", "shared"))
        check_choice("model.decoder_norm", self.decoder_norm, ("per_task", "shared"))
        check_choice("model.conv_init", self.conv_init, ("gaussian", "kaiming"))
        check_choice("model.dtype", self.dtype, ("float32", "bfloat16", "float64"))
        # The narrowest stage has 64 channels after expansion by 4 and reduction by 16: 16 -> 4.
        stem = 64 * self.width_multiplier
        if stem < 4 or stem != int(stem) or int(stem) % 4:
            raise ValueError(
                f"model.width_multiplier is {self.width_multiplier}, which gives the first stage "
                f"{stem:g} channels, but that must be a positive multiple of 4 "
                "(1.0 gives 64, 0.25 gives 16)."
            )
        if self.decoder_width < 16 or self.decoder_width % SE_REDUCTION:
            raise ValueError(
                f"model.decoder_width is {self.decoder_width}, but must be a positive multiple "
                f"of {SE_REDUCTION} (the paper uses 64; DeepLab-v3+ uses 256)."
            )
        if low_level_width(self.decoder_width) < SE_REDUCTION_LOW_LEVEL:
            raise ValueError(
                f"model.decoder_width is {self.decoder_width}, which leaves "
                f"{low_level_width(self.decoder_width)} low-level channels, but at least "
                f"{SE_REDUCTION_LOW_LEVEL} are needed: use 32 or more."
            )

    @property
    def blocks(self) -> tuple[int, int, int, int]:
        """Number of bottlenecks in each of the four stages."""
        return RESNET_BLOCKS[self.backbone]

    @property
    def stem_width(self) -> int:
        """Channels of the stem and of the first stage before expansion."""
        return int(64 * self.width_multiplier)

    @property
    def compute_dtype(self):
        """`dtype` as a NumPy dtype."""
        return jnp.dtype(self.dtype)


@dataclasses.dataclass(frozen=True)
class DiscriminatorConfig:
    """The discriminator of the tasks' gradients.

    Attributes:
      weight: d in total = (1 - d) * task loss + d * discriminator loss; 0 leaves it out.
      depth: number of convolutions, 1 or 2.
      kernel: their size: 1 for PASCAL, 3 for NYUD in the paper's experiments.
    """

    weight: float = 0.01
    depth: int = 2
    kernel: int = 1

    def __post_init__(self):
        if not 0 <= self.weight < 1:
            raise ValueError(
                f"discriminator.weight is {self.weight}, but must be in [0, 1); 0 switches it off."
            )
        check_choice("discriminator.depth", self.depth, (1, 2))
        check_choice("discriminator.kernel", self.kernel, (1, 3))
