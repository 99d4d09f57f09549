"""Evaluation while a run trains: curves, pictures, and the best checkpoint so far."""

import pathlib
from collections.abc import Callable

from astmt_jax.evaluation.network import Evaluation
from astmt_jax.evaluation.results import notes_file
from astmt_jax.metrics.summary import AVERAGE, Results
from astmt_jax.pictures.strips import draw_strip
from astmt_jax.runtime import distributed
from astmt_jax.runtime.console import CONSOLE
from astmt_jax.tasks.task import Task
from astmt_jax.training.checkpoint import Checkpoints
from astmt_jax.training.criterion import Criterion
from astmt_jax.training.dashboard import Dashboard
from astmt_jax.training.evaluations import EVALUATIONS_FILE, Evaluations
from astmt_jax.training.experiment import Experiment, Splits
from astmt_jax.training.state import TrainedVariables, TrainState
from astmt_jax.training.tags import EVALUATION, VALIDATION
from astmt_jax.training.trained import BEST, FOLDERS, best_step

PICTURES = 4
"""Images in a strip."""


class Watch:
    """Evaluates a run after every `train.eval_every_epochs`; without that it does nothing.

    Nothing of training depends on it. An evaluation is of a state that is saved: it is on the
    dashboard first, then in evaluations.json, and then, if it is the best, its variables are. So a
    run that is killed in between and goes on from that state finds out what is left to do.

    Args:
      experiment: what is trained.
      splits: its data.
      workdir: its folder, which is claimed.

    Raises:
      SelectionError: as `Evaluations`.
    """

    def __init__(self, experiment: Experiment, splits: Splits, workdir: pathlib.Path):
        train = experiment.config.train
        self._experiment = experiment
        self._source = splits.validation or splits.evaluation
        self._is_apart = splits.validation is not None
        dataset = experiment.config.dataset
        self._split = dataset.validation_split or experiment.dataset.eval_split
        self._period = (train.eval_every_epochs or 0) * splits.steps_per_epoch
        self._last_step = train.epochs * splits.steps_per_epoch
        self._workdir = workdir
        self._evaluations = self._opened() if self._period else None

    def _opened(self) -> Evaluations:
        """What was evaluated before."""
        experiment, train = self._experiment, self._experiment.config.train
        criterion = None
        if train.best_by is not None:
            criterion = Criterion(train.best_by, experiment.tasks, experiment.baselines)
        about = experiment.scored_by | {
            "split": self._split,
            "images": self._source.length,
            "eval_every_epochs": train.eval_every_epochs,
            "best_by": train.best_by,
            "baselines": None if criterion is None else criterion.compared_with,
        }
        return Evaluations(self._workdir / EVALUATIONS_FILE, about, criterion)

    def is_due(self, step: int) -> bool:
        """Whether the state after a step is evaluated: at the end of epochs, and after the last.

        The last one is left to `finish` where that scores the same split.
        """
        if not self._period or step == 0:
            return False
        if step == self._last_step:
            return self._is_apart
        return step % self._period == 0

    def evaluate(
        self, step: int, state: TrainState, dashboard: Dashboard, check: Callable[[], None]
    ) -> None:
        """Evaluates the state after a step, which is saved, and keeps it if it is the best.

        Args:
          step: batches seen.
          state: after them.
          dashboard: that shows the evaluation.
          check: called before each batch; raises `Interrupted` to stop.

        Raises:
          Interrupted: what `check` raised; the next call goes on where this one stopped.
          SelectionError: the metric that decides is undefined.
        """
        if self._evaluations is None:
            return
        if step not in self._evaluations:
            found = self._found(state, check)
            results = found.scores.results
            if distributed.is_main():
                self._show(step, found, dashboard)
            self._evaluations.add(step, results)
            if distributed.is_main():
                self._evaluations.write()
            CONSOLE.print(self._line(step, results))
        if self._evaluations.best_step() == step != best_step(self._workdir):
            variables = TrainedVariables(state.step, state.params, state.stats, state.average)
            with Checkpoints(self._workdir, keep=1, name=FOLDERS[BEST]) as best:
                best.save(step, variables)

    def _found(self, state: TrainState, check: Callable[[], None]) -> Evaluation:
        notes = notes_file(self._workdir / EVALUATIONS_FILE)
        return self._experiment.evaluate(state, self._source, PICTURES, notes, check=check)

    def _show(self, step: int, found: Evaluation, dashboard: Dashboard) -> None:
        experiment, results = self._experiment, found.scores.results
        strips = {task.name: draw_strip(found.rows, task) for task in experiment.tasks}
        prefix = VALIDATION if self._is_apart else EVALUATION
        dashboard.evaluation(step, prefix, results, experiment.drops(results), strips)

    def _line(self, step: int, results: Results) -> str:
        """What is told of an evaluation on the terminal."""
        headlines = [_headline(task, results) for task in self._experiment.tasks]
        drops = self._experiment.drops(results)
        if drops:
            headlines.append(f"average drop {drops[AVERAGE]:.1f}%")
        is_best = self._evaluations is not None and self._evaluations.best_step() == step
        best = ", the best so far" * is_best
        return f"after step {step}, on {self._split}{best}: {', '.join(headlines)}"


def _headline(task: Task, results: Results) -> str:
    metric = task.notation[task.headline]
    return f"{task.name} {metric.label} {metric.write(results[task.name][task.headline])}"
