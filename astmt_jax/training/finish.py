"""The end of a run: its scores, as a table, in results.json, and as pictures."""

import pathlib
from collections.abc import Mapping
from typing import Any, NamedTuple

from astmt_jax.evaluation import tables
from astmt_jax.evaluation.results import RESULTS_FILE, notes_file, write_results
from astmt_jax.metrics.summary import Results
from astmt_jax.pictures import panels
from astmt_jax.pictures.strips import draw_strip
from astmt_jax.pipeline.source import Source
from astmt_jax.runtime import distributed
from astmt_jax.runtime.console import CONSOLE
from astmt_jax.training.dashboard import Dashboard
from astmt_jax.training.evaluations import EVALUATIONS_FILE, recorded_choice
from astmt_jax.training.experiment import Experiment, Splits
from astmt_jax.training.state import TrainedVariables, TrainState
from astmt_jax.training.tags import EVALUATION
from astmt_jax.training.trained import BEST, LAST, restore_variables, standing
from astmt_jax.training.workdir import recorded_config

PANELS_FILE = "panels.png"
PANEL_ROWS = 4


class Scored(NamedTuple):
    """What is scored.

    Attributes:
      variables: of the checkpoint.
      about: which checkpoint it is and how it was chosen, as results.json says it.
    """

    variables: TrainState | TrainedVariables
    about: Mapping[str, Any]


def scored_checkpoint(
    experiment: Experiment,
    workdir: pathlib.Path,
    last: TrainState | None = None,
    which: str | None = None,
) -> Scored:
    """A checkpoint of a run, to be scored.

    Args:
      experiment: what was trained.
      workdir: the run's folder.
      last: the state of the last one, where it is at hand.
      which: `LAST` or `BEST`; None is the one that stands for the run.

    Raises:
      FileNotFoundError: there is no such checkpoint.
      CheckpointError: it cannot be read.
      SelectionError: how the best one was chosen cannot be read, or it is gone.
    """
    which = which or standing(workdir, experiment.config)
    if which == LAST and last is not None:
        return Scored(last, {"checkpoint": LAST})
    variables = restore_variables(
        workdir, experiment.config, experiment.network, experiment.placement.replicated, which
    )
    if which == LAST:
        return Scored(variables, {"checkpoint": LAST})
    choice = recorded_choice(workdir / EVALUATIONS_FILE)
    if choice.get("step") != int(variables.step):
        raise FileNotFoundError(
            f"{workdir} is not done with saving its best checkpoint, that of step "
            f"{choice.get('step')}: the command that trains it goes on with that."
        )
    return Scored(variables, {"checkpoint": BEST, "chosen_by": choice})


def finish(
    experiment: Experiment,
    source: Source,
    scored: Scored,
    workdir: pathlib.Path,
    dashboard: Dashboard,
    save_to: pathlib.Path | None = None,
) -> Results:
    """Evaluates, prints the table, and writes results.json, panels.png and predictions.

    Args:
      experiment: what was trained.
      source: on what it is scored.
      scored: what training came to.
      workdir: the run's folder.
      dashboard: that shows the results, too.
      save_to: new or empty folder for the predictions, in the layout of `astmt_jax.evaluate`.
    """
    notes = notes_file(workdir / RESULTS_FILE)
    step = int(scored.variables.step)
    evaluation = experiment.evaluate(scored.variables, source, PANEL_ROWS, notes, save_to)
    results = evaluation.scores.results
    if not distributed.is_main():
        return results
    scored_by = experiment.scored_by
    about = {
        "dataset": scored_by["dataset"],
        "split": experiment.dataset.eval_split,
        "images": source.length,
        "step": step,
        **scored.about,
        **scored_by,
    }
    write_results(workdir / RESULTS_FILE, evaluation.scores, about)
    picture = panels.draw(evaluation.rows, experiment.tasks, workdir / PANELS_FILE)
    CONSOLE.print(tables.result_table(results, experiment.tasks))
    CONSOLE.print(f"Results: {workdir / RESULTS_FILE}   Pictures: {workdir / PANELS_FILE}")
    strips = {task.name: draw_strip(evaluation.rows, task) for task in experiment.tasks}
    dashboard.evaluation(step, EVALUATION, results, experiment.drops(results), strips)
    dashboard.panels(step, picture)
    return results


def evaluate_checkpoint(
    experiment: Experiment,
    splits: Splits,
    workdir: pathlib.Path,
    save_to: pathlib.Path | None = None,
    which: str | None = None,
) -> Results:
    """Scores a checkpoint in `workdir` and writes what training writes at its end.

    Args:
      experiment: what was trained.
      splits: its data.
      workdir: its folder.
      save_to: as in `finish`.
      which: as in `scored_checkpoint`.

    Raises:
      FileNotFoundError: there is no run, or no such checkpoint.
      CheckpointError: no checkpoint can be read.
      SelectionError: as `scored_checkpoint`.
      TrackerError: a tracker cannot be started.
      FileExistsError: the folder for the predictions holds something.
    """
    recorded_config(workdir)
    if save_to is not None and save_to.exists() and any(save_to.iterdir()):
        raise FileExistsError(f"{save_to} is not empty: choose a new folder for the predictions.")
    scored = scored_checkpoint(experiment, workdir, which=which)
    with Dashboard(workdir, experiment.config, experiment.tasks) as dashboard:
        return finish(experiment, splits.evaluation, scored, workdir, dashboard, save_to)
