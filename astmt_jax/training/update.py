"""What the updates have in common: what they are made of, and how they are called."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import jax
import jax.numpy as jnp

from astmt_jax.labels import IGNORE
from astmt_jax.models.network import Network
from astmt_jax.models.variables import Params, Stats
from astmt_jax.pipeline.layout import ONE_DATASET, Layout
from astmt_jax.runtime.sharding import Placement
from astmt_jax.training.objective import Batch, Labels, Objective
from astmt_jax.training.optimizer import Optimizer, moving_average
from astmt_jax.training.schedules import Schedule
from astmt_jax.training.state import TrainState, initial_state
from astmt_jax.training.trained_tasks import TrainedTasks

TaskMetrics = Mapping[str, jax.Array | Sequence[jax.Array]]
"""`objective.Metrics` of all tasks: (T,) arrays, or sequences of T scalars."""


@dataclasses.dataclass(frozen=True)
class Ingredients:
    """What an update is made of.

    Attributes:
      objective: what is minimized.
      optimizer: what moves the parameters along its gradients.
      learning_rate: of shared parameters, as a function of the step (int32 scalar).
      alpha: strength of the gradient reversal as a function of the step.
      accumulate: in how many parts, one after the other, a batch is taken. An update is that of the
        whole batch (losses, the discriminator's too, are normalised by all its valid pixels and
        class counts) but for batch norm, which normalises each part by the part's own statistics
        and moves the running statistics once a part.
      placement: where variables live, from step to step; None leaves them where they are.
      trained_tasks: which tasks are trained, where all else of a network stays as it is; then
        the objective is that of their network alone. None trains everything.
      layout: which images of a batch have labels for which tasks.
    """

    objective: Objective
    optimizer: Optimizer
    learning_rate: Schedule
    alpha: Schedule
    accumulate: int = 1
    placement: Placement | None = None
    trained_tasks: TrainedTasks | None = None
    layout: Layout = ONE_DATASET

    @property
    def network(self) -> Network:
        """What is trained."""
        return self.objective.network

    def initial_state(self, key: jax.Array) -> TrainState:
        """State before the first step, of all tasks; `key` is a typed PRNG key."""
        network = self.trained_tasks.network if self.trained_tasks else self.network
        return initial_state(*network.init(key), self.optimizer, self.trained_tasks)

    def trained(self, state: TrainState) -> TrainState:
        """The state of `network`."""
        tasks = self.trained_tasks
        if tasks is None:
            return state
        params, stats = tasks.of(state.params, state.stats)
        average = state.average and tasks.of(*state.average)
        return TrainState(state.step, params, stats, state.optimizer, average)

    def updated(self, state: TrainState, trained: TrainState) -> TrainState:
        """The state with what a step has made of `trained(state)`, its arrays where they live."""
        tasks = self.trained_tasks
        if tasks is not None:
            old, new = (state.params, state.stats), (trained.params, trained.stats)
            variables, average = tasks.put_back(old, new), None
            if state.average is not None and trained.average is not None:
                average = tasks.put_back(state.average, trained.average)
            trained = TrainState(trained.step, *variables, trained.optimizer, average)
        return self.placement.constrain(trained) if self.placement else trained

    def gather(self, variables: Any) -> Any:
        """The tree of variables, whole on every device, to compute with."""
        return self.placement.gather(variables) if self.placement else variables

    def averaged(
        self, state: TrainState, variables: tuple[Params, Stats]
    ) -> tuple[Params, Stats] | None:
        """The moving average after a step from `state` to `variables`, if there is one."""
        decay = self.optimizer.ema_decay
        if state.average is None or decay is None:
            return None
        return moving_average(state.average, variables, decay, state.step)

    def labelled(self, labels: Labels) -> jax.Array:
        """(T,) bool: whether the batch has any label of each task."""
        return jnp.stack([jnp.any(labels[name] != IGNORE) for name in self.network.names])


class Update(Protocol):
    """One way to make a step of a batch; the table of all is `train_step.UPDATES`.

    Attributes:
      program: the compiled update of (state, batch, ...).
      runs: how often a step runs it.
    """

    program: Callable
    runs: int

    def __init__(self, ingredients: Ingredients): ...

    @staticmethod
    def seen(layout: Layout, batch: Batch, task: str) -> Batch:
        """What of a batch goes through the network for a task."""
        ...

    def __call__(self, state: TrainState, batch: Batch) -> tuple[TrainState, TaskMetrics]:
        """The state after a batch, and the metrics of all tasks; the state is donated."""
        ...

    def lower(self, state: TrainState, batch: Batch) -> jax.stages.Lowered:
        """The program for arrays that are only described (`jax.ShapeDtypeStruct`); errors as
        `lowered`."""
        ...


def compiled(update: Callable, accumulate: int) -> Callable:
    """An update of (state, batch, ...) as one program, or, of several parts, as it is: its own
    steps are programs then."""
    return update if accumulate > 1 else jax.jit(update, donate_argnames="state")


def lowered(program: Callable, *arguments: Any) -> jax.stages.Lowered:
    """What `compiled` returned, for arrays that are only described.

    Raises:
      ValueError: it is of several parts.
    """
    if not isinstance(program, jax.stages.Wrapped):
        raise ValueError(
            "An update in several parts (config.train.accumulate above 1) is no single program."
        )
    return program.lower(*arguments)
