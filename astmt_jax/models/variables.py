"""Types of variables, by who owns them and whether they are trained.

What every task shares is an `nnx.Param` or an `nnx.BatchStat`.
"""

from flax import nnx


class TaskParam(nnx.Param):
    """A trained variable that each task owns."""


class TaskStat(nnx.BatchStat):
    """A running statistic that each task owns."""


class FrozenParam(nnx.Variable):
    """A shared weight that is loaded but never trained."""
