"""Names and layouts of the original PyTorch implementation's weights."""

import dataclasses
import re
from collections.abc import Iterator

import numpy as np

from astmt_jax.models.network import Network

# Path of our module -> the original's; {n} is a group of the pattern, {n+1} counts from 1. The
# first pattern that the path begins with counts; what follows it is one of `UNIT_PARTS`.
ENCODERS = {
    "resnet": (
        (r"encoder/stem_conv", "conv1"),
        (r"encoder/stem_norm", "bn1"),
        (r"encoder/stages/(\d+)/(\d+)/conv(\d)", "layer{0+1}.{1}.conv{2}"),
        (r"encoder/stages/(\d+)/(\d+)/norm(\d)", "layer{0+1}.{1}.bn{2}"),
        (r"encoder/stages/(\d+)/(\d+)/adapter", "layer{0+1}.{1}.adapt"),
        (r"encoder/stages/(\d+)/(\d+)/se", "layer{0+1}.{1}.se.fc"),
        (r"encoder/stages/(\d+)/(\d+)/shortcut/conv", "layer{0+1}.{1}.downsample.process"),
        (r"encoder/stages/(\d+)/(\d+)/shortcut/norm", "layer{0+1}.{1}.downsample.norm"),
    ),
    "mobilenetv2": (
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
}
DECODERS = {
    "deeplab": (
        (r"decoder/pyramid/branches/(\d+)", "decoder.layer5.conv2d_list.{0}"),
        (r"decoder/pyramid/pooled/conv", "decoder.layer5.conv2d_list.4.process.1"),  # 0 is a mean
        (r"decoder/pyramid/pooled", "decoder.layer5.conv2d_list.4"),
        (r"decoder/pyramid/project", "decoder.layer5.conv2d_final"),
        (r"decoder/reduce_low", "decoder.low_level_reduce"),
        (r"decoder/fuse", "decoder.conv_concat"),
        (r"decoder/refine", "decoder.conv_process"),
        (r"heads/(\w+)", "decoder.conv_predict.{0}"),
    ),
    "uber": (
        (r"heads/(\w+)/reduce_low/conv", "decoder.low_level.{0}.0"),
        (r"heads/(\w+)/reduce_low/norm", "decoder.low_level.{0}.1"),
        (r"heads/(\w+)/reduce_high/conv", "decoder.high_level.{0}.0"),
        (r"heads/(\w+)/reduce_high/norm", "decoder.high_level.{0}.1"),
        (r"heads/(\w+)/predict", "decoder.predict.{0}"),
    ),
}
DISCRIMINATOR = (
    (r"discriminator/convs/0", "discriminator.model.0"),
    (r"discriminator/convs/1", "discriminator.model.2"),  # 1 is a ReLU
)
# The original's MobileNets hold their encoder's tensors a second time, under other names.
DUPLICATES = re.compile(r"^features_(?:low|high)\.")

UNIT_PARTS = {"conv": "process.0", "adapter": "adapt", "norm": "norm", "se": "se.fc"}
LEAVES = {
    "kernel": "weight",
    "scale": "weight",
    "bias": "bias",
    "mean": "running_mean",
    "var": "running_var",
    "reduce_kernel": "0.weight",
    "reduce_bias": "0.bias",
    "expand_kernel": "2.weight",
    "expand_bias": "2.bias",
}


@dataclasses.dataclass(frozen=True)
class Slot:
    """Where one array, or one task's slice of it, lives in a PyTorch state dict.

    Attributes:
      name: PyTorch's.
      stacked: whether it is a slice of an array with a leading task axis.
      pointwise: a (in, out) matrix that PyTorch stores as (out, in, 1, 1).
    """

    name: str
    stacked: bool
    pointwise: bool

    def from_torch(self, value: np.ndarray) -> np.ndarray:
        """PyTorch's layout -> ours: OIHW -> HWIO, (out, in) -> (in, out)."""
        if self.pointwise and value.ndim == 4:
            value = value[:, :, 0, 0]
        if value.ndim == 4:
            return value.transpose(2, 3, 1, 0)
        return value.T

    def to_torch(self, value: np.ndarray) -> np.ndarray:
        """The inverse of `from_torch`."""
        if value.ndim == 4:
            return value.transpose(3, 2, 0, 1)
        return value.T[:, :, None, None] if self.pointwise else value.T


def slots(path: tuple, network: Network) -> Iterator[Slot]:
    """The slots of one leaf of (params, stats): one, or one a task if it is stacked.

    Args:
      path: key path of the leaf, as `jax.tree_util` gives it.
      network: whose variables they are.
    """
    collection, *keys = (_key(entry) for entry in path[1:])
    *module, leaf = keys
    if collection in ("heads", "discriminator"):
        module = [collection, *module]
    stacked = collection == "task"
    name = _module_name("/".join(module), network)
    for task in network.names if stacked else (None,):
        parts = (name, task, LEAVES[leaf]) if stacked else (name, LEAVES[leaf])
        yield Slot(".".join(parts), stacked, pointwise=module[-1] == "adapter")


def _key(entry) -> str:
    return str(getattr(entry, "name", getattr(entry, "key", getattr(entry, "idx", None))))


def canonical(name: str) -> str:
    """The name under which the network knows a tensor of the original's files."""
    return DUPLICATES.sub("features.", name)


def _module_name(path: str, network: Network) -> str:
    config = network.config
    table = (*ENCODERS[config.family.name], *DECODERS[config.decoder], *DISCRIMINATOR)
    for pattern, template in table:
        match = re.match(pattern + r"(?:/|$)", path)
        if match:
            name = re.sub(r"\{(\d)(\+1)?\}", lambda m, g=match: _numbered(g, m), template)
            part = path[match.end() :]
            return f"{name}.{UNIT_PARTS[part]}" if part else name
    raise KeyError(f"No PyTorch name is known for the module {path}.")


def _numbered(groups: re.Match, placeholder: re.Match) -> str:
    value = groups[int(placeholder[1]) + 1]
    return str(int(value) + 1) if placeholder[2] else value
