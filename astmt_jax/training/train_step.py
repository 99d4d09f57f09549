"""One training step: the two updates, which an objective's gradients make of a batch."""

import dataclasses
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from astmt_jax.labels import IGNORE
from astmt_jax.models.network import Network, Params, Stats, one_task
from astmt_jax.runtime.sharding import Placement
from astmt_jax.tasks.task import Task
from astmt_jax.training.accumulation import update_function
from astmt_jax.training.objective import Objective
from astmt_jax.training.optimizer import Optimizer, moving_average, select


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
      tasks: records of its tasks, in their order.
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
        tasks: Sequence[Task],
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
        self.objective = Objective(network, tasks, discriminator_weight)
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
        for number in range(len(self.network.names)):
            index = _beside(state.step, np.int32(number))
            state, task_metrics = self.task_step(state, batch, index)
            metrics.append(task_metrics)
        return state, {key: [m[key] for m in metrics] for key in metrics[0]}

    def joint_update(self, state: TrainState, batch: dict) -> tuple[TrainState, dict]:
        """One optimizer step on the sum of all tasks' objectives, in one batched pass.

        Weight decay and momentum apply once a batch, and the stem's statistics move once.
        """
        return self.joint_step(state, batch)

    def _task_part(self, state: TrainState, stats: Stats, part: dict, labels, index):
        params = one_task(self._gather(state.params), index)
        alpha = self.alpha(state.step)
        *after, metrics = self.objective.task_gradients(params, stats, part, index, alpha, labels)
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
        gradients, new_stats, metrics = self.objective.joint_gradients(
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
