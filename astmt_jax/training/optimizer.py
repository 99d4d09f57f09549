"""Optimizer: one transformation, applied to groups of variables at their own learning rates."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from astmt_jax.config import OptimizerConfig
from astmt_jax.models.variables import Params
from astmt_jax.records import check_choice

DIRECTIONS: dict[str, Callable[[OptimizerConfig], optax.GradientTransformation]] = {
    "sgd": lambda config: optax.chain(
        optax.add_decayed_weights(config.weight_decay), optax.trace(config.momentum)
    ),
    "adamw": lambda config: optax.chain(
        optax.scale_by_adam(b1=config.momentum, b2=config.adam_b2),
        optax.add_decayed_weights(config.weight_decay),
    ),
}
"""`config.optimizer.name` -> what makes a direction of a gradient; the learning rate scales it."""


def moving_average(average, current, decay: float, step: jax.Array):
    """Exponential moving average of a tree of arrays after one more step.

    average + (1 - d) (current - average) with d = min(decay, (1 + step) / (10 + step)), so that the
    average is not held back at first by where it began (tf.train.ExponentialMovingAverage with
    num_updates does the same).

    Args:
      average: so far; the variables themselves before the first step.
      current: the variables after the step.
      decay: d in the long run, in (0, 1).
      step: () int32, batches seen before the step.
    """
    rate = 1 - jnp.minimum(decay, (1 + step) / (10 + step))
    # Not `optax.incremental_update`, in which what never changes would change by rounding.
    return jax.tree.map(lambda a, c: a + rate.astype(a.dtype) * (c - a), average, current)


class Optimizer:
    """Updates `Params` group by group; optimizer states live in a `Params` of the same layout.

    Each task's slice and each prediction layer has an optimizer state of its own, so that a task
    that is not trained in a step keeps its momentum and sees no weight decay.
    """

    def __init__(self, config: OptimizerConfig, num_tasks: int):
        check_choice("optimizer.name", config.name, DIRECTIONS)
        self._direction = DIRECTIONS[config.name](config)
        self.ema_decay = config.ema_decay
        multiplier = config.task_multiplier
        self._task_multiplier = num_tasks if multiplier is None else multiplier
        self._discriminator_multiplier = config.discriminator_multiplier

    def init(self, params: Params) -> Params:
        """Optimizer states of all groups, made by one program instead of one for every shape."""
        return jax.jit(self._init)(params)

    def _init(self, params: Params) -> Params:
        def init(variables: dict) -> Any:
            return self._direction.init(variables)

        return Params(
            shared=init(params.shared),
            task=jax.vmap(init)(params.task) if params.task else {},
            heads={name: init(head) for name, head in params.heads.items()},
            discriminator=init(params.discriminator),
        )

    def update(
        self,
        params: Params,
        gradients: Params,
        states: Params,
        learning_rate: jax.Array,
        *,
        active: jax.Array,
        head_active: dict[str, jax.Array],
    ) -> tuple[Params, Params]:
        """One step.

        Args:
          params: all tasks' parameters (`task` stacked) or one task's view.
          gradients: of the same structure.
          states: of the same structure.
          learning_rate: of the shared parameters.
          active: bool, (T,) for stacked parameters or () for a view: tasks that took part; the
            others' parameters and states stay as they are. If none did, nothing changes.
          head_active: the same for each prediction layer.

        Returns:
          Parameters and states after the step.
        """

        def step(multiplier):
            def group(params, gradients, state, active):
                directions, new = self._direction.update(gradients, state, params)
                rate = learning_rate * multiplier
                moved = jax.tree.map(lambda p, d: p - rate.astype(p.dtype) * d, params, directions)
                return select(active, (moved, new), (params, state))

            return group

        task_step = step(self._task_multiplier)
        any_active = jnp.any(active)
        groups = {
            "shared": step(1.0)(params.shared, gradients.shared, states.shared, any_active),
            "discriminator": step(self._discriminator_multiplier)(
                params.discriminator, gradients.discriminator, states.discriminator, any_active
            ),
            "task": (params.task, states.task),
        }
        if params.task:
            update_task = jax.vmap(task_step) if active.ndim else task_step
            groups["task"] = update_task(params.task, gradients.task, states.task, active)
        heads = {
            name: task_step(head, gradients.heads[name], states.heads[name], head_active[name])
            for name, head in params.heads.items()
        }

        def part(i: int) -> Params:
            return Params(
                heads={name: pair[i] for name, pair in heads.items()},
                **{name: pair[i] for name, pair in groups.items()},
            )

        return part(0), part(1)


def select(flag: jax.Array, new, old):
    """The tree `new` where the scalar `flag` holds, else `old`."""
    return jax.tree.map(lambda a, b: jnp.where(flag, a, b), new, old)
