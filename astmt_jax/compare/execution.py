"""Does the runs of a comparison one after the other; several processes may share the work."""

import contextlib
import gc
import pathlib
import time
from collections.abc import Iterator, Mapping

import jax

from astmt_jax.compare.methods import Run
from astmt_jax.compare.time_left import TimeLeft
from astmt_jax.evaluation.results import RESULTS_FILE
from astmt_jax.runtime import distributed
from astmt_jax.runtime.console import CONSOLE, format_duration
from astmt_jax.training import loop
from astmt_jax.training.errors import TRAINING_ERRORS
from astmt_jax.training.exclusive import InUseError, training_in
from astmt_jax.training.experiment import Experiment
from astmt_jax.training.workdir import CONFIG_FILE, check_workdir, recorded_config

WAIT_S = 5.0
"""Between looks at the runs that other processes do."""


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


def check_training(planned: tuple[Run, ...], workdir: pathlib.Path) -> None:
    """Checks that the networks that are left can be built and trained in such batches here.

    Raises:
      ValueError: as `Experiment` and `Experiment.check_training`, before anything starts.
    """
    left = {run.folder.name: run.config for run in _unfinished(planned, workdir)}
    for config in left.values():
        Experiment(config).check_training()


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

    A run that another process does is left to that process: when nothing else is left, this one
    waits for it, and goes on with the run if the other ends before its end.

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
    time_left = TimeLeft(multiply_adds)
    waiting, shown = _unfinished(planned, workdir), ()
    while waiting:
        taken = False
        for run in waiting:
            with contextlib.ExitStack() as stack:
                if not distributed.agreed(_claim(run, workdir, stack)):
                    continue
                taken = True
                _do(run, planned, workdir, time_left)
            yield run
        waiting = _unfinished(planned, workdir)
        if waiting and not taken:
            if waiting != shown:
                CONSOLE.print(f"Waiting for runs that other processes do: {_names(waiting)}")
            shown = waiting
            time.sleep(WAIT_S)


def _unfinished(planned: tuple[Run, ...], workdir: pathlib.Path) -> tuple[Run, ...]:
    """What is left, as the main process sees it."""
    done = finished(planned, workdir)
    return tuple(run for run in planned if not distributed.agreed(run in done))


def _claim(run: Run, workdir: pathlib.Path, stack: contextlib.ExitStack) -> bool:
    """Whether the run is this process's to do, from now to the end of the stack."""
    if _is_finished(run, workdir / run.folder):
        return False
    try:
        stack.enter_context(training_in(workdir / run.folder))
    except InUseError:
        return False
    return not _is_finished(run, workdir / run.folder)  # by who held it until now


def _do(run: Run, planned: tuple[Run, ...], workdir: pathlib.Path, time_left: TimeLeft) -> None:
    """Trains and scores one network, or does what is left of that, and learns how long it takes."""
    waiting = _unfinished(planned, workdir)
    left = time_left.of(other.folder.name for other in waiting)
    about = "" if left is None else f", about {format_duration(left)} left"
    number = len(planned) - len(waiting) + 1
    CONSOLE.rule(f"Run {number} of {len(planned)}: {run.folder}{about}")
    folder = workdir / run.folder
    is_new, start = not (folder / CONFIG_FILE).exists(), time.perf_counter()
    try:
        (folder / RESULTS_FILE).unlink(missing_ok=True)  # scored with other choices
        experiment = Experiment(run.config)
        loop.train(experiment, experiment.open_splits(), folder)
    except TRAINING_ERRORS as error:
        raise type(error)(f"{run.folder}: {error}") from error
    _free_memory()
    if is_new:
        time_left.add(run.folder.name, time.perf_counter() - start)


def _names(waiting: tuple[Run, ...]) -> str:
    more = f" and {len(waiting) - 3} more" if len(waiting) > 3 else ""
    return ", ".join(str(run.folder) for run in waiting[:3]) + more


def _free_memory() -> None:
    """Forgets what was compiled for a network that is not needed again."""
    jax.clear_caches()
    gc.collect()
