"""Settings of the network, and of the discriminator that compares its tasks' gradients."""

import dataclasses

import jax.numpy as jnp

from astmt_jax.records import check_choice, check_range

MAX_WIDTH_MULTIPLIER = 64
MAX_DECODER_WIDTH = 2**14

STRIDES_IN = ("conv1", "conv2")
"""Where a bottleneck's stride can sit; see `ModelConfig.stride_in`."""


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """The network's architecture and which of its parts each task owns.

    What depends on the family of the backbone is checked where networks are built, by
    `families.find`, and so are the choices that tables in the folder models/ hold.

    Attributes:
      backbone: a key of `families.BACKBONES`.
      width_multiplier: scales every width of the encoder (1.0 is the paper's).
      output_stride: input resolution / resolution of the encoder's last stage; 8 or 16.
      stride_in: which convolution of a ResNet's bottleneck has the stride: 'conv1' (1x1, the
        reference implementation's) or 'conv2' (3x3, as ImageNet classifiers have it); or what
        `weights.imagenet.settled` makes one of them: 'auto', which is 'conv2' with `pretrained`
        and 'conv1' without, or 'paper', the same but for the reference implementation's own
        classifiers, from which the paper's networks started with 'conv1'.
      decoder: 'deeplab' (DeepLab-v3+) or 'uber' (a small one for each task, as in UberNet; it
        ignores the other settings of the decoder).
      decoder_width: channels of the decoder's features; the paper's PASCAL networks use 64.
      encoder_norm: batch norm of the encoder's blocks: 'per_task', 'shared', or 'frozen' (shared,
        scale and bias never trained). The stem's is shared in any case, and frozen with 'frozen'.
      encoder_se: squeeze-and-excitation of the encoder's blocks: 'per_task' or 'shared'.
      encoder_adapters: per-task 1x1 convolutions in parallel with a ResNet's 3x3 ones, or with the
        blocks of an EfficientNet-Lite; MobileNets have none.
      decoder_adapters: the same in parallel with the decoder's convolutions.
      decoder_norm: batch norm of the decoder: 'per_task' or 'shared'.
      decoder_se: whether the decoder has (per-task) squeeze-and-excitation.
      conv_init: initial convolution kernels: 'gaussian' (N(0, 0.01), the paper's, whose encoder
        starts from ImageNet), 'kaiming' (N(0, sqrt(2 / fan-in)), to train from scratch) or
        'kaiming_fan_out' (N(0, sqrt(2 / fan-out)), usual for MobileNets).
      pretrained: file of an ImageNet classifier's weights that the encoder starts from (see
        `astmt_jax.weights.imagenet`); None draws them as `conv_init` says.
      dtype: of activations and matrix products; parameters, statistics and losses stay float32.
      remat: what of the inside of the encoder's blocks the backward pass computes again, to save
        memory: 'none', 'elementwise' (normalisations and activations) or 'block' (everything).
    """

    backbone: str = "resnet26"
    width_multiplier: float = 1.0
    output_stride: int = 16
    stride_in: str = "auto"
    decoder: str = "deeplab"
    decoder_width: int = 64
    encoder_norm: str = "per_task"
    encoder_se: str = "per_task"
    encoder_adapters: bool = True
    decoder_adapters: bool = True
    decoder_norm: str = "per_task"
    decoder_se: bool = True
    conv_init: str = "gaussian"
    pretrained: str | None = None
    dtype: str = "float32"
    remat: str = "none"

    def __post_init__(self):
        check_choice("model.output_stride", self.output_stride, (8, 16))
        check_choice("model.stride_in", self.stride_in, (*STRIDES_IN, "auto", "paper"))
        check_choice("model.decoder", self.decoder, ("deeplab", "uber"))
        check_choice("model.encoder_norm", self.encoder_norm, ("per_task", "shared", "frozen"))
        check_choice("model.encoder_se", self.encoder_se, ("per_task", "shared"))
        check_choice("model.decoder_norm", self.decoder_norm, ("per_task", "shared"))
        check_choice("model.dtype", self.dtype, ("float32", "bfloat16", "float64"))
        check_range("model.width_multiplier", self.width_multiplier, 0, MAX_WIDTH_MULTIPLIER)
        check_range("model.decoder_width", self.decoder_width, 0, MAX_DECODER_WIDTH)
        if self.decoder_width < 32 or self.decoder_width % 16:
            raise ValueError(
                f"model.decoder_width is {self.decoder_width}, but must be a multiple of 16 and at "
                "least 32 (the paper uses 64; DeepLab-v3+ uses 256)."
            )

    @property
    def strides_like_classifiers(self) -> bool:
        """Whether a bottleneck's 3x3 convolution has the stride; not where that is undecided."""
        return self.stride_in == "conv2"

    @property
    def stem_norm(self) -> str:
        """Batch norm of the encoder's stem, which no task owns."""
        return "frozen" if self.encoder_norm == "frozen" else "shared"

    def scaled(self, channels: int) -> int:
        """Width of one of the encoder's layers that has `channels` at width 1."""
        return int(channels * self.width_multiplier)

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


def check_discriminator(model: ModelConfig, discriminator: DiscriminatorConfig) -> None:
    """Raises ValueError if the model's tasks have no features of one width to compare."""
    if model.decoder == "uber" and discriminator.weight > 0:
        raise ValueError(
            f"discriminator.weight is {discriminator.weight}, but model.decoder is 'uber', whose "
            "features differ in width from task to task: set the weight to 0."
        )
