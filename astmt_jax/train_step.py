"""One training step: task losses, the discriminator of their gradients, and the two updates."""

import dataclasses
from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from astmt_jax.accumulation import update_function
from astmt_jax.labels import IGNORE
from astmt_jax.losses import softmax_cross_entropy
from astmt_jax.models.discriminator import reverse_gradient, unit_length
from astmt_jax.models.network import Network, Params, Stats, one_task, slice_of_task
from astmt_jax.optimizer import Optimizer, moving_average, select
from astmt_jax.sharding import Placement


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class TrainState:
    """Everything that training changes.

    Attributes:
      step: () int32, batches seen.
      params: trained variables.
      stats: running statistics.
      optimizer: optimizer states, in the layout of `params`.
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


def initial_state(params: Params, stats: Stats, optimizer: Optimizer) -> TrainState:
    """State before the first step of training that starts from the given variables."""
    # Copies, as no array can be donated twice.
    average = None if optimizer.ema_decay is None else jax.tree.map(jnp.copy, (params, stats))
    return TrainState(jnp.int32(0), params, stats, optimizer.init(params), average)


class TrainStep:
    """Builds the jitted updates of one network.

    Args:
      network: what is trained.
      optimizer: how.
      learning_rate: function of the step (int32 scalar).
      alpha: strength of the gradient reversal as a function of the step.
      discriminator_weight: d in total = (1 - d) * task loss + d * discriminator loss.
      accumulate: in how many parts, one after the other, a batch is taken. An update is that of the
        whole batch (losses, the discriminator's too, are normalised by all its valid pixels and
        class counts) but for batch norm, which normalises each part by the part's own statistics
        and moves the running statistics once a part.
      placement: where variables live, from step to step; None leaves them where they are.

    Batches are dicts with `image` (B, H, W, 3) and `labels`, a dict task -> (B, H, W, c), as
    `pipeline.py` yields them. Metrics are dicts of device arrays: `loss` with its multiplier, and
    with a discriminator `discriminator_loss` and `discriminator_accuracy` (in 0..1).
    """

    def __init__(
        self,
        network: Network,
        optimizer: Optimizer,
        learning_rate: Callable[[jax.Array], jax.Array],
        alpha: Callable[[jax.Array], jax.Array],
        discriminator_weight: float,
        accumulate: int = 1,
        placement: Placement | None = None,
    ):
        self.network = network
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.alpha = alpha
        self.discriminator_weight = discriminator_weight if network.has_discriminator else 0.0
        unchanged = lambda tree: tree  # noqa: E731
        self._gather = placement.gather if placement else unchanged
        self._constrain = placement.constrain if placement else unchanged
        self.task_step = update_function(
            lambda state, index: one_task(self._gather(state.stats), index),
            self._task_part,
            self._apply_task,
            accumulate,
        )
        self.joint_step = update_function(
            lambda state: self._gather(state.stats),
            self._joint_part,
            self._apply_joint,
            accumulate,
        )

    def init(self, key: jax.Array) -> TrainState:
        """State before the first step; `key` is a typed PRNG key."""

        return jax.jit(lambda key: initial_state(*self.network.init(key), self.optimizer))(key)

    def per_task_update(self, state: TrainState, batch: dict) -> tuple[TrainState, dict]:
        """The paper's update: one optimizer step a task, in order, on the same batch."""
        metrics = []
        for number in range(len(self.network.tasks)):
            index = _beside(state.step, np.int32(number))
            state, task_metrics = self.task_step(state, batch, index)
            metrics.append(task_metrics)
        return state, {key: [m[key] for m in metrics] for key in metrics[0]}

    def joint_update(self, state: TrainState, batch: dict) -> tuple[TrainState, dict]:
        """One optimizer step on the sum of all tasks' objectives, in one batched pass.

        Weight decay and momentum apply once a batch, and the stem's statistics move once.
        """
        return self.joint_step(state, batch)

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
            branches = [
                jax.checkpoint(partial(self._task_loss, i)) for i in range(len(self.network.tasks))
            ]
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
            for index in range(len(self.network.tasks)):
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
        task = self.network.tasks[index]
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

    def _task_part(self, state: TrainState, stats: Stats, part: dict, labels, index):
        params = one_task(self._gather(state.params), index)
        alpha = self.alpha(state.step)
        *after, metrics = self.task_gradients(params, stats, part, index, alpha, labels)
        return *after, self._gather(metrics)

    def _apply_task(self, state: TrainState, gradients, new_stats, labels: dict, index):
        names = self.network.names
        active = _labelled(labels, names)[index]
        stats = one_task(self._gather(state.stats), index)
        new_params, new_optimizer = self.optimizer.update(
            one_task(state.params, index),
            gradients,
            one_task(state.optimizer, index),
            self.learning_rate(state.step),
            active=active,
            head_active={name: active & (index == i) for i, name in enumerate(names)},
        )
        last = index == len(names) - 1
        new_variables = (
            _with_slice(state.params, new_params, index),
            _with_slice(state.stats, select(active, new_stats, stats), index),
        )
        average = self._averaged(state, new_variables)
        new_state = TrainState(
            state.step + last.astype(jnp.int32),
            *new_variables,
            optimizer=_with_slice(state.optimizer, new_optimizer, index),
            average=select(last, average, state.average),
        )
        return self._constrain(new_state)

    def _joint_part(self, state: TrainState, stats: Stats, part: dict, labels):
        gradients, new_stats, metrics = self.joint_gradients(
            self._gather(state.params), stats, part, self.alpha(state.step), labels
        )
        names = self.network.names
        active = _labelled(part["labels"] if labels is None else labels, names)
        merged = _merge_stats(stats, new_stats, active, names)
        return gradients, merged, self._gather(metrics)

    def _apply_joint(self, state: TrainState, gradients, stats, labels: dict):
        names = self.network.names
        active = _labelled(labels, names)
        params, optimizer = self.optimizer.update(
            state.params,
            gradients,
            state.optimizer,
            self.learning_rate(state.step),
            active=active,
            head_active={name: active[i] for i, name in enumerate(names)},
        )
        average = self._averaged(state, (params, stats))
        return self._constrain(TrainState(state.step + 1, params, stats, optimizer, average))

    def _averaged(self, state: TrainState, variables: tuple[Params, Stats]):
        """The moving average after a step to `variables`, if there is one."""
        if state.average is None:
            return None
        return moving_average(state.average, variables, self.optimizer.ema_decay, state.step)


