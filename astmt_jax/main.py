"""Trains and evaluates: `python -m astmt_jax.main --config=configs/scenes.py [--workdir=DIR]`."""

import pathlib
import sys

from absl import app, flags, logging

from astmt_jax.command_line import parse_flags, require_config, resumable, settings
from astmt_jax.runtime import compilation_cache, distributed
from astmt_jax.runtime.profiling import trace_hook
from astmt_jax.training import finish, loop
from astmt_jax.training.experiment import Experiment
from astmt_jax.training.workdir import check_workdir

WORKDIR = flags.DEFINE_string(
    "workdir", None, "Folder of the run (default: runs/ and the configuration's name)."
)
MODE = flags.DEFINE_enum(
    "mode", "train", ["train", "eval"], "'eval' scores the newest checkpoint and does not train."
)
SAVE_PREDICTIONS = flags.DEFINE_string(
    "save_predictions", None, "With --mode=eval: new folder for the predictions."
)
PROFILE_STEPS = flags.DEFINE_string(
    "profile_steps", None, "START:STOP, steps whose trace goes to the run's folder, profile/."
)
COMPILATION_CACHE = flags.DEFINE_string(
    "compilation_cache",
    None,
    "Folder that keeps compiled programs (default: JAX_COMPILATION_CACHE_DIR or, in the user's "
    "cache folder, astmt_jax/compiled); empty for none.",
)
COORDINATOR = flags.DEFINE_string(
    "coordinator_address",
    None,
    "HOST:PORT of process 0, for several processes where JAX does not detect the cluster itself.",
)
NUM_PROCESSES = flags.DEFINE_integer(
    "num_processes", None, "How many processes there are; 1 detects no cluster."
)
PROCESS_ID = flags.DEFINE_integer("process_id", None, "Which of them this one is, from 0.")


def default_workdir(config_file: str) -> pathlib.Path:
    """runs/NAME for configs/NAME.py, and runs/NAME-VARIANT for configs/NAME.py:VARIANT."""
    path, _, variant = config_file.partition(":")
    name = pathlib.Path(path).stem
    return pathlib.Path("runs") / (f"{name}-{variant}" if variant else name)


def main(argv: list[str]) -> None:
    logging.set_verbosity(logging.ERROR)  # libraries' chatter would bury the progress
    if len(argv) > 1:
        raise app.UsageError(f"Unexpected arguments: {' '.join(argv[1:])}.")
    workdir = pathlib.Path(WORKDIR.value or default_workdir(flags.FLAGS["config"].config_filename))
    compilation_cache.enable(COMPILATION_CACHE.value)
    with distributed.ending_together(), resumable(workdir):
        _run(workdir)


def _run(workdir: pathlib.Path) -> None:
    """Trains or evaluates; settings that do not fit end the program with one sentence."""
    try:
        distributed.initialize(COORDINATOR.value, NUM_PROCESSES.value, PROCESS_ID.value)
        experiment = Experiment(settings(workdir))
        check_workdir(workdir, experiment.config)
        with distributed.main_process_first():
            splits = experiment.open_splits()
        num_steps = splits.steps_per_epoch * experiment.config.train.epochs
        profile = trace_hook(PROFILE_STEPS.value, num_steps, workdir / "profile")
    except ValueError as error:
        sys.exit(f"Error: {error}")
    if MODE.value == "train":
        loop.train(experiment, splits, workdir, profile)
    else:
        save_to = SAVE_PREDICTIONS.value and pathlib.Path(SAVE_PREDICTIONS.value)
        finish.evaluate_checkpoint(experiment, splits, workdir, save_to)


if __name__ == "__main__":
    require_config()
    app.run(main, flags_parser=parse_flags)
