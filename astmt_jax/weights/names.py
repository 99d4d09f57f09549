"""Names and layouts of the original PyTorch implementation's weights."""

import dataclasses
import re
from collections.abc import Iterator

import numpy as np

from astmt_jax.models.network import Network
from astmt_jax.weights.checks import WeightsError

# Paths of our modules and the original's names, as in `TorchNames.modules`. What follows the path
# is one of `UNIT_PARTS`.
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

    Raises:
      WeightsError: the network's family of backbones gives its module no name.
    """
    collection, *keys = (_key(entry) for entry in path[1:])
    *module, leaf = keys
    if collection in ("heads", "discriminator"):
        module = [collection, *module]
    stacked = collection == "task"
    name = _module_name("/".join(module), network)
    for owner in [f"{name}.{task}" for task in network.names] if stacked else [name]:
        yield Slot(f"{owner}.{LEAVES[leaf]}", stacked, pointwise=module[-1] == "adapter")


def _key(entry) -> str:
    return str(getattr(entry, "name", getattr(entry, "key", getattr(entry, "idx", None))))


def canonical(name: str, network: Network) -> str:
    """The name under which the network knows a tensor of the original's files."""
    repeated = network.backbone.family.torch.repeated
    return re.sub(*repeated, name) if repeated else name


def second(name: str, network: Network) -> str | None:
    """The other name under which the original's files hold a tensor; None if there is none."""
    for pattern, replacement in network.backbone.family.torch.repeated_as:
        if re.match(pattern, name):
            return re.sub(pattern, replacement, name)
    return None


def _module_name(path: str, network: Network) -> str:
    encoder = network.backbone.family.torch.modules
    table = (*encoder, *DECODERS[network.config.decoder], *DISCRIMINATOR)
    for pattern, template in table:
        match = re.match(pattern + r"(?:/|$)", path)
        if match:
            name = re.sub(r"\{(\d)(\+1)?\}", lambda m, g=match: _numbered(g, m), template)
            part = path[match.end() :]
            return f"{name}.{UNIT_PARTS[part]}" if part else name
    raise WeightsError(
        f"No PyTorch name is known for the module {path}: the family of "
        f"{network.config.backbone} has none in its `torch`."
    )


def _numbered(groups: re.Match, placeholder: re.Match) -> str:
    value = groups[int(placeholder[1]) + 1]
    return str(int(value) + 1) if placeholder[2] else value
