"""What training minimizes, of one task or of all: task losses, and telling gradients apart."""

import dataclasses
from collections.abc import Sequence
from functools import partial

import jax
import jax.numpy as jnp

from astmt_jax.labels import IGNORE
from astmt_jax.models.discriminator import reverse_gradient, unit_length
from astmt_jax.models.network import Network, Params, Stats, slice_of_task
from astmt_jax.tasks.losses import softmax_cross_entropy
from astmt_jax.tasks.task import Task


class Objective:
    """Gradients of (1 - d) * task loss + d * discriminator loss.

    The discriminator tells from the gradient of a task's loss with respect to the features which
    task it is of (section 3.3 of the paper); the features learn to prevent it.

    Args:
      network: what is trained.
      tasks: records of its tasks, in their order.
      discriminator_weight: d; 0 for a network without a discriminator.
    """

    def __init__(self, network: Network, tasks: Sequence[Task], discriminator_weight: float):
        self.network = network
        self.tasks = tasks
        self.discriminator_weight = discriminator_weight if network.has_discriminator else 0.0

    def task_gradients(
        self,
        params: Params,
        stats: Stats,
        batch: dict,
        index: jax.Array,
        alpha: jax.Array,
        labels: dict | None = None,
    ) -> tuple[Params, Stats, dict]:
        """Gradients of one task's objective.

        Args:
          params: view of the task (see `one_task`).
          stats: view of the task.
          batch: images and labels.
          index: () int32, the task; may be traced.
          alpha: strength of the gradient reversal.
          labels: of the whole batch, where `batch` is a part of it; None where it is the whole.

        Returns:
          Gradients of `params`, statistics after the batch, and scalar metrics.
        """

        def objective(params):
            features, new_stats = self.network.task_features(
                params, stats, batch["image"], train=True
            )
            # A switch keeps for every branch what any of them keeps: computed again, it is nothing.
            branches = [jax.checkpoint(partial(self._task_loss, i)) for i in range(len(self.tasks))]
            *parts, heads = jax.lax.switch(
                index,
                branches,
                params.heads,
                stats.heads,
                features,
                batch["labels"],
                labels,
            )
            total, metrics = self._total(params, *parts, alpha)
            return total, (dataclasses.replace(new_stats, heads=heads), metrics)

        gradients, (new_stats, metrics) = jax.grad(objective, has_aux=True)(params)
        return gradients, new_stats, metrics

    def joint_gradients(
        self,
        params: Params,
        stats: Stats,
        batch: dict,
        alpha: jax.Array,
        labels: dict | None = None,
    ) -> tuple[Params, Stats, dict]:
        """Gradients of the sum of all tasks' objectives; arguments as in `task_gradients`.

        Returns:
          Gradients of `params`, each task's statistics after the batch (`shared` stacked over
          tasks, too), and metrics of shape (T,).
        """

        def objective(params):
            features, new_stats = self.network.features(params, stats, batch["image"], train=True)
            heads, parts = stats.heads, []
            for index in range(len(self.tasks)):
                *part, heads = self._task_loss(
                    index,
                    params.heads,
                    heads,
                    slice_of_task(features, index),
                    batch["labels"],
                    labels,
                )
                parts.append(part)
            stacked = jax.tree.map(lambda *x: jnp.stack(x), *parts)
            totals, metrics = jax.vmap(partial(self._total, params, alpha=alpha))(*stacked)
            return jnp.sum(totals), (dataclasses.replace(new_stats, heads=heads), metrics)

        gradients, (new_stats, metrics) = jax.grad(objective, has_aux=True)(params)
        return gradients, new_stats, metrics

    def _task_loss(
        self, index: int, heads: dict, head_stats: dict, features, labels: dict, of: dict | None
    ) -> tuple[jax.Array, jax.Array | None, jax.Array | None, jax.Array | None, dict]:
        """Weighted loss of task `index`, its gradient with respect to the features (B, h, w, C),
        the discriminator's targets (B, h, w, 1) int32 (the task, or 255 where unlabelled) for
        these labels and for those `of` the whole batch (None where these are the whole), all three
        None without a discriminator, and all heads' statistics after the batch."""
        task = self.tasks[index]
        head, stats, label = heads[task.name], head_stats[task.name], labels[task.name]
        all_labels = None if of is None else of[task.name]
        features, new_stats = self.network.head_features(
            task.name, head, stats, features, train=True
        )
        new_stats = head_stats | {task.name: new_stats}

        def loss(features):
            logits = self.network.logits(task.name, head, stats, features, label.shape[1:3])
            return task.loss_weight * task.loss(logits, label, all_labels)

        if not self.network.has_discriminator:
            return loss(features), None, None, None, new_stats
        value, gradient = jax.value_and_grad(loss)(features)

        def targets_of(label):
            return jnp.where(_nearest(label[..., :1], features.shape[1:3]) != IGNORE, index, IGNORE)

        all_targets = None if of is None else targets_of(all_labels)
        return value, gradient, targets_of(label), all_targets, new_stats

    def _total(
        self,
        params: Params,
        loss: jax.Array,
        gradient: jax.Array | None,
        targets: jax.Array | None,
        all_targets: jax.Array | None,
        alpha: jax.Array,
    ) -> tuple[jax.Array, dict]:
        """Objective of one task, and its metrics; of a part, what it adds to the batch's."""
        if not self.network.has_discriminator:
            return loss, {"loss": loss}
        gradient = gradient.astype(jnp.promote_types(gradient.dtype, jnp.float32))
        reversed_ = reverse_gradient(unit_length(gradient), alpha)
        logits = self.network.discriminate(params.discriminator, reversed_)
        discriminator_loss = softmax_cross_entropy(logits, targets, all_targets)
        count = jnp.sum((targets if all_targets is None else all_targets) != IGNORE)
        # Where nothing is labelled the target, 255, is none of the tasks.
        correct = jnp.argmax(logits, axis=-1) == targets[..., 0]
        weight = self.discriminator_weight
        return (1 - weight) * loss + weight * discriminator_loss, {
            "loss": loss,
            "discriminator_loss": discriminator_loss,
            "discriminator_accuracy": jnp.sum(correct) / jnp.maximum(count, 1),
        }


def _nearest(labels: jax.Array, size: tuple[int, int]) -> jax.Array:
    """(B, H, W, 1) -> (B, *size, 1): nearest neighbour from source index floor(i * H / h)."""
    rows, columns = (
        jnp.arange(n) * full // n for n, full in zip(size, labels.shape[1:3], strict=True)
    )
    return labels[:, rows][:, :, columns]
