"""Which ImageNet classifier a file holds, told by the names and shapes of its tensors.

The names are timm's, torchvision's and, of EfficientNets, efficientnet-pytorch's. What differs in
layers without variables only (resnetaa50 and resnetblur50 filter before they sample) cannot be told
from what it is a variant of.
"""

import collections
import dataclasses
import re
from collections.abc import Collection, Mapping

import numpy as np

from astmt_jax.models.families import BACKBONES

MARKERS = (
    (r"layer1\.0\.conv2\.paths\.", "skresnet"),
    (r"layer1\.0\.convs\.", "res2net"),
    (r"layer1\.0\.conv2\.fc1\.", "resnest"),
    (r"layer0\.conv1\.|layer1\.0\.se_module\.", "legacy_seresnet"),
    (r"transition1\.", "hrnet"),
    (r"stages\.\d+\.blocks\.\d+\.norm1\.weight", "resnetv2"),
    (r"stages\.\d+\.\d+\.conv\d\.gain", "nf_resnet"),
    (r"stages\.\d+\.\d+\.conv1_1x1\.", "byobnet"),
    (r"stages\.\d+\.(blocks\.)?\d+\.(conv_dw|dwconv)\.", "convnext"),
    (r"(s1|trunk_output\.block1)\.", "regnet"),
    (r"(layers|features)\.\d+\.(blocks\.)?\d+\.attn\.(qkv|relative_position_bias_table)", "swin"),
    (r"(blocks|encoder\.layers)\.\w*\d+\.(attn|self_attention)\.", "vit"),
    (r"features\.denseblock1\.", "densenet"),
    (r"Conv2d_1a_3x3\.", "inception_v3"),
    (r"features\.\d+\.block\.\d+\.\d+\.", "mobilenet_v3"),
    (r"features\.\d+\.\d+\.block\.\d+\.\d+\.", "efficientnet"),
    (r"features\.\d+\.conv\.\d+\.\d+\.weight", "mobilenet_v2"),
    (r"features\.\d+\.weight", "vgg or alexnet"),
)
"""Pattern of a name that only these have."""

MOBILENET_V2_BLOCKS = (1, 2, 3, 4, 3, 3, 1)
LITE0_BLOCKS, LITE0_CHANNELS = 16, 320
"""Of EfficientNet-Lite0: blocks, and channels of the last one; 1 has more, the others are wider."""


@dataclasses.dataclass(frozen=True)
class Classifier:
    """What a file holds.

    Attributes:
      name: of the architecture, such as 'seresnext50_32x4d'.
      backbone: the key of `families.BACKBONES` that has the same encoder; None if there is none.
    """

    name: str
    backbone: str | None = None


def recognize(tensors: Mapping[str, np.ndarray]) -> Classifier | None:
    """Tells which classifier the tensors are of.

    Args:
      tensors: name -> array in PyTorch's layout.

    Returns:
      None where nothing is known that looks like it.
    """
    shapes = {name.removeprefix("module."): value.shape for name, value in tensors.items()}
    for pattern, name in MARKERS:
        if any(re.match(pattern, tensor) for tensor in shapes):
            return Classifier(name)
    if {"conv_stem.weight", "blocks.0.0.conv_dw.weight"} <= shapes.keys():
        return Classifier(_inverted_residuals(shapes))
    if {"_conv_stem.weight", "_blocks.0._depthwise_conv.weight"} <= shapes.keys():
        return _efficientnet(shapes)
    if {"layer1.0.conv1.weight", "layer1.0.conv2.weight"} <= shapes.keys():
        return _resnet(shapes)
    return None


def _blocks(names: Collection[str], stage: str) -> tuple[int, ...]:
    """Number of blocks in each stage; `stage` is a pattern with the numbers of stage and block."""
    stages = collections.defaultdict(set)
    for name in names:
        if match := re.match(stage, name):
            stages[int(match[1])].add(match[2])
    return tuple(len(stages[number]) for number in sorted(stages))


def _inverted_residuals(shapes: Mapping[str, tuple[int, ...]]) -> str:
    """The name of one of timm's networks of inverted residuals."""
    blocks = _blocks(shapes, r"blocks\.(\d+)\.(\d+)\.")
    if "conv_head.bias" in shapes:
        return "mobilenetv3"
    if any(".se." in name for name in shapes):
        return "efficientnet"
    if any(name.endswith("conv_dw.weight") and shape[2] > 3 for name, shape in shapes.items()):
        return "efficientnet_lite by timm's names"
    width = round(100 * shapes["blocks.6.0.conv_pwl.weight"][0] / 320)
    return f"mobilenetv2_{width:03d}{'' if blocks == MOBILENET_V2_BLOCKS else 'd'}"


def _efficientnet(shapes: Mapping[str, tuple[int, ...]]) -> Classifier:
    """By the names of efficientnet-pytorch, whose Lite variants have no squeeze-and-excitation."""
    if any("._se_" in name for name in shapes):
        return Classifier("efficientnet")
    last = shapes.get(f"_blocks.{LITE0_BLOCKS - 1}._project_conv.weight", (0,))
    if f"_blocks.{LITE0_BLOCKS}._bn2.weight" not in shapes and last[0] == LITE0_CHANNELS:
        return Classifier("efficientnet_lite0", "efficientnet_lite0")
    return Classifier("larger efficientnet_lite")


def _resnet(shapes: Mapping[str, tuple[int, ...]]) -> Classifier:
    blocks = _blocks(shapes, r"layer(\d+)\.(\d+)\.conv2\.")
    bottleneck = "layer1.0.conv3.weight" in shapes
    depth = (3 if bottleneck else 2) * sum(blocks) + 2
    attention, stem = _attention(shapes), _stem(shapes)
    cardinality = _cardinality(shapes) if bottleneck else ""
    kind = "resnext" if "x" in cardinality else "resnet"
    wide = "wide_" if cardinality == "_2" else ""
    norm = "" if "bn1.running_mean" in shapes or stem else "_gn"
    name = f"{wide}{attention}{kind}{depth}{stem}{cardinality}{norm}"
    plain = bottleneck and attention in ("", "se") and not (stem or cardinality or norm)
    known = next((key for key, it in BACKBONES.items() if it.blocks == blocks), None)
    return Classifier(name, known if plain else None)


def _attention(shapes: Mapping[str, tuple[int, ...]]) -> str:
    if any(".se.conv." in name for name in shapes):
        return "eca"
    return "se" if any(".se.fc" in name for name in shapes) else ""


def _stem(shapes: Mapping[str, tuple[int, ...]]) -> str:
    """timm's letter for three 3x3 convolutions where the plain ones have one 7x7; '' for that."""
    if "conv1.0.weight" not in shapes:
        return ""
    pooled = any(
        re.search(r"\.downsample\.1\.weight", n) and len(s) == 4 for n, s in shapes.items()
    )
    first, last = shapes["conv1.0.weight"][0], shapes["layer1.0.conv1.weight"][1]
    if pooled:
        return "t" if 2 * first != last else "d"
    return "c" if last == shapes["layer1.0.conv1.weight"][0] else "s"


def _cardinality(shapes: Mapping[str, tuple[int, ...]]) -> str:
    """'_32x4d' for 32 groups of width 4, '_2' for twice the width, '' for neither."""
    width, group = shapes["layer1.0.conv2.weight"][:2]
    if width != group:
        return f"_{width // group}x{group}d"
    stem = shapes.get("conv1.weight")
    return "_2" if stem and width == 2 * stem[0] else ""
