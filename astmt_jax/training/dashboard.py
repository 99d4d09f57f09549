"""What a run shows while it trains and at its end: lines on the terminal, TensorBoard's curves."""

import pathlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from flax import traverse_util

from astmt_jax.config import Config
from astmt_jax.datasets import registry
from astmt_jax.metrics.summary import Results
from astmt_jax.runtime import distributed
from astmt_jax.runtime.monitoring import InputClock, device_memory
from astmt_jax.runtime.quiet_clu import metric_writers
from astmt_jax.tasks.task import Task
from astmt_jax.training.averages import Averages
from astmt_jax.training.objective import Batch
from astmt_jax.training.progress import Progress
from astmt_jax.training.schedules import Schedule
from astmt_jax.training.tags import EVALUATION, descriptions, drop_tag, headline_tag, metric_tag
from astmt_jax.training.tensorboard import TensorBoard
from astmt_jax.training.trackers import Tracker, started, status_after
from astmt_jax.training.update import TaskMetrics


class Dashboard:
    """Everything that is reported of a run; a context that closes what it is written to.

    Only the main process writes.

    Args:
      workdir: the run's folder.
      config: its settings.
      tasks: of the run.

    Raises:
      TrackerError: one of `train.trackers` cannot be used.
    """

    def __init__(self, workdir: pathlib.Path, config: Config, tasks: Sequence[Task]):
        self._config = config
        self._tasks = tasks
        writers: list[metric_writers.MetricWriter] = []
        self._trackers: list[Tracker] = []
        if distributed.is_main():
            known = _known_tasks(config, tasks)
            scores = {headline_tag(EVALUATION, task): _headline(task) for task in known}
            writers.append(TensorBoard(workdir, descriptions(known), scores))
            self._trackers = started(config.train.trackers, workdir)
            writers += self._trackers
        self._writer = metric_writers.AsyncMultiWriter(writers)

    def __enter__(self) -> "Dashboard":
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        for tracker in self._trackers:
            tracker.status = status_after(error)
        self._writer.close()

    def settings(self) -> None:
        """Shows the settings, as 'train.epochs' -> value in types that TensorBoard takes."""
        flat = traverse_util.flatten_dict(self._config.to_dict(), sep=".")
        self._writer.write_hparams(
            {
                name: value if isinstance(value, bool | int | float) else str(value)
                for name, value in flat.items()
            }
        )

    def training(
        self, first_step: int, num_steps: int, images: int, learning_rate: Schedule
    ) -> "TrainingReport":
        """What to tell of the steps `first_step` + 1 to `num_steps`, of `images` each."""
        names = self._config.learning_tasks
        return TrainingReport(self._writer, names, first_step, num_steps, images, learning_rate)

    def evaluation(
        self,
        step: int,
        prefix: str,
        results: Results,
        drops: Mapping[str, float],
        strips: Mapping[str, np.ndarray],
    ) -> None:
        """Shows an evaluation, and returns once that is on its way to disk.

        Args:
          step: batches seen.
          prefix: `EVALUATION` or `VALIDATION`, which the names of its numbers begin with.
          results: task -> metric -> value.
          drops: task, or 'average', to the drop in percent; empty without baselines.
          strips: task -> a picture, uint8 (H, W, 3).
        """
        scalars = {
            metric_tag(prefix, task, metric): value
            for task, values in results.items()
            for metric, value in values.items()
        }
        for task in self._tasks:
            scalars[headline_tag(prefix, task)] = results[task.name][task.headline]
        for name, value in drops.items():
            scalars[drop_tag(prefix, name)] = value
        self._writer.write_scalars(step, scalars)
        self._writer.write_images(
            step, {f"{prefix}_pictures/{task}": strip[None] for task, strip in strips.items()}
        )
        self._writer.flush()

    def panels(self, step: int, picture: np.ndarray) -> None:
        """Shows panels.png, uint8 (H, W, 3)."""
        self._writer.write_images(step, {"panels": picture[None]})


def _known_tasks(config: Config, tasks: Sequence[Task]) -> list[Task]:
    """The tasks of a run, and then those of its dataset that other runs beside it may have.

    TensorBoard compares all runs by the scores that one of them names.
    """
    known = registry.find(config.dataset.name).tasks(config.dataset.options)
    return [*tasks, *(task for name, task in known.items() if name not in config.tasks)]


def _headline(task: Task) -> str:
    """What the number that stands for a task is called."""
    return f"{task.name} {task.notation[task.headline].title}"


class TrainingReport:
    """Losses, speed and time of training, as lines on the terminal and as curves.

    Args:
      writer: of the curves.
      names: of the tasks that are trained.
      first_step: batches seen before.
      num_steps: batches of the whole training.
      images: in a batch.
      learning_rate: of the step.
    """

    def __init__(
        self,
        writer: metric_writers.MetricWriter,
        names: tuple[str, ...],
        first_step: int,
        num_steps: int,
        images: int,
        learning_rate: Schedule,
    ):
        self._writer = writer
        self._images = images
        self._learning_rate = learning_rate
        self._averages = Averages(names)
        self._progress = Progress(first_step, num_steps, images)
        self._clock = InputClock()

    def restart(self, step: int) -> None:
        """Leaves out of the speed what came before `step`: a compilation or an evaluation."""
        self._progress.restart(step)
        self._clock.take()

    def timed(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """The batches; how long each takes to come is counted."""
        return self._clock.timed(batches)

    def add(self, step: int, metrics: TaskMetrics) -> None:
        """Takes the metrics of the batch that led to `step`; errors as `Averages.add`."""
        self._averages.add(step, metrics)

    def check(self) -> None:
        """Raises FloatingPointError if a metric of the steps so far is not finite."""
        self._averages.flush()

    def write(self, step: int) -> None:
        """Reports the steps since the last call: every number of the dashboard is made here."""
        by_task, together = self._averages.take()
        speed = self._progress.report(step, by_task["loss"])
        scalars: dict[str, Any] = {
            **traverse_util.flatten_dict(by_task, sep="/"),
            **together,
            "learning_rate": float(self._learning_rate(np.float32(step - 1))),
            "images_per_second": speed,
            "step_seconds": self._images / speed,
            "input_wait_fraction": self._clock.take(),
            **device_memory(),
        }
        self._writer.write_scalars(step, scalars)
