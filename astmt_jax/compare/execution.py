"""Does the runs of a comparison, one after the other in one process."""

import gc
import pathlib
import time
from collections.abc import Iterator, Mapping

import jax

from astmt_jax.compare.methods import Run
from astmt_jax.compare.time_left import TimeLeft
from astmt_jax.evaluation.results import RESULTS_FILE
from astmt_jax.runtime.console import CONSOLE, format_duration
from astmt_jax.training import loop
from astmt_jax.training.errors import TRAINING_ERRORS
from astmt_jax.training.exclusive import training_in
from astmt_jax.training.experiment import Experiment
from astmt_jax.training.workdir import CONFIG_FILE, check_workdir, recorded_config


def check_folders(planned: tuple[Run, ...], workdir: pathlib.Path) -> None:
    """Checks that the runs may be made in their folders.

    Raises:
      ValueError: a run's folder holds a run with other settings, naming them.
      FileExistsError: it is a link to another folder.
    """
    for run in planned:
        for folder in (workdir / run.folder, (workdir / run.folder).parent):
            if folder.is_symlink():
                raise FileExistsError(
                    f"{folder} is a link, and what lies behind it could be overwritten: remove it."
                )
        check_workdir(workdir / run.folder, run.config)


def finished(planned: tuple[Run, ...], workdir: pathlib.Path) -> tuple[Run, ...]:
    """The runs that have results, scored with their configuration's choices."""
    return tuple(run for run in planned if _is_finished(run, workdir / run.folder))


def _is_finished(run: Run, folder: pathlib.Path) -> bool:
    if not ((folder / RESULTS_FILE).exists() and (folder / CONFIG_FILE).exists()):
        return False
    return recorded_config(folder).evaluation == run.config.evaluation


def execute(
    planned: tuple[Run, ...], workdir: pathlib.Path, multiply_adds: Mapping[str, int]
) -> Iterator[Run]:
    """Does all runs that are not finished; yields each when it is.

    Args:
      planned: all runs, in order.
      workdir: the comparison's folder, in which each has its own.
      multiply_adds: of every network, by the name of its runs' folders, to estimate the time left.

    Raises:
      FileNotFoundError: the dataset has to be prepared first.
      ValueError: it does not fit the configuration.
      FloatingPointError: a loss stopped being finite.
      WeightsError: weights to start from cannot be used.
    """
    done = finished(planned, workdir)
    waiting = [run for run in planned if run not in done]
    time_left = TimeLeft(multiply_adds)
    for index, run in enumerate(waiting):
        left = time_left.of(other.folder.name for other in waiting[index:])
        about = "" if left is None else f", about {format_duration(left)} left"
        CONSOLE.rule(f"Run {len(done) + index + 1} of {len(planned)}: {run.folder}{about}")
        is_new, start = not (workdir / run.folder).exists(), time.perf_counter()
        _train(run, workdir / run.folder)
        if is_new:
            time_left.add(run.folder.name, time.perf_counter() - start)
        yield run


def _train(run: Run, folder: pathlib.Path) -> None:
    """Trains and scores one network, or does what is left of that."""
    try:
        with training_in(folder):
            (folder / RESULTS_FILE).unlink(missing_ok=True)  # scored with other choices
            experiment = Experiment(run.config)
            loop.train(experiment, experiment.open_splits(), folder)
    except TRAINING_ERRORS as error:
        raise type(error)(f"{run.folder}: {error}") from error
    _free_memory()


def _free_memory() -> None:
    """Forgets what was compiled for a network that is not needed again."""
    jax.clear_caches()
    gc.collect()
