"""Scores of several tasks, one image at a time: every metric of the project is computed here."""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from astmt_jax.augment import RESIZES
from astmt_jax.counting import CountedMetric, Counter, naming
from astmt_jax.labels import IGNORE
from astmt_jax.metrics.edges import PROTOCOLS, edge_map
from astmt_jax.models.config import check_choice
from astmt_jax.tasks import Task

DEFAULT = "default"
CHOICES = {
    "edge_protocol": (DEFAULT, *PROTOCOLS),
    "edge_truth": (DEFAULT, "edges"),
    "semseg_classes": (DEFAULT, "all", "present"),
    "depth_convention": (DEFAULT, "masked", "reference"),
}
"""Values of those fields of `EvaluationConfig` that concern anybody's predictions."""


@dataclasses.dataclass(frozen=True)
class EvaluationConfig:
    """How predictions are scored. What is 'default' is left to the dataset.

    Attributes:
      quantize: score a network's predictions as they come back from the files that the reference
        implementation writes (8-bit levels; depth is not rounded), not as they are.
      image_resize: how images become as large as the network's input, a key of `augment.RESIZES`:
        'linear' as in training, or 'cubic', the reference implementation's.
      edge_protocol: key of `metrics.edges.PROTOCOLS`; the truth stays the dataset's.
      edge_truth: 'edges' compares with the edge labels, thinned, and nothing else.
      semseg_classes: 'all' or 'present': the classes that mIoU is the mean over.
      depth_convention: 'masked', or 'reference' for the reference implementation's numbers.

    Raises:
      ValueError: an unknown choice.
    """

    quantize: bool = True
    image_resize: str = "linear"
    edge_protocol: str = DEFAULT
    edge_truth: str = DEFAULT
    semseg_classes: str = DEFAULT
    depth_convention: str = DEFAULT

    def __post_init__(self):
        check_choice("evaluation.image_resize", self.image_resize, RESIZES)
        for name, choices in CHOICES.items():
            check_choice(f"evaluation.{name}", getattr(self, name), choices)

    def applied_to(self, tasks: Sequence[Task]) -> tuple[Task, ...]:
        """The tasks' records with these choices."""
        arguments = {
            "edge": {"protocol": self.edge_protocol},
            "semseg": {"classes": self.semseg_classes},
            "depth": {"convention": self.depth_convention},
        }
        truths = {}
        if self.edge_truth == "edges":
            arguments["edge"]["true_edges"] = edge_map
            truths["edge"] = "edge"
        return tuple(
            dataclasses.replace(
                task,
                truth=truths.get(task.name, task.truth),
                metric=_with_choices(task.metric, arguments.get(task.name, {})),
            )
            for task in tasks
        )


def _with_choices(metric: Callable[..., Any], arguments: Mapping[str, Any]) -> Callable[..., Any]:
    chosen = {name: value for name, value in arguments.items() if value != DEFAULT}
    return functools.partial(metric, **chosen)


@dataclasses.dataclass(frozen=True)
class Scores:
    """What a split's predictions reach.

    Attributes:
      results: task -> metric -> value.
      details: task -> what stands behind the values: the map that was compared with
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
            if not is_labelled(task, truths):
                continue
            metric, label = self._metrics[task.name], f"{task.name}/{name}"
            truth = truths[task.truth]
            plane = truth[..., 0] if truth.shape[-1] == 1 else truth
            if isinstance(metric, CountedMetric):
                self._counter.add(metric, label, predictions[task.name], plane)
            else:
                with naming(label):
                    metric.add(predictions[task.name], plane)

    def metrics(self) -> dict[str, Any]:
        """The accumulators by task name, of all images added so far."""
        self._counter.finish()
        return self._metrics

    def scores(self) -> Scores:
        """The scores of all images added so far."""
        return scores_of(self._tasks, self.metrics())


def scores_of(tasks: Sequence[Task], metrics: Mapping[str, Any]) -> Scores:
    """What accumulators, given by task name, have come to."""
    return Scores(
        {task.name: metrics[task.name].result() for task in tasks},
        {
            task.name: {"compared_with": task.truth, **metrics[task.name].details()}
            for task in tasks
        },
    )


def is_labelled(task: Task, truths: Mapping[str, np.ndarray]) -> bool:
    """Whether an image has any label for the task, given its truths after the ignore rules."""
    return bool((truths[task.name] != IGNORE).any())
