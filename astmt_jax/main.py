"""Trains and evaluates: `python -m astmt_jax.main --config=configs/scenes.py [--workdir=DIR]`."""

from astmt_jax.runtime import allocator

if __name__ == "__main__":
    allocator.use()

import contextlib
import pathlib

from absl import flags
from ml_collections import config_flags

from astmt_jax.command_line import config_flag
from astmt_jax.command_line.errors import fail, resumable
from astmt_jax.config import Config
from astmt_jax.files import storage
from astmt_jax.runtime import compilation_cache, distributed
from astmt_jax.runtime.console import CONSOLE
from astmt_jax.runtime.profiling import Hook, trace_hook
from astmt_jax.training import finish, loop
from astmt_jax.training.errors import TRAINING_ERRORS
from astmt_jax.training.exclusive import training_in
from astmt_jax.training.experiment import Experiment, Splits
from astmt_jax.training.trained import FOLDERS
from astmt_jax.training.workdir import as_begun, check_workdir, imported_settings

PROFILE = "profile"
"""Folder of the traces, in that of the run."""

WORKDIR = config_flag.define_path(
    "workdir", "Folder of the run (default: runs/ and the configuration's name)."
)
MODE = flags.DEFINE_enum(
    "mode", "train", ["train", "eval"], "'eval' scores a checkpoint and does not train."
)
SCORE = flags.DEFINE_enum(
    "score",
    None,
    list(FOLDERS),
    "With --mode=eval: which checkpoint (default: best with config.train.best_by, else last).",
)
SAVE_PREDICTIONS = config_flag.define_path(
    "save_predictions", "With --mode=eval: new folder for the predictions."
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


def settings(workdir: pathlib.Path) -> Config:
    """The settings of a run in `workdir`.

    What imported weights depend on, such as the scaling of the input, comes with them, unless the
    command line sets it.

    Raises:
      ValueError: as `from_config_dict`.
    """
    imported = imported_settings(workdir)
    for field, value in imported.items():
        if not config_flag.sets(field):
            CONSOLE.print(f"The weights imported into {workdir} need config.{field}={value}.")
    return as_begun(workdir, config_flag.settings(imported))


def main(argv: list[str]) -> None:
    """Runs the command on parsed flags."""
    del argv
    workdir = WORKDIR.value or default_workdir(
        config_flags.get_config_filename(flags.FLAGS["config"])
    )
    compilation_cache.enable(COMPILATION_CACHE.value)
    with distributed.ending_together(), resumable(workdir, *TRAINING_ERRORS):
        _run(workdir)


def _run(workdir: pathlib.Path) -> None:
    """Trains or evaluates; settings that do not fit end the program with one sentence."""
    if SAVE_PREDICTIONS.value is not None and MODE.value != "eval":
        fail("--save_predictions goes with --mode=eval, which scores a checkpoint.")
    if SCORE.value is not None and MODE.value != "eval":
        fail("--score goes with --mode=eval; config.train.best_by decides after training.")
    with contextlib.ExitStack() as stack:
        try:
            distributed.initialize(COORDINATOR.value, NUM_PROCESSES.value, PROCESS_ID.value)
            if MODE.value == "train":
                stack.enter_context(training_in(workdir))
            experiment, splits, profile = _opened(workdir)
        except ValueError as error:
            fail(str(error))
        if MODE.value == "train":
            loop.train(experiment, splits, workdir, profile)
        else:
            finish.evaluate_checkpoint(
                experiment, splits, workdir, SAVE_PREDICTIONS.value, SCORE.value
            )


def _opened(workdir: pathlib.Path) -> tuple[Experiment, Splits, Hook | None]:
    """The experiment, its data, and what traces its steps; ValueError if they do not fit."""
    experiment = Experiment(settings(workdir))
    check_workdir(workdir, experiment.config)
    experiment.check_watching()
    if MODE.value == "train":
        experiment.check_training()
    with distributed.main_process_first():
        splits = experiment.open_splits()
    num_steps = splits.steps_per_epoch * experiment.config.train.epochs
    profile = trace_hook(PROFILE_STEPS.value, num_steps, workdir / PROFILE)
    storage.refuse_links(workdir / PROFILE)
    return experiment, splits, profile


if __name__ == "__main__":
    config_flag.run(main)
