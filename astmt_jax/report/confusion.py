"""Which task the discriminator takes a gradient for."""

from collections.abc import Iterable

import jax
import jax.numpy as jnp
import numpy as np

from astmt_jax.models.discriminator import unit_length
from astmt_jax.models.variables import Params, Stats, slice_of_task
from astmt_jax.training.objective import Batch, Objective


def confusion_matrix(
    objective: Objective, params: Params, stats: Stats, batches: Iterable[Batch]
) -> np.ndarray:
    """Counts of the discriminator's decisions.

    Args:
      objective: of a network that has a discriminator.
      params: of all tasks.
      stats: of all tasks.
      batches: as `Objective` takes them.

    Returns:
      float64 (T, T): positions whose gradient came from the row's task and which the discriminator
      gave to the column's. Positions with no gradient, where nothing is labelled, do not count.
    """
    network, num_tasks = objective.network, len(objective.tasks)

    @jax.jit
    def count(params, stats, batch):
        features, _ = network.features(params, stats, batch["image"], train=True)
        rows = []
        for index in range(num_tasks):
            loss, _ = objective.task_loss(
                index, params.heads, stats.heads, slice_of_task(features, index), batch["labels"]
            )
            if loss.gradient is None:
                raise ValueError("This network has no discriminator, so it confuses no tasks.")
            gradient = loss.gradient.astype(jnp.promote_types(loss.gradient.dtype, jnp.float32))
            logits = network.discriminate(params.discriminator, unit_length(gradient))
            decided = jax.nn.one_hot(jnp.argmax(logits, axis=-1), num_tasks)
            there = jnp.any(gradient != 0, axis=-1, keepdims=True)
            rows.append(jnp.sum(decided * there, axis=(0, 1, 2)))
        return jnp.stack(rows)

    counts = [np.asarray(count(params, stats, batch), np.float64) for batch in batches]
    return np.sum(counts, axis=0)


def shares(confusion: np.ndarray) -> np.ndarray:
    """Each row of counts (T, T) as shares of its sum; NaN for a task without any."""
    total = confusion.sum(axis=1, keepdims=True)
    return confusion / np.where(total > 0, total, np.nan)
