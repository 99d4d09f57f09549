"""The paper's comparison in one command: single-task networks, multi-task learning, ASTMT.

    python -m astmt_jax.compare --config=configs/scenes.py:size=small --workdir=DIR [--seeds=3]

Trains and scores every method (`comparison/methods.py` says which) with several seeds. Each run has
a folder of its own in DIR, as `astmt_jax.main` makes it. Finished runs are never repeated, and an
interrupted one goes on from its newest checkpoint: the same command continues, and with more seeds
it adds them.
"""

import gc
import pathlib
import sys

import jax
from absl import app, flags, logging

from astmt_jax import train
from astmt_jax.checkpoint import CONFIG_FILE, check_workdir, recorded_config
from astmt_jax.command_line import CONFIG, parse_flags
from astmt_jax.comparison.methods import Method, Run, methods, runs
from astmt_jax.config import from_config_dict
from astmt_jax.progress import CONSOLE
from astmt_jax.weight_files import WeightsError

# Other commands have a folder, too; they meet in one process only in tests.
WORKDIR = flags.DEFINE_string("workdir", None, "Folder of the comparison.", allow_override=True)
SEEDS = flags.DEFINE_integer("seeds", 3, "How many seeds, from config.seed on.", lower_bound=1)


def check(planned: list[Run], workdir: pathlib.Path) -> None:
    """Finds out before anything is trained whether all can be; prepares the dataset if need be.

    Raises:
      ValueError: a network cannot be built, or a folder holds a run with other settings.
      FileNotFoundError: the dataset has to be prepared first.
    """
    for run in planned:
        check_workdir(workdir / run.folder, run.config)
    seed = planned[0].config.seed
    for run in planned:
        if run.config.seed == seed:
            experiment = train.Experiment(run.config)
    experiment.open_splits()


def is_finished(run: Run, workdir: pathlib.Path) -> bool:
    """Whether a run has results, scored with the configuration's choices."""
    folder = workdir / run.folder
    if not (folder / train.RESULTS_FILE).exists() or not (folder / CONFIG_FILE).exists():
        return False
    return recorded_config(folder).evaluation == run.config.evaluation


def execute(run: Run, workdir: pathlib.Path) -> None:
    """Trains and scores one network, or what is left of it to do.

    Raises:
      FloatingPointError: a loss stopped being finite.
      WeightsError: weights to start from cannot be used.
    """
    folder = workdir / run.folder
    (folder / train.RESULTS_FILE).unlink(missing_ok=True)  # scored with other choices
    experiment = train.Experiment(run.config)
    train.train(experiment, experiment.open_splits(), folder)


def compare(compared: tuple[Method, ...], planned: list[Run], workdir: pathlib.Path) -> None:
    """Does all runs that are not finished."""
    for number, run in enumerate(planned, 1):
        if is_finished(run, workdir):
            continue
        CONSOLE.rule(f"Run {number} of {len(planned)}: {run.folder}")
        execute(run, workdir)
        jax.clear_caches()  # compiled functions of a network that is not needed again
        gc.collect()


def main(argv: list[str]) -> None:
    logging.set_verbosity(logging.ERROR)  # libraries' chatter would bury the progress
    if len(argv) > 1:
        sys.exit(f"Error: Unexpected arguments: {' '.join(argv[1:])}.")
    workdir = pathlib.Path(WORKDIR.value)
    try:
        compared = methods(from_config_dict(CONFIG.value))
        planned = list(runs(compared, SEEDS.value))
        check(planned, workdir)
        compare(compared, planned, workdir)
    except (ValueError, FileNotFoundError, FloatingPointError, WeightsError) as error:
        sys.exit(f"Error: {error}")
    except KeyboardInterrupt:
        sys.exit("Interrupted: the same command goes on where it stopped.")


if __name__ == "__main__":
    flags.mark_flags_as_required(["config", "workdir"])
    app.run(main, flags_parser=parse_flags)
