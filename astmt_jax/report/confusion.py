"""Which task the discriminator takes a gradient for."""

import functools
from collections.abc import Iterable, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from astmt_jax.models.discriminator import unit_length
from astmt_jax.models.variables import Params, Stats, one_task
from astmt_jax.training.objective import Batch, Objective


def confusion_matrix(
    objective: Objective, params: Params, stats: Stats, batches: Iterable[Sequence[Batch]]
) -> np.ndarray:
    """Counts of the discriminator's decisions.

    Args:
      objective: of a network that has a discriminator.
      params: of all tasks.
      stats: of all tasks.
      batches: of each, what every task sees of it, as `Objective` takes it.

    Returns:
      float64 (T, T): positions whose gradient came from the row's task and which the discriminator
      gave to the column's. Positions with no gradient, where nothing is labelled, do not count.
    """
    network, num_tasks = objective.network, len(objective.tasks)

    @jax.jit
    def features_of(params, stats, images, index):
        views = one_task(params, index), one_task(stats, index)
        return network.task_features(*views, images, train=True)[0]

    @functools.partial(jax.jit, static_argnames="index")
    def decisions(params, stats, features, labels, index):
        loss, _ = objective.task_loss(index, params.heads, stats.heads, features, labels)
        if loss.gradient is None:
            raise ValueError("This network has no discriminator, so it confuses no tasks.")
        gradient = loss.gradient.astype(jnp.promote_types(loss.gradient.dtype, jnp.float32))
        logits = network.discriminate(params.discriminator, unit_length(gradient))
        decided = jax.nn.one_hot(jnp.argmax(logits, axis=-1), num_tasks)
        there = jnp.any(gradient != 0, axis=-1, keepdims=True)
        return jnp.sum(decided * there, axis=(0, 1, 2))

    def row(index: int, seen: Batch) -> np.ndarray:
        features = features_of(params, stats, seen["image"], np.int32(index))
        return np.asarray(decisions(params, stats, features, seen["labels"], index), np.float64)

    return np.sum([[row(*numbered) for numbered in enumerate(batch)] for batch in batches], axis=0)


def shares(confusion: np.ndarray) -> np.ndarray:
    """Each row of counts (T, T) as shares of its sum; NaN for a task without any."""
    total = confusion.sum(axis=1, keepdims=True)
    return confusion / np.where(total > 0, total, np.nan)
