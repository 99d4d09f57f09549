"""The original PyTorch implementation's weights, to and from ours."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np

from astmt_jax.models.network import Network
from astmt_jax.models.variables import Params, Stats
from astmt_jax.weights import checks
from astmt_jax.weights.checks import WeightsError
from astmt_jax.weights.names import Slot, canonical, second, slots


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
    tensors, problems = canonical_names(tensors, network)
    unused = set(tensors)

    def take(slot: Slot, shape: tuple[int, ...]) -> np.ndarray:
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
        first, *others = slots(path, network)
        if first.stacked:
            value = np.stack([take(slot, abstract.shape[1:]) for slot in (first, *others)])
        else:
            value = take(first, abstract.shape)
        # `jnp.asarray` would compile a program for every shape.
        return jax.device_put(value.astype(dtype))

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
        value = np.asarray(value)
        for index, slot in enumerate(slots(path, network)):
            tensors[slot.name] = slot.to_torch(value[index] if slot.stacked else value)

    jax.tree_util.tree_map_with_path(write, (params, stats))
    return tensors


def state_dict(params: Params, stats: Stats, network: Network) -> dict[str, np.ndarray]:
    """As `to_torch`, with the tensors that the original's files hold twice under both names.

    So that the original's own strict loading takes it; counters of batches are not needed for that.
    """
    tensors = to_torch(params, stats, network)
    seconds = {second(name, network): value for name, value in tensors.items()}
    return tensors | {name: value for name, value in seconds.items() if name is not None}


def canonical_names(
    tensors: Mapping[str, np.ndarray], network: Network
) -> tuple[dict[str, np.ndarray], list[str]]:
    """Each tensor under the one name by which the network knows it.

    Names lose the `module.` that training on several devices puts before them. Counters of batches
    (`num_batches_tracked`) are left out. A tensor that the original's files of the network's family
    hold twice may come under either of its names, or both.

    Returns:
      The tensors, and a line for each name that several tensors claim, and for each tensor whose
      numbers are no weights: of another type than floating point, not finite, or a variance below
      0.
    """
    plain, problems = {}, []
    for name, value in tensors.items():
        if name.endswith("num_batches_tracked"):
            continue
        name = name.removeprefix("module.")
        if name in plain:
            problems.append(f"duplicate: {name}")
        problem = checks.number_problem(
            name, np.asarray(value), variance=name.endswith("running_var")
        )
        if problem is None:
            plain[name] = value
        else:
            problems.append(problem)
            plain[name] = np.zeros(np.shape(value), np.float32)
    unique = {}
    for name, value in plain.items():
        first_name, first = unique.setdefault(canonical(name, network), (name, value))
        if not np.array_equal(first, value):
            problems.append(f"duplicate: {first_name} and {name} differ")
    return {name: value for name, (_, value) in unique.items()}, problems


def _abstract(network: Network) -> tuple[Params, Stats]:
    return jax.eval_shape(network.init, jax.random.key(0))
