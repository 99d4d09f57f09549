"""Trains and evaluates: `python -m astmt_jax.main --config=configs/scenes.py [--workdir=DIR]`."""

import pathlib
import re
import sys

from absl import app, flags, logging
from ml_collections import config_flags

from astmt_jax import train
from astmt_jax.checkpoint import claim_workdir
from astmt_jax.config import check_field, from_config_dict

CONFIG = config_flags.DEFINE_config_file(
    "config", None, "Settings, such as configs/scenes.py or configs/scenes.py:method=mtl."
)
WORKDIR = flags.DEFINE_string(
    "workdir", None, "Folder of the run (default: runs/ and the configuration's name)."
)
MODE = flags.DEFINE_enum(
    "mode", "train", ["train", "eval"], "'eval' scores the newest checkpoint and does not train."
)
SAVE_PREDICTIONS = flags.DEFINE_string(
    "save_predictions", None, "With --mode=eval: new folder for the predictions."
)


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
    try:
        experiment = train.Experiment(from_config_dict(CONFIG.value))
        splits = experiment.open_splits()
        claim_workdir(workdir, experiment.config)
    except (ValueError, FileNotFoundError) as error:
        sys.exit(f"Error: {error}")
    try:
        if MODE.value == "train":
            train.train(experiment, splits, workdir)
        else:
            save_to = SAVE_PREDICTIONS.value and pathlib.Path(SAVE_PREDICTIONS.value)
            train.evaluate_checkpoint(experiment, splits, workdir, save_to)
    except (FileNotFoundError, FileExistsError, FloatingPointError) as error:
        sys.exit(f"Error: {error}")


def parse_flags(argv: list[str]) -> list[str]:
    """Reads the command line; what it gets wrong ends the program with one sentence."""
    try:
        for path in re.findall(r"^--?(config\.[\w.]+)", "\n".join(argv), re.MULTILINE):
            check_field(path)
        rest = flags.FLAGS(argv)
        CONFIG.value.lock()  # a file that could not be loaded is reported on first use
    except (flags.Error, ValueError, TypeError, LookupError, AttributeError, OSError) as error:
        sys.exit(f"Error: {_first_cause(error)}")
    return rest


def _first_cause(error: BaseException) -> str:
    """What went wrong first, where later errors only quote it together with a traceback."""
    if isinstance(error, flags.Error) and "Traceback" not in str(error):
        return str(error)
    while error.__context__ is not None:
        error = error.__context__
    if isinstance(error, OSError):
        return str(error).splitlines()[-1].strip()
    reason = " ".join(str(error.args[0] if error.args else error).split())
    if isinstance(error, KeyError | AttributeError):
        return f"the configuration has no field {reason}"
    return reason


if __name__ == "__main__":
    flags.mark_flag_as_required("config")
    app.run(main, flags_parser=parse_flags)
