"""EfficientNet-Lite0 with squeeze-and-excitation and adapters of ours: what its family fixes.

The Lite variants (TensorFlow, 2020) are EfficientNets (Tan and Le, ICML 2019) without
squeeze-and-excitation, with ReLU6. The last convolution, to 1280 channels, belongs to the
classifier and is left out.
"""

from functools import partial

from astmt_jax.models import layers
from astmt_jax.models.family import (
    ClassifierNames,
    DecoderStyle,
    Family,
    PaperSettings,
    TorchNames,
)
from astmt_jax.models.inverted_residuals import (
    SE_REDUCTION,
    Architecture,
    InvertedResiduals,
    Stage,
)

ARCHITECTURE = Architecture(
    stages=(
        Stage(3, 1, 1, 16),
        Stage(3, 2, 6, 24),
        Stage(5, 2, 6, 40),
        Stage(3, 2, 6, 80),
        Stage(5, 1, 6, 112),
        Stage(5, 2, 6, 192),
        Stage(3, 1, 6, 320),
    ),
    padding="same",
    epsilon=1e-3,
)

EFFICIENTNET_LITE = Family(
    encoder=partial(InvertedResiduals, ARCHITECTURE),
    narrowest=16,
    low_channels=24,
    high_channels=320,
    activation=layers.relu6,
    se_reduction=SE_REDUCTION,
    has_adapters=True,
    decoder=DecoderStyle(),
    # Not in the paper: as its ResNets, but with initial values to train from scratch, too.
    paper=PaperSettings(adversarial=True, conv_init="kaiming", batch_size=8, task_multiplier=None),
    torch=TorchNames(
        (
            (r"encoder/stem_conv", "_conv_stem"),
            (r"encoder/stem_norm", "_bn0"),
            (r"encoder/blocks/(\d+)/expand_conv", "_blocks.{0}._expand_conv"),
            (r"encoder/blocks/(\d+)/expand_norm", "_blocks.{0}._bn0"),
            (r"encoder/blocks/(\d+)/depthwise_conv", "_blocks.{0}._depthwise_conv"),
            (r"encoder/blocks/(\d+)/depthwise_norm", "_blocks.{0}._bn1"),
            (r"encoder/blocks/(\d+)/project_conv", "_blocks.{0}._project_conv"),
            (r"encoder/blocks/(\d+)/project_norm", "_blocks.{0}._bn2"),
            (r"encoder/blocks/(\d+)/adapter", "_blocks.{0}.adapt"),
            (r"encoder/blocks/(\d+)/se", "_blocks.{0}.se.fc"),
        )
    ),
    classifiers=ClassifierNames(
        stride_in="conv1",  # has no bottleneck of which one could choose the convolution
        left_out=r"_conv_head\.|_bn1\.|_fc\.",
        renamed=(),
        normalize="efficientnet_lite",
        gates=(r"_blocks\..*\.se\.fc\.(\w+\.)?2\.", r"_blocks\..*\._bn2\.(\w+\.)?(weight|bias)$"),
    ),
)
