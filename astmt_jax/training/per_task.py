"""The paper's update: one optimizer step for each task."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from astmt_jax.models.variables import Params, Stats, one_task
from astmt_jax.pipeline.layout import Layout
from astmt_jax.training.accumulation import in_parts
from astmt_jax.training.objective import Batch, Labels, Metrics
from astmt_jax.training.optimizer import select
from astmt_jax.training.state import TrainState
from astmt_jax.training.update import Ingredients, TaskMetrics, compiled, lowered


class PerTaskUpdate:
    """One optimizer step a task, in order, on the same batch, through one program for all tasks.

    A step touches only what its task uses: other tasks' parameters see no gradient, no weight
    decay and no momentum. Where tasks draw from several datasets, it sees the images of its own.
    """

    def __init__(self, ingredients: Ingredients):
        self._ingredients = ingredients
        self.runs = len(ingredients.network.names)
        self._gathered_stats = jax.jit(
            lambda state, index: one_task(
                ingredients.gather(ingredients.trained(state).stats), index
            )
        )
        self._gradients = in_parts(self._part_gradients, ingredients.accumulate)
        self._apply = jax.jit(self._state_after, donate_argnames="state")
        self.program = compiled(self._task_update, ingredients.accumulate)

    @staticmethod
    def seen(layout: Layout, batch: Batch, task: str) -> Batch:
        """The images of the task's own dataset."""
        return layout.of_task(batch, task)

    def __call__(self, state: TrainState, batch: Batch) -> tuple[TrainState, TaskMetrics]:
        layout, metrics = self._ingredients.layout, []
        for number, name in enumerate(self._ingredients.network.names):
            index = _on_devices_of(state.step, np.int32(number))
            state, of_task = self.program(state, self.seen(layout, batch, name), index)
            metrics.append(of_task)
        return state, {key: [one[key] for one in metrics] for key in metrics[0]}

    def lower(self, state: TrainState, batch: Batch) -> jax.stages.Lowered:
        index = jax.ShapeDtypeStruct((), jnp.int32, sharding=state.step.sharding)
        ingredients = self._ingredients
        batch = ingredients.layout.described(batch, ingredients.network.names[0])
        return lowered(self.program, state, batch, index)

    def _task_update(
        self, state: TrainState, batch: Batch, index: jax.Array
    ) -> tuple[TrainState, Metrics]:
        """The step of task `index`, () int32, which may be traced."""
        stats = self._gathered_stats(state, index)
        gradients, stats, metrics = self._gradients(state, stats, batch, index)
        return self._apply(state, gradients, stats, batch["labels"], index), metrics

    def _part_gradients(
        self,
        state: TrainState,
        stats: Stats,
        batch: Batch,
        whole_labels: Labels | None,
        index: jax.Array,
    ) -> tuple[Params, Stats, Metrics]:
        """What some images add to the gradients, the statistics after them, and the metrics."""
        ingredients = self._ingredients
        params = one_task(ingredients.gather(ingredients.trained(state).params), index)
        alpha = ingredients.alpha(state.step)
        gradients, stats, metrics = ingredients.objective.task_gradients(
            params, stats, batch, index, alpha, whole_labels
        )
        return gradients, stats, ingredients.gather(metrics)

    def _state_after(
        self,
        state: TrainState,
        gradients: Params,
        stats: Stats,
        labels: Labels,
        index: jax.Array,
    ) -> TrainState:
        """The state after a step along the gradients of one task's view."""
        ingredients = self._ingredients
        names = ingredients.network.names
        active = ingredients.labelled(labels)[index]
        trained = ingredients.trained(state)
        old_stats = one_task(ingredients.gather(trained.stats), index)
        params, optimizer = ingredients.optimizer.update(
            one_task(trained.params, index),
            gradients,
            one_task(trained.optimizer, index),
            ingredients.learning_rate(state.step),
            active=active,
            head_active={name: active & (index == i) for i, name in enumerate(names)},
        )
        variables = (
            _with_slice(trained.params, params, index),
            _with_slice(trained.stats, select(active, stats, old_stats), index),
        )
        last = index == len(names) - 1
        average = ingredients.averaged(trained, variables)
        new_state = TrainState(
            state.step + last.astype(jnp.int32),
            *variables,
            optimizer=_with_slice(trained.optimizer, optimizer, index),
            average=select(last, average, trained.average),
        )
        return ingredients.updated(state, new_state)


def _with_slice(stacked: Any, view: Any, index: jax.Array) -> Any:
    """`view` of one task put back into the stacked variables it was taken from."""
    task = jax.tree.map(
        lambda all_tasks, one: all_tasks.at[index].set(one), stacked.task, view.task
    )
    return dataclasses.replace(view, task=task)


def _on_devices_of(array: jax.Array, value: np.int32) -> jax.Array:
    """The scalar, explicitly on the array's devices: training refuses hidden transfers."""
    if not array.committed:
        return jax.device_put(value)
    # Device by device: to all at once, `device_put` would have the processes compare their values.
    copies = [jax.device_put(value, device) for device in array.sharding.addressable_devices]
    return jax.make_array_from_single_device_arrays((), array.sharding, copies)