def _beside(array: jax.Array, value: np.ndarray) -> jax.Array:
    """The scalar, explicitly on the array's devices: training refuses hidden transfers."""
    if not array.committed:
        return jax.device_put(value)
    # Device by device: to all at once, `device_put` would have the processes compare their values.
    copies = [jax.device_put(value, device) for device in array.sharding.addressable_devices]
    return jax.make_array_from_single_device_arrays((), array.sharding, copies)


def _nearest(labels: jax.Array, size: tuple[int, int]) -> jax.Array:
    """(B, H, W, 1) -> (B, *size, 1): nearest neighbour from source index floor(i * H / h)."""
    rows, columns = (
        jnp.arange(n) * full // n for n, full in zip(size, labels.shape[1:3], strict=True)
    )
    return labels[:, rows][:, :, columns]


def _labelled(labels: dict, names: tuple[str, ...]) -> jax.Array:
    """(T,) bool: whether the batch has any label of each task."""
    return jnp.stack([jnp.any(labels[name] != IGNORE) for name in names])


def _with_slice(stacked, view, index: jax.Array):
    """`view` of one task put back into the stacked variables it was taken from."""
    task = jax.tree.map(
        lambda all_tasks, one: all_tasks.at[index].set(one), stacked.task, view.task
    )
    return dataclasses.replace(view, task=task)


def _merge_stats(old: Stats, new: Stats, active: jax.Array, names: tuple[str, ...]) -> Stats:
    """Statistics after a joint step: labelled tasks' own, and their mean for shared ones."""
    share = active / jnp.maximum(jnp.sum(active), 1)
    mean = jax.tree.map(lambda x: jnp.tensordot(share.astype(x.dtype), x, 1), new.shared)
    return dataclasses.replace(
        old,
        shared=select(jnp.any(active), mean, old.shared),
        task=jax.vmap(select)(active, new.task, old.task) if old.task else {},
        heads={
            name: select(active[i], new.heads[name], old.heads[name])
            for i, name in enumerate(names)
        },
    )
