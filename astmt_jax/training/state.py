"""What training changes from step to step."""

import dataclasses
from typing import Self

import jax
import jax.numpy as jnp

from astmt_jax.models.variables import Params, Stats
from astmt_jax.training.optimizer import Optimizer
from astmt_jax.training.trained_tasks import TrainedTasks


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class TrainState:
    """Everything that training changes.

    Attributes:
      step: () int32, batches seen.
      params: trained variables.
      stats: running statistics.
      optimizer: optimizer states, in the layout of the `params` that are trained.
      average: moving average of `params` and `stats`, or None. Running statistics are averaged just
        as parameters, so that they belong to the averaged ones.
    """

    step: jax.Array
    params: Params
    stats: Stats
    optimizer: Params
    average: tuple[Params, Stats] | None = None

    @property
    def evaluated(self) -> tuple[Params, Stats]:
        """The variables to predict with: the moving average where there is one."""
        return self.average or (self.params, self.stats)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class TrainedVariables:
    """What predicts, of a `TrainState`: its fields of the same names."""

    step: jax.Array
    params: Params
    stats: Stats
    average: tuple[Params, Stats] | None = None

    @property
    def evaluated(self) -> tuple[Params, Stats]:
        """As `TrainState.evaluated`."""
        return self.average or (self.params, self.stats)

    @classmethod
    def described(cls, variables: tuple[Params, Stats], ema_decay: float | None) -> Self:
        """Descriptions (`jax.ShapeDtypeStruct`), given those of a network's variables."""
        step = jax.eval_shape(jnp.int32, 0)
        return cls(step, *variables, average=None if ema_decay is None else variables)


def initial_state(
    params: Params,
    stats: Stats,
    optimizer: Optimizer,
    trained_tasks: TrainedTasks | None = None,
) -> TrainState:
    """State before the first step of training that starts from the given variables.

    Where only some tasks are trained, the optimizer has states for these.
    """
    # Copies, as no array can be donated twice.
    average = None if optimizer.ema_decay is None else jax.tree.map(jnp.copy, (params, stats))
    trained = params if trained_tasks is None else trained_tasks.of(params, stats)[0]
    return TrainState(jnp.int32(0), params, stats, optimizer.init(trained), average)
