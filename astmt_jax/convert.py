"""The original PyTorch implementation's weights, to and from ours."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np

from astmt_jax.models.network import Network, Params, Stats
from astmt_jax.torch_names import Slot, canonical, slots


def from_torch(
    tensors: Mapping[str, np.ndarray], network: Network, dtype=jnp.float32
) -> tuple[Params, Stats]:
    """Arranges the original's tensors as the variables of `network`.

    Args:
      tensors: PyTorch name -> array in PyTorch's layout; `num_batches_tracked` is ignored. A tensor
        that the original's MobileNets hold twice may come under either of its names, or both.
      network: the network whose architecture the tensors must match exactly.
      dtype: of the result.

    Raises:
      ValueError: listing every missing, unused and wrong-shape tensor, and those that come twice
        with different values; nothing is returned then.
    """
    tensors, problems = _without_duplicates(tensors)
    unused = set(tensors)

    def take(slot: Slot, shape: tuple[int, ...]) -> np.ndarray:
        if slot.name not in tensors:
            problems.append(f"missing: {slot.name}")
            return np.zeros(shape)
        unused.discard(slot.name)
        value = slot.from_torch(np.asarray(tensors[slot.name]))
        if value.shape != shape:
            found = tuple(np.shape(tensors[slot.name]))
            problems.append(f"wrong shape: {slot.name} is {found}, the network needs {shape}")
            return np.zeros(shape)
        return value

    def read(path, abstract):
        first, *others = slots(path, network)
        if first.stacked:
            value = np.stack([take(slot, abstract.shape[1:]) for slot in (first, *others)])
        else:
            value = take(first, abstract.shape)
        return jnp.asarray(value, dtype)

    variables = jax.tree_util.tree_map_with_path(read, _abstract(network))
    problems += [f"unused: {name}" for name in sorted(unused)]
    if problems:
        raise ValueError(
            f"The checkpoint does not fit the network ({len(problems)} tensors):\n  "
            + "\n  ".join(problems)
        )
    return variables


def to_torch(params: Params, stats: Stats, network: Network) -> dict[str, np.ndarray]:
    """The inverse of `from_torch`: PyTorch name -> array in PyTorch's layout."""
    tensors = {}

    def write(path, value):
        for index, slot in enumerate(slots(path, network)):
            tensors[slot.name] = slot.to_torch(np.asarray(value[index] if slot.stacked else value))

    jax.tree_util.tree_map_with_path(write, (params, stats))
    return tensors


def _without_duplicates(
    tensors: Mapping[str, np.ndarray],
) -> tuple[dict[str, np.ndarray], list[str]]:
    """Each tensor under the one name that the network knows, and which ones contradict another."""
    unique, problems = {}, []
    for name, value in tensors.items():
        if name.endswith("num_batches_tracked"):
            continue
        first = unique.setdefault(canonical(name), (name, value))
        if not np.array_equal(first[1], value):
            problems.append(f"not the same tensor twice: {first[0]} and {name}")
    return {name: value for name, (_, value) in unique.items()}, problems


def _abstract(network: Network) -> tuple[Params, Stats]:
    return jax.eval_shape(network.init, jax.random.key(0))
