"""MobileNet-v2 with squeeze-and-excitation: what its family fixes."""

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
        Stage(3, 2, 6, 32),
        Stage(3, 2, 6, 64),
        Stage(3, 1, 6, 96),
        Stage(3, 2, 6, 160),
        Stage(3, 1, 6, 320),
    ),
    dilates_first=True,
)

MOBILENET_V2 = Family(
    encoder=partial(InvertedResiduals, ARCHITECTURE),
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
