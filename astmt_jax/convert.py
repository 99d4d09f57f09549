"""Names and layouts of the original PyTorch implementation's weights, to and from ours."""

import dataclasses
import re
from collections.abc import Iterator, Mapping

import jax
import jax.numpy as jnp
import numpy as np

from astmt_jax.models.network import Network, Params, Stats
from astmt_jax.weight_files import WeightsError, canonical_names

# Our module path -> the original's; {n} are the groups of the pattern, {n+1} counts from 1.
MODULES = (
    (r"encoder/stem_conv", "conv1"),
    (r"encoder/stem_norm", "bn1"),
    (r"encoder/stages/(\d+)/(\d+)/conv(\d)", "layer{0+1}.{1}.conv{2}"),
    (r"encoder/stages/(\d+)/(\d+)/norm(\d)", "layer{0+1}.{1}.bn{2}"),
    (r"encoder/stages/(\d+)/(\d+)/adapter", "layer{0+1}.{1}.adapt"),
    (r"encoder/stages/(\d+)/(\d+)/se", "layer{0+1}.{1}.se.fc"),
    (r"encoder/stages/(\d+)/(\d+)/shortcut/conv", "layer{0+1}.{1}.downsample.process"),
    (r"encoder/stages/(\d+)/(\d+)/shortcut/norm", "layer{0+1}.{1}.downsample.norm"),
    (r"decoder/pyramid/branches/(\d+)", "decoder.layer5.conv2d_list.{0}"),
    (r"decoder/pyramid/pooled", "decoder.layer5.conv2d_list.4"),
    (r"decoder/pyramid/project", "decoder.layer5.conv2d_final"),
    (r"decoder/reduce_low", "decoder.low_level_reduce"),
    (r"decoder/fuse", "decoder.conv_concat"),
    (r"decoder/refine", "decoder.conv_process"),
)
DECODER_PARTS = {"conv": "process.0", "adapter": "adapt", "norm": "norm", "se": "se.fc"}
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


def from_torch(
    tensors: Mapping[str, np.ndarray], network: Network, dtype=jnp.float32
) -> tuple[Params, Stats]:
    """Arranges the original's tensors as the variables of `network`.

    Args:
      tensors: PyTorch name -> array in PyTorch's layout, as `canonical_names` takes them.
      network: the network whose architecture the tensors must match exactly.
      dtype: of the result.

    Raises:
      WeightsError: listing every missing, unused, duplicate and wrong-shape tensor; nothing is
        returned then.
    """
    tensors, problems = canonical_names(tensors)
    unused = set(tensors)

    def take(slot: "_Slot", shape: tuple[int, ...]) -> np.ndarray:
        if slot.name not in tensors:
            problems.append(f"missing: {slot.name}")
            return np.zeros(shape)
        unused.discard(slot.name)
        value = np.asarray(tensors[slot.name])
        needed = slot.to_torch(np.broadcast_to(0.0, shape)).shape
        if value.shape != needed:
            problems.append(
                f"wrong shape: {slot.name} is {value.shape}, the network needs {needed}"
            )
            return np.zeros(shape)
        return slot.from_torch(value)

    def read(path, abstract):
        slots = list(_slots(path, network))
        if slots[0].stacked:
            value = np.stack([take(slot, abstract.shape[1:]) for slot in slots])
        else:
            value = take(slots[0], abstract.shape)
        return jnp.asarray(value, dtype)

    variables = jax.tree_util.tree_map_with_path(read, _abstract(network))
    problems += [f"unused: {name}" for name in sorted(unused)]
    if problems:
        listed = "\n  ".join(problems)
        raise WeightsError(f"{len(problems)} tensors do not fit the network:\n  {listed}")
    return variables


def to_torch(params: Params, stats: Stats, network: Network) -> dict[str, np.ndarray]:
    """The inverse of `from_torch`: PyTorch name -> array in PyTorch's layout."""
    tensors = {}

    def write(path, value):
        for index, slot in enumerate(_slots(path, network)):
            tensors[slot.name] = slot.to_torch(np.asarray(value[index] if slot.stacked else value))

    jax.tree_util.tree_map_with_path(write, (params, stats))
    return tensors


@dataclasses.dataclass(frozen=True)
class _Slot:
    """Where one array, or one task's slice of it, lives in a PyTorch checkpoint."""

    name: str
    stacked: bool
    leaf: str
    pointwise: bool  # a (in, out) matrix that PyTorch stores as (out, in, 1, 1)

    def from_torch(self, value: np.ndarray) -> np.ndarray:
        if self.pointwise and value.ndim == 4:
            value = value[:, :, 0, 0]
        if value.ndim == 4:
            return value.transpose(2, 3, 1, 0)
        return value.T

    def to_torch(self, value: np.ndarray) -> np.ndarray:
        if value.ndim == 4:
            return value.transpose(3, 2, 0, 1)
        return value.T[:, :, None, None] if self.pointwise else value.T


def _abstract(network: Network) -> tuple[Params, Stats]:
    return jax.eval_shape(network.init, jax.random.key(0))


def _slots(path, network: Network) -> Iterator[_Slot]:
    """The slots of the leaf at `path` of (params, stats): one, or one a task if it is stacked."""
    collection, *keys = (_key(entry) for entry in path[1:])
    *module, leaf = keys
    stacked = collection == "task"
    prefix = _module_name(collection, module)
    for task in network.names if stacked else ("",):
        parts = (prefix, task, LEAVES[leaf]) if stacked else (prefix, LEAVES[leaf])
        yield _Slot(".".join(parts), stacked, leaf, pointwise=module[-1] == "adapter")


def _key(entry) -> str:
    return str(getattr(entry, "name", getattr(entry, "key", getattr(entry, "idx", None))))


def _module_name(collection: str, module: list[str]) -> str:
    if collection == "heads":
        return f"decoder.conv_predict.{module[0]}"
    if collection == "discriminator":
        # The hidden layer, where there is one, comes first, then a ReLU, then the classifier.
        return {"hidden": "discriminator.model.0", "classify": "discriminator.model.2"}[module[0]]
    path = "/".join(module)
    for pattern, name in MODULES:
        match = re.match(pattern + r"(?:/|$)", path)
        if match:
            prefix = re.sub(
                r"\{(\d)(\+1)?\}", lambda m, g=match: _counted(g.group(int(m[1]) + 1), m[2]), name
            )
            part = path[match.end() :]
            if not part:
                return prefix
            if name.endswith("conv2d_list.4") and part == "conv":
                return f"{prefix}.process.1"  # behind the pooling, which is process.0
            return f"{prefix}.{DECODER_PARTS[part]}"
    raise KeyError(f"No PyTorch name is known for the module {path}.")


def _counted(number: str, plus_one: str | None) -> str:
    return str(int(number) + 1) if plus_one else number


if __name__ == "__main__":
    from astmt_jax import convert_command

    convert_command.run()
