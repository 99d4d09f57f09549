"""What training minimizes, of one task or of all: task losses, and telling gradients apart."""

import dataclasses
from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from astmt_jax.labels import IGNORE
from astmt_jax.models.discriminator import reverse_gradient, unit_length
from astmt_jax.models.network import Network
from astmt_jax.models.variables import Params, Stats, slice_of_task
from astmt_jax.tasks.losses import softmax_cross_entropy
from astmt_jax.tasks.task import Task

Batch = dict[str, Any]
"""`image` (B, H, W, 3) and `labels`, a dict task -> (B, H, W, c), as the pipeline yields."""

Labels = dict[str, jax.Array]
Metrics = dict[str, jax.Array]
"""`loss` with its multiplier, and with a discriminator `discriminator_loss` and
`discriminator_accuracy` (in 0..1)."""


class TaskLoss(NamedTuple):
    """A task's loss, and what the discriminator reads.

    Attributes:
      value: (), times the task's `loss_weight`.
      gradient: (B, h, w, C), with respect to the features that the task's prediction layer reads;
        None without a discriminator.
    """

    value: jax.Array
    gradient: jax.Array | None


class Targets(NamedTuple):
    """What the discriminator should say: (..., B, h, w, 1) int32, the task, or 255 if unlabelled.

    Attributes:
      here: for the images at hand.
      whole: for the batch that these are a part of; None where they are the whole.
    """

    here: jax.Array
    whole: jax.Array | None


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
        batch: Batch,
        index: jax.Array,
        alpha: ArrayLike,
        whole_labels: Labels | None = None,
    ) -> tuple[Params, Stats, Metrics]:
        """Gradients of one task's objective.

        Args:
          params: view of the task (see `one_task`).
          stats: view of the task.
          batch: images and labels.
          index: () int32, the task; may be traced.
          alpha: strength of the gradient reversal.
          whole_labels: of the whole batch, where `batch` is a part of it; None where it is the
            whole.

        Returns:
          Gradients of `params`, statistics after the batch, and scalar metrics.
        """
        # A switch keeps for every branch what any of them keeps: computed again, it is nothing.
        losses = [jax.checkpoint(partial(self.task_loss, i)) for i in range(len(self.tasks))]

        def objective(params):
            features, new_stats = self.network.task_features(
                params, stats, batch["image"], train=True
            )
            loss, head_stats = jax.lax.switch(
                index, losses, params.heads, stats.heads, features, batch["labels"], whole_labels
            )
            targets = slice_of_task(self.targets(features, batch["labels"], whole_labels), index)
            total, metrics = self._total(params, alpha, loss, targets)
            return total, (dataclasses.replace(new_stats, heads=head_stats), metrics)

        gradients, (new_stats, metrics) = jax.grad(objective, has_aux=True)(params)
        return gradients, new_stats, metrics

    def joint_gradients(
        self,
        params: Params,
        stats: Stats,
        batch: Batch,
        alpha: ArrayLike,
        whole_labels: Labels | None = None,
    ) -> tuple[Params, Stats, Metrics]:
        """Gradients of the sum of all tasks' objectives; arguments as in `task_gradients`.

        Returns:
          Gradients of `params`, each task's statistics after the batch (`shared` stacked over
          tasks, too), and metrics of shape (T,).
        """

        def objective(params):
            features, new_stats = self.network.features(params, stats, batch["image"], train=True)
            losses, head_stats = [], stats.heads
            for index in range(len(self.tasks)):
                of_task = slice_of_task(features, index)
                loss, head_stats = self.task_loss(
                    index, params.heads, head_stats, of_task, batch["labels"], whole_labels
                )
                losses.append(loss)
            stacked = jax.tree.map(lambda *x: jnp.stack(x), *losses)
            targets = self.targets(features, batch["labels"], whole_labels)
            totals, metrics = jax.vmap(partial(self._total, params, alpha))(stacked, targets)
            return jnp.sum(totals), (dataclasses.replace(new_stats, heads=head_stats), metrics)

        gradients, (new_stats, metrics) = jax.grad(objective, has_aux=True)(params)
        return gradients, new_stats, metrics

    def task_loss(
        self,
        index: int,
        heads: dict,
        head_stats: dict,
        features: Any,
        labels: Labels,
        whole_labels: Labels | None = None,
    ) -> tuple[TaskLoss, dict]:
        """Loss of task `index` on the trunk's features, and all heads' statistics after the batch.

        Args:
          index: number of the task.
          heads: parameters of all heads, by task.
          head_stats: statistics of all heads, by task.
          features: the trunk's for this task (see `models.network.Trunk`).
          labels: of all tasks.
          whole_labels: as in `task_gradients`.
        """
        task = self.tasks[index]
        head, stats, label = heads[task.name], head_stats[task.name], labels[task.name]
        whole_label = None if whole_labels is None else whole_labels[task.name]
        features, new_stats = self.network.head_features(
            task.name, head, stats, features, train=True
        )

        def loss(features):
            logits = self.network.logits(task.name, head, stats, features, label.shape[1:3])
            return task.loss_weight * task.loss(logits, label, whole_label)

        if self.network.has_discriminator:
            task_loss = TaskLoss(*jax.value_and_grad(loss)(features))
        else:
            task_loss = TaskLoss(loss(features), None)
        return task_loss, head_stats | {task.name: new_stats}

    def targets(
        self, features: Any, labels: Labels, whole_labels: Labels | None = None
    ) -> Targets | None:
        """The discriminator's targets of all tasks, (T, B, h, w, 1); None without one.

        Args:
          features: the trunk's, of one task or of all, (..., B, h, w, C).
          labels: of all tasks, (B, H, W, c).
          whole_labels: as in `task_gradients`.
        """
        if not self.network.has_discriminator:
            return None
        size = features.shape[-3:-1]

        def of(labels):
            known = [_nearest(labels[task.name][..., :1], size) != IGNORE for task in self.tasks]
            return jnp.stack([jnp.where(at, i, IGNORE) for i, at in enumerate(known)])

        return Targets(of(labels), None if whole_labels is None else of(whole_labels))

    def _total(
        self, params: Params, alpha: ArrayLike, loss: TaskLoss, targets: Targets | None
    ) -> tuple[jax.Array, Metrics]:
        """Objective of one task, and its metrics; of a part, what it adds to the batch's."""
        if targets is None or loss.gradient is None:  # there is no discriminator
            return loss.value, {"loss": loss.value}
        gradient = loss.gradient.astype(jnp.promote_types(loss.gradient.dtype, jnp.float32))
        reversed_ = reverse_gradient(unit_length(gradient), alpha)
        logits = self.network.discriminate(params.discriminator, reversed_)
        discriminator_loss = softmax_cross_entropy(logits, *targets)
        count = jnp.sum((targets.here if targets.whole is None else targets.whole) != IGNORE)
        # Where nothing is labelled the target, 255, is none of the tasks.
        correct = jnp.argmax(logits, axis=-1) == targets.here[..., 0]
        weight = self.discriminator_weight
        return (1 - weight) * loss.value + weight * discriminator_loss, {
            "loss": loss.value,
            "discriminator_loss": discriminator_loss,
            "discriminator_accuracy": jnp.sum(correct) / jnp.maximum(count, 1),
        }


def _nearest(labels: jax.Array, size: tuple[int, int]) -> jax.Array:
    """(B, H, W, 1) -> (B, *size, 1): nearest neighbour from source index floor(i * H / h)."""
    rows, columns = (
        jnp.arange(n) * full // n for n, full in zip(size, labels.shape[1:3], strict=True)
    )
    return labels[:, rows][:, :, columns]
