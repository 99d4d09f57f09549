"""By what the best checkpoint of a run is chosen, and which settings do not fit that."""

import dataclasses
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from astmt_jax.config import Config
from astmt_jax.metrics.summary import AVERAGE, Results, average_drop
from astmt_jax.records import shown
from astmt_jax.tasks.task import Task

if TYPE_CHECKING:
    from astmt_jax.pipeline.source import Source  # which loads TensorFlow

AVERAGE_DROP = "average_drop"


class SelectionError(ValueError):
    """No best checkpoint can be chosen; says why in one sentence."""


@dataclasses.dataclass(frozen=True)
class Criterion:
    """One number of a run's results.

    Attributes:
      name: 'TASK.METRIC' or `AVERAGE_DROP`, of which less is better.
      tasks: of the run.
      baselines: results of single-task networks; needed for the average drop only.
    """

    name: str
    tasks: Sequence[Task]
    baselines: Results | None

    @property
    def compared_with(self) -> Results | None:
        """The baselines, where the number depends on them."""
        return self.baselines if self.name == AVERAGE_DROP else None

    def value(self, results: Results) -> float:
        """The number, in the metric's own unit; of the drop in percent."""
        if self.name == AVERAGE_DROP:
            return average_drop(results, self.baselines or {}, self.tasks)[AVERAGE]
        task, _, metric = self.name.partition(".")
        return results[task][metric]

    def best(self, values: Sequence[float]) -> int:
        """Which of the values is the best, the first of equal ones.

        Raises:
          SelectionError: one is undefined.
        """
        if any(map(math.isnan, values)):
            raise SelectionError(
                f"train.best_by is {self.name!r}, which is undefined on dataset.validation_split: "
                "choose a split with labels for it, or another metric."
            )
        better = max if self.higher_is_better else min
        return values.index(better(values))

    @property
    def higher_is_better(self) -> bool:
        """Direction of the number."""
        if self.name == AVERAGE_DROP:
            return False
        name, _, metric = self.name.partition(".")
        (task,) = (task for task in self.tasks if task.name == name)
        return task.notation[metric].higher_is_better


def check_settings(config: Config, tasks: Sequence[Task]) -> None:
    """Checks what is set about evaluation during training.

    Raises:
      ValueError: there is nothing to choose among or on, or no such metric.
    """
    train, split = config.train, config.dataset.validation_split
    if train.eval_every_epochs is None:
        needless = {"train.best_by": train.best_by, "dataset.validation_split": split}
        for name, value in needless.items():
            if value:
                raise ValueError(
                    f"{name} is {shown(value)}, but train.eval_every_epochs is None, so that "
                    "nothing is evaluated during training: set it, too."
                )
    if train.best_by is None:
        return
    known = {f"{task.name}.{metric}" for task in tasks for metric in task.notation}
    if train.best_by not in {AVERAGE_DROP, *known}:
        headlines = ", ".join(f"{task.name}.{task.headline}" for task in tasks)
        raise ValueError(
            f"train.best_by is {shown(train.best_by)}, but must be {AVERAGE_DROP} or a task's "
            f"metric, such as {headlines}."
        )
    if train.best_by == AVERAGE_DROP and train.baselines is None:
        raise ValueError(
            "train.best_by is average_drop, which needs the results of single-task networks: name "
            "them by train.baselines."
        )
    if not split:
        raise ValueError(
            f"train.best_by is {train.best_by}, but dataset.validation_split is not set: a "
            "checkpoint that is chosen on the split that is reported has a score that is too good. "
            "Leave out a part of the training split, such as --config.dataset.train_split="
            "'train[:90%]' --config.dataset.validation_split='train[90%:]'."
        )


def check_apart(validation: "Source", training: "Source", evaluation: "Source") -> None:
    """Checks that a checkpoint is chosen on images that it neither learnt nor is scored on.

    Raises:
      ValueError: the splits share images; says how many.
    """
    for other, role, remedy in (
        (evaluation, "reported", "a checkpoint chosen on it has a score that is too good"),
        (training, "trained on", "the best checkpoint would be the one that knows it by heart"),
    ):
        count = validation.shared_with(other)
        if count:
            raise ValueError(
                f"dataset.validation_split, {validation.name}, shares {count} of its images with "
                f"{other.name}, which is {role}: {remedy}. Choose splits apart, such as "
                "'train[:90%]' and 'train[90%:]', or leave out train.best_by."
            )
