"""What changes over training as a function of the step: learning rate and gradient reversal."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from astmt_jax.config import OptimizerConfig
from astmt_jax.records import check_choice

Schedule = Callable[[ArrayLike], jax.Array]
"""Of the step (batches seen, from 0)."""


def poly_schedule(config: OptimizerConfig, steps_per_epoch: int, epochs: int) -> Schedule:
    """Learning rate of shared parameters: linear warm-up, and decay to (1 - progress) ** power."""

    def learning_rate(step):
        if config.decay_every == "epoch":
            progress = (step // steps_per_epoch) / epochs
        else:
            progress = step / (steps_per_epoch * epochs)
        rate = config.learning_rate * jnp.maximum(1.0 - progress, 0.0) ** config.poly_power
        return rate * jnp.minimum(1.0, (step + 1) / max(config.warmup_steps, 1))

    return learning_rate


SCHEDULES: dict[str, Callable[[OptimizerConfig, int, int], Schedule]] = {"poly": poly_schedule}
"""`config.optimizer.schedule` -> (config, steps an epoch, epochs) -> the learning rate."""


def learning_rate_schedule(config: OptimizerConfig, steps_per_epoch: int, epochs: int) -> Schedule:
    """The learning rate that the configuration names.

    Raises:
      ValueError: there is no such schedule.
    """
    check_choice("optimizer.schedule", config.schedule, SCHEDULES)
    return SCHEDULES[config.schedule](config, steps_per_epoch, epochs)


def reversal_schedule(steps_per_epoch: int, epochs: int) -> Schedule:
    """Strength alpha of the gradient reversal: 0 to 1 over training, constant in an epoch.

    alpha = 2 / (1 + exp(-10 p)) - 1 with p = (epoch + 1) / epochs, as in the reference
    implementation.
    """

    def alpha(step):
        progress = (step // steps_per_epoch + 1) / epochs
        return 2.0 / (1.0 + jnp.exp(-10.0 * progress)) - 1.0

    return alpha
