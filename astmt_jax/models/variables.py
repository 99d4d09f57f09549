"""Variables by who owns them and whether they are trained: their types, and the trees of them.

What every task shares is an `nnx.Param` or an `nnx.BatchStat`.
"""

import dataclasses
from typing import TypeVar

import jax
from flax import nnx
from jax.typing import ArrayLike


class TaskParam(nnx.Param):
    """A trained variable that each task owns."""


class TaskStat(nnx.BatchStat):
    """A running statistic that each task owns."""


class FrozenParam(nnx.Variable):
    """A shared weight that is loaded but never trained."""


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Params:
    """Trained variables, as nested dicts of arrays.

    Attributes:
      shared: used by every task.
      task: owned by each task; leading axis T, or none in the view of one task.
      heads: what each task has after the trunk (prediction layers), by task name.
      discriminator: empty without a discriminator.
    """

    shared: dict
    task: dict
    heads: dict[str, dict]
    discriminator: dict


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Stats:
    """Variables that the optimizer does not train, as nested dicts of arrays.

    Attributes:
      shared: running statistics of shared batch norms.
      task: running statistics owned by each task; leading axis T, or none in one task's view.
      heads: running statistics of the heads, by task name.
      frozen: weights that are loaded but never trained.
    """

    shared: dict
    task: dict
    heads: dict[str, dict]
    frozen: dict


Variables = TypeVar("Variables", Params, Stats)


def one_task(variables: Variables, index: ArrayLike) -> Variables:
    """The view of one task: its slice of `task`; `index` may be traced."""
    return dataclasses.replace(variables, task=slice_of_task(variables.task, index))


def slice_of_task(stacked, index: ArrayLike):
    """One task's entry of every array in a tree of arrays with a leading task axis."""
    return jax.tree.map(lambda x: x[index], stacked)


def parameter_count(variables) -> int:
    """Number of scalars in a tree of arrays (or of their shapes)."""
    return sum(leaf.size for leaf in jax.tree.leaves(variables))
