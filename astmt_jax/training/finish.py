"""The end of a run: its scores, as a table, in results.json, and as a picture."""

import pathlib

import jax

from astmt_jax.evaluation import tables
from astmt_jax.evaluation.results import RESULTS_FILE, notes_file, write_results
from astmt_jax.evaluation.scoring import conventions
from astmt_jax.pictures import panels
from astmt_jax.pipeline.source import Source
from astmt_jax.runtime import distributed
from astmt_jax.runtime.console import CONSOLE
from astmt_jax.training.checkpoint import restore_variables
from astmt_jax.training.dashboard import Dashboard
from astmt_jax.training.experiment import Experiment, Splits
from astmt_jax.training.state import TrainedVariables, TrainState
from astmt_jax.training.workdir import recorded_config

PANELS_FILE = "panels.png"
PANEL_ROWS = 4

Results = dict[str, dict[str, float]]
"""Task name -> metric -> value."""


def finish(
    experiment: Experiment,
    source: Source,
    variables: TrainState | TrainedVariables,
    workdir: pathlib.Path,
    dashboard: Dashboard,
    save_to: pathlib.Path | None = None,
) -> Results:
    """Evaluates, prints the table, and writes results.json, panels.png and predictions.

    Args:
      experiment: what was trained.
      source: on what it is scored.
      variables: what training came to.
      workdir: the run's folder.
      dashboard: that shows the results, too.
      save_to: new or empty folder for the predictions, in the layout of `astmt_jax.evaluate`.
    """
    notes = notes_file(workdir / RESULTS_FILE)
    if not distributed.is_main():
        notes = notes.with_name(f"{notes.name}-{jax.process_index()}")
    evaluation = experiment.evaluate(variables, source, PANEL_ROWS, notes, save_to)
    results = evaluation.scores.results
    if not distributed.is_main():
        return results
    about = {
        "dataset": experiment.config.dataset.name,
        "split": experiment.dataset.eval_split,
        "images": source.length,
        "step": int(variables.step),
        "quantized": experiment.config.evaluation.quantize,
        **conventions(experiment.config.evaluation, experiment.tasks),
    }
    write_results(workdir / RESULTS_FILE, evaluation.scores, about)
    picture = panels.draw(evaluation.rows, experiment.tasks, workdir / PANELS_FILE)
    CONSOLE.print(tables.result_table(results, experiment.tasks))
    CONSOLE.print(f"Results: {workdir / RESULTS_FILE}   Pictures: {workdir / PANELS_FILE}")
    dashboard.results(int(variables.step), results, picture)
    return results


def evaluate_checkpoint(
    experiment: Experiment,
    splits: Splits,
    workdir: pathlib.Path,
    save_to: pathlib.Path | None = None,
) -> Results:
    """Scores the newest checkpoint in `workdir` and writes what training writes at its end.

    Args:
      experiment: what was trained.
      splits: its data.
      workdir: its folder.
      save_to: as in `finish`.

    Raises:
      FileNotFoundError: there is no run, or no checkpoint.
      CheckpointError: no checkpoint can be read.
      FileExistsError: the folder for the predictions holds something.
    """
    recorded_config(workdir)
    if save_to is not None and save_to.exists() and any(save_to.iterdir()):
        raise FileExistsError(f"{save_to} is not empty: choose a new folder for the predictions.")
    variables = restore_variables(
        workdir, experiment.config, experiment.network, experiment.placement.replicated
    )
    with Dashboard(workdir, experiment.config) as dashboard:
        return finish(experiment, splits.evaluation, variables, workdir, dashboard, save_to)
