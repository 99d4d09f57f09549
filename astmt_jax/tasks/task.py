"""What distinguishes one task from another, in one record each.

Everything that depends on the task (width and loss of its prediction layer, how augmentation moves
its labels, how it is scored and drawn) is a field of `Task`: no other module asks for the name of a
task. Each task has a module of its own beside this one, which makes its record; `registry` lists
them.
"""

import dataclasses
import functools
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import jax
import numpy as np

from astmt_jax.labels import IGNORE
from astmt_jax.metrics.metric import Metric
from astmt_jax.metrics.notation import Notation
from astmt_jax.tasks.averaging import Averaging
from astmt_jax.tasks.prediction_files import FileFormat


@dataclasses.dataclass(frozen=True)
class Choice:
    """A way to score a task that can be chosen.

    Attributes:
      value: `record -> what is chosen in it`.
      change: `(record, value) -> record` in which that is chosen; raises a ValueError where it
        cannot be.
    """

    value: Callable[["Task"], Any]
    change: Callable[["Task", Any], "Task"]


@dataclasses.dataclass(frozen=True)
class Task:
    """One dense prediction task.

    Attributes:
      name: identifier, also the key of its labels.
      channels: number of logits per pixel.
      loss: `(logits (B, H, W, channels), labels (B, H, W, c)[, whole_labels]) -> scalar`, ignoring
        label 255; with the labels of a whole batch, what a part of it adds to the batch's loss.
      loss_weight: multiplier of the loss in training.
      predict: `logits (..., H, W, channels) -> prediction (..., H, W[, c])` in the label's units.
      geometry: how augmentation moves the label, a key of `pipeline.geometries.GEOMETRIES`.
      metric: makes an accumulator; a `functools.partial` whose keywords are what can be chosen.
      notation: how each number of the metric's `result()` is written, with its unit and direction.
      headline: key of `result()` that stands for the task in tables and in the average drop.
      file: how predictions are stored.
      colorize: `(map, value_range=None) -> uint8 (H, W, 3)`, for predictions and for labels.
      truth: key of the map that the metric compares with, where it is not the training label.
      choices: name of a field of `EvaluationConfig` -> how that choice of scoring is read from the
        record, and changes it. Fields that are not named have no effect on the task.
      color_bar_unit: where colours have a scale of values, the unit ('' for none) of the colour bar
        that explains it; None where there is no scale.
      class_names: names of the classes, for class maps.
      unit_length: whether predictions are vectors of length 1.
      averaging: how several predictions of one pixel become one, of tiles, mirror images and
        scales; None where they cannot be averaged.
      title: what the field calls the task, as a heading; '' is its name.
      meaning: what a map of it shows, in a sentence for those who do not know the field.
      legend: values of a pixel, and what each means, whose colours explain all others; for maps
        without class names and without a colour bar.
    """

    name: str
    channels: int
    loss: Callable[..., jax.Array]
    loss_weight: float
    predict: Callable[[jax.Array], jax.Array]
    geometry: str
    metric: Callable[..., Metric]
    notation: Notation
    headline: str
    file: FileFormat
    colorize: Callable[..., Any]
    truth: str
    choices: Mapping[str, Choice] = dataclasses.field(default_factory=dict)
    color_bar_unit: str | None = None
    class_names: tuple[str, ...] = ()
    unit_length: bool = False
    averaging: Averaging | None = None
    title: str = ""
    meaning: str = ""
    legend: tuple[tuple[Any, str], ...] = ()

    @property
    def higher_is_better(self) -> bool:
        """Direction of the headline metric."""
        return self.notation[self.headline].higher_is_better

    def averaged_by(self) -> Averaging:
        """How several predictions become one; ValueError where they cannot."""
        if self.averaging is None:
            raise ValueError(
                f"Predictions of {self.name} cannot be averaged, which tiles, flip and scales do: "
                "the task's record has no `averaging`."
            )
        return self.averaging

    def is_labelled(self, truths: Mapping[str, np.ndarray]) -> bool:
        """Whether an image has any label for the task, given its truths after the ignore rules."""
        return bool((truths[self.name] != IGNORE).any())

    def with_metric(self, **settings: Any) -> "Task":
        """The same task, whose metric is made with these keywords."""
        return dataclasses.replace(self, metric=functools.partial(self.metric, **settings))

    def metric_setting(self, keyword: str) -> Any:
        """What the metric is made with; None where it is left to the metric."""
        return getattr(self.metric, "keywords", {}).get(keyword)


def metric_choice(keyword: str) -> Choice:
    """A choice that is a keyword of the metric and changes nothing else."""
    return Choice(
        lambda task: task.metric_setting(keyword),
        lambda task, value: task.with_metric(**{keyword: value}),
    )


def channels_by_name(tasks: Iterable[Task]) -> dict[str, int]:
    """Task name -> number of logits a pixel, as `models.network.Network` takes them."""
    return {task.name: task.channels for task in tasks}
