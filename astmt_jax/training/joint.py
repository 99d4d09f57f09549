"""The joint update: one optimizer step on the sum of all tasks' objectives."""

import dataclasses

import jax
import jax.numpy as jnp

from astmt_jax.models.variables import Params, Stats
from astmt_jax.pipeline.layout import Layout
from astmt_jax.training.accumulation import in_parts
from astmt_jax.training.objective import Batch, Labels, Metrics
from astmt_jax.training.optimizer import select
from astmt_jax.training.state import TrainState
from astmt_jax.training.update import Ingredients, TaskMetrics, compiled, lowered


class JointUpdate:
    """One optimizer step on the sum of all tasks' objectives, in one batched pass.

    Weight decay and momentum apply once a batch, and the stem's statistics move once.
    """

    runs = 1

    def __init__(self, ingredients: Ingredients):
        self._ingredients = ingredients
        self._gathered_stats = jax.jit(
            lambda state: ingredients.gather(ingredients.trained(state).stats)
        )
        self._gradients = in_parts(
            self._part_gradients, ingredients.accumulate, ingredients.layout.size
        )
        self._apply = jax.jit(self._state_after, donate_argnames="state")
        self.program = compiled(self._update, ingredients.accumulate)

    @staticmethod
    def seen(layout: Layout, batch: Batch, task: str) -> Batch:
        """All images, those of other tasks' datasets, too."""
        del layout, task
        return batch

    def __call__(self, state: TrainState, batch: Batch) -> tuple[TrainState, TaskMetrics]:
        return self.program(state, batch)

    def lower(self, state: TrainState, batch: Batch) -> jax.stages.Lowered:
        return lowered(self.program, state, batch)

    def _update(self, state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        stats = self._gathered_stats(state)
        gradients, stats, metrics = self._gradients(state, stats, batch)
        return self._apply(state, gradients, stats, batch["labels"]), metrics

    def _part_gradients(
        self, state: TrainState, stats: Stats, batch: Batch, whole_labels: Labels | None
    ) -> tuple[Params, Stats, Metrics]:
        """What some images add to the gradients, the statistics after them, and the metrics."""
        ingredients = self._ingredients
        gradients, new_stats, metrics = ingredients.objective.joint_gradients(
            ingredients.gather(ingredients.trained(state).params),
            stats,
            batch,
            ingredients.alpha(state.step),
            whole_labels,
        )
        active = ingredients.labelled(batch["labels"] if whole_labels is None else whole_labels)
        merged = _merged(stats, new_stats, active, ingredients.network.names)
        return gradients, merged, ingredients.gather(metrics)

    def _state_after(
        self, state: TrainState, gradients: Params, stats: Stats, labels: Labels
    ) -> TrainState:
        """The state after a step along the gradients."""
        ingredients = self._ingredients
        active = ingredients.labelled(labels)
        trained = ingredients.trained(state)
        params, optimizer = ingredients.optimizer.update(
            trained.params,
            gradients,
            trained.optimizer,
            ingredients.learning_rate(state.step),
            active=active,
            head_active={name: active[i] for i, name in enumerate(ingredients.network.names)},
        )
        average = ingredients.averaged(trained, (params, stats))
        new_state = TrainState(state.step + 1, params, stats, optimizer, average)
        return ingredients.updated(state, new_state)


def _merged(old: Stats, new: Stats, active: jax.Array, names: tuple[str, ...]) -> Stats:
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
