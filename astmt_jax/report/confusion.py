"""Which task the discriminator takes a gradient for."""

from collections.abc import Iterable, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from astmt_jax.models.discriminator import unit_length
from astmt_jax.models.network import Network, Params, Stats, slice_of_task
from astmt_jax.tasks.task import Task


def confusion_matrix(
    network: Network,
    tasks: Sequence[Task],
    params: Params,
    stats: Stats,
    batches: Iterable[dict],
) -> np.ndarray:
    """Counts of the discriminator's decisions.

    Args:
      network: has a discriminator.
      tasks: records of its tasks, in their order.
      params: of all tasks.
      stats: of all tasks.
      batches: as `TrainStep` takes them.

    Returns:
      float64 (T, T): positions whose gradient came from the row's task and which the discriminator
      gave to the column's. Positions with no gradient, where nothing is labelled, do not count.
    """

    @jax.jit
    def count(params, stats, batch):
        features, _ = network.features(params, stats, batch["image"], train=True)
        rows = []
        for index in range(len(tasks)):
            gradient = _feature_gradient(
                network, tasks[index], params, stats, batch, slice_of_task(features, index)
            )
            logits = network.discriminate(params.discriminator, unit_length(gradient))
            decided = jax.nn.one_hot(jnp.argmax(logits, axis=-1), len(tasks))
            there = jnp.any(gradient != 0, axis=-1, keepdims=True)
            rows.append(jnp.sum(decided * there, axis=(0, 1, 2)))
        return jnp.stack(rows)

    counts = [np.asarray(count(params, stats, batch), np.float64) for batch in batches]
    return np.sum(counts, axis=0)


def _feature_gradient(
    network: Network, task: Task, params: Params, stats: Stats, batch: dict, features: jax.Array
) -> jax.Array:
    """Gradient (B, h, w, C) of one task's loss with respect to the features that its head reads."""
    head, head_stats = params.heads[task.name], stats.heads[task.name]
    label = batch["labels"][task.name]
    features, _ = network.head_features(task.name, head, head_stats, features, train=True)

    def loss(features):
        logits = network.logits(task.name, head, head_stats, features, label.shape[1:3])
        return task.loss_weight * task.loss(logits, label)

    gradient = jax.grad(loss)(features)
    return gradient.astype(jnp.promote_types(gradient.dtype, jnp.float32))


def shares(confusion: np.ndarray) -> np.ndarray:
    """Each row of counts (T, T) as shares of its sum; NaN for a task without any."""
    total = confusion.sum(axis=1, keepdims=True)
    return confusion / np.where(total > 0, total, np.nan)
