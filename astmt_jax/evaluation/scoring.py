"""Scores of several tasks, one image at a time: every metric of the project is computed here."""

import contextlib
import dataclasses
import pathlib
from collections.abc import Generator, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

from astmt_jax.config import EvaluationConfig
from astmt_jax.evaluation.counting import Counter, naming
from astmt_jax.metrics.metric import CountedMetric, Metric
from astmt_jax.runtime import console
from astmt_jax.runtime.workers import count_threads
from astmt_jax.tasks.task import Task

Example = TypeVar("Example")

IMAGES_PER_WORKER = 16
"""A process takes about as long to start as to count so many images."""


def applied_to(config: EvaluationConfig, tasks: Sequence[Task]) -> tuple[Task, ...]:
    """The tasks' records with these choices."""
    return tuple(_with_choices(task, config.choices()) for task in tasks)


def _with_choices(task: Task, chosen: Mapping[str, Any]) -> Task:
    for field, choice in task.choices.items():
        if field in chosen:
            task = choice.change(task, chosen[field])
    return task


def conventions(config: EvaluationConfig, tasks: Sequence[Task]) -> dict[str, Any]:
    """By what tasks, to which `config` was applied, are scored: results.json says it.

    Returns:
      `protocol`, and `choices`: every choice that concerns one of the tasks, such as
      `EvaluationConfig` takes it. 'default' and None are left where there is nothing to name.
    """
    chosen = {name: it.value(task) for task in tasks for name, it in task.choices.items()}
    return {"protocol": config.protocol, "choices": chosen}


@dataclasses.dataclass(frozen=True)
class Scores:
    """What a split's predictions reach.

    Attributes:
      results: task -> metric -> value.
      details: task -> what the values come from: the map that was compared with
        (`compared_with`), the conventions, tables by class, curves. Plain values.
    """

    results: dict[str, dict[str, float]]
    details: dict[str, dict[str, Any]]


class Scorer:
    """The metrics of several tasks; results do not depend on the order of the images.

    Args:
      tasks: records of the tasks.
      counter: has the slow parts computed.
    """

    def __init__(self, tasks: Sequence[Task], counter: Counter):
        self._tasks = tasks
        self._counter = counter
        self._metrics = {task.name: task.metric() for task in tasks}

    def add(
        self, name: str, predictions: Mapping[str, np.ndarray], truths: Mapping[str, np.ndarray]
    ) -> None:
        """Counts one image, for the tasks that it is labelled for.

        Args:
          name: of the image.
          predictions: by task, at the image's size.
          truths: by label name, (H, W, c) after the ignore rules.

        Raises:
          ScoringError: a prediction cannot be scored, naming task and image.
        """
        for task in self._tasks:
            if not task.is_labelled(truths):
                continue
            metric, label = self._metrics[task.name], f"{task.name}/{name}"
            truth = truths[task.truth]
            plane = truth[..., 0] if truth.shape[-1] == 1 else truth
            if isinstance(metric, CountedMetric):
                self._counter.add(metric, label, predictions[task.name], plane)
            else:
                with naming(label):
                    metric.add(predictions[task.name], plane)

    def metrics(self) -> dict[str, Metric]:
        """The accumulators by task name, of all images added so far."""
        self._counter.finish()
        return self._metrics

    def scores(self) -> Scores:
        """The scores of all images added so far."""
        return scores_of(self._tasks, self.metrics())


def scores_of(tasks: Sequence[Task], metrics: Mapping[str, Metric]) -> Scores:
    """What accumulators, given by task name, have come to."""
    return Scores(
        {task.name: metrics[task.name].result() for task in tasks},
        {
            task.name: {"compared_with": task.truth, **metrics[task.name].details()}
            for task in tasks
        },
    )


@contextlib.contextmanager
def scoring(
    tasks: Sequence[Task], num_images: int, num_workers: int | None, notes: pathlib.Path | None
) -> Generator[Scorer]:
    """Context with a scorer whose slow parts are computed on as many processes as are worth it."""
    workers = min(count_threads(num_workers), max(1, num_images // IMAGES_PER_WORKER))
    with Counter(workers, notes) as counter:
        yield Scorer(tasks, counter)


def tracked(examples: Iterable[Example], name: str, total: int) -> Iterable[Example]:
    """The examples, with a bar on the terminal that says how many are done."""
    return console.tracked(examples, f"Evaluating {name}", total)
