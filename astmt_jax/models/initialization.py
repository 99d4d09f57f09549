"""Initial values of a network's variables: modules declare them, and one call draws them all.

Drawing every variable by itself would take XLA tens of seconds to compile, drawing all at once
takes it one.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from astmt_jax.models.variables import TaskParam, TaskStat

# Standard deviations of initial kernels as functions of (fan-in, fan-out): of convolutions, and of
# linear layers. The reference implementation's are 'gaussian' for ResNets and 'kaiming_fan_out' for
# MobileNets.
INITIAL_DEVIATIONS = {
    "gaussian": {"conv": lambda i, o: 0.01, "linear": lambda i, o: (2 / i) ** 0.5},
    "kaiming": {"conv": lambda i, o: (2 / i) ** 0.5, "linear": lambda i, o: (2 / i) ** 0.5},
    "kaiming_fan_out": {"conv": lambda i, o: (2 / o) ** 0.5, "linear": lambda i, o: 0.01},
}


def gaussian(
    kind: type[nnx.Param], shape: tuple[int, ...], *, layer: str, fans: tuple[int, int]
) -> nnx.Param:
    """Declares a variable that `draw_initial` fills with normal noise.

    Args:
      kind: of variable.
      shape: of the variable.
      layer: 'conv' or 'linear'.
      fans: number of inputs of each output, and of outputs of each input.
    """
    return kind(jnp.zeros(shape), layer=layer, fans=fans)


def draw_initial(declared: Any, num_tasks: int, key: jax.Array, conv_init: str) -> Any:
    """Initial values of the variables of a network, float32.

    Args:
      declared: a tree of `nnx.Variable`, with the values that they have without noise.
      num_tasks: how many independent copies there are of what each task owns.
      key: typed PRNG key.
      conv_init: a key of `INITIAL_DEVIATIONS`.

    Returns:
      The same tree of arrays; those that each task owns have a leading axis of length `num_tasks`.
    """
    variables, structure = jax.tree.flatten(
        declared, is_leaf=lambda node: isinstance(node, nnx.Variable)
    )
    shapes = [_stacked_shape(variable, num_tasks) for variable in variables]
    deviations = [_deviation(variable, conv_init) for variable in variables]
    noise = _noise(key, variables, shapes, deviations)
    return structure.unflatten(
        stddev * part.reshape(shape) if stddev else jnp.broadcast_to(variable[...], shape)
        for variable, shape, stddev, part in zip(variables, shapes, deviations, noise, strict=True)
    )


def _noise(
    key: jax.Array,
    variables: list[nnx.Variable],
    shapes: list[tuple[int, ...]],
    deviations: list[float],
) -> list[jax.Array]:
    """Standard normal noise for every variable, flat; none for those without a deviation.

    What is shared gets the first of it, in the order given: which values a key draws depends on it.
    """
    order = sorted(range(len(variables)), key=lambda index: _is_owned(variables[index]))
    sizes = [math.prod(shapes[index]) if deviations[index] else 0 for index in order]
    parts = jnp.split(jax.random.normal(key, (sum(sizes),)), np.cumsum(sizes)[:-1])
    by_index = dict(zip(order, parts, strict=True))
    return [by_index[index] for index in range(len(variables))]


def _is_owned(variable: nnx.Variable) -> bool:
    """Whether each task has its own."""
    return isinstance(variable, TaskParam | TaskStat)


def _stacked_shape(variable: nnx.Variable, num_tasks: int) -> tuple[int, ...]:
    return (num_tasks, *variable.shape) if _is_owned(variable) else variable.shape


def _deviation(variable: nnx.Variable, conv_init: str) -> float:
    """Standard deviation of a variable's initial noise; 0 for none."""
    metadata = variable.get_metadata()
    if "fans" not in metadata:
        return 0.0
    return INITIAL_DEVIATIONS[conv_init][metadata["layer"]](*metadata["fans"])
