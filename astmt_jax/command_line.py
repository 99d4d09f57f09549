"""The flag `--config` of every command, and errors of the command line in one sentence."""

import contextlib
import pathlib
import re
import signal
import sys
from collections.abc import Iterator

import jax
from absl import flags
from ml_collections import ConfigDict, config_flags

from astmt_jax.config import Config, check_field, from_config_dict
from astmt_jax.evaluation.counting import ScoringError
from astmt_jax.files import storage
from astmt_jax.runtime import distributed
from astmt_jax.runtime.console import CONSOLE
from astmt_jax.runtime.interruption import EXIT_CODE, Interrupted
from astmt_jax.training.checkpoint import CheckpointError
from astmt_jax.training.workdir import imported_settings
from astmt_jax.weights.files import WeightsError

CONFIG = config_flags.DEFINE_config_file(
    "config", None, "Settings, such as configs/scenes.py or configs/scenes.py:method=mtl."
)

RUN_ERRORS = (
    FileNotFoundError,
    FileExistsError,
    NotADirectoryError,
    PermissionError,
    FloatingPointError,
    WeightsError,
    CheckpointError,
    ScoringError,
)
"""What ends training and evaluation with a message for whoever started them."""


def require_config() -> None:
    """Makes --config a flag that has to be given."""
    flags.register_validator(
        "config",
        lambda value: value is not None,
        message="Give the settings, such as --config=configs/scenes.py.",
    )


def settings(workdir: pathlib.Path) -> Config:
    """The settings of a run in `workdir`.

    What imported weights depend on, such as the scaling of the input, comes with them, unless the
    command line sets it.

    Raises:
      ValueError: as `from_config_dict`.
    """
    given = config_flags.get_override_values(flags.FLAGS["config"])
    imported = {
        path: value for path, value in imported_settings(workdir).items() if path not in given
    }
    config = ConfigDict(CONFIG.value)
    config.update_from_flattened_dict(imported)
    for path, value in imported.items():
        CONSOLE.print(f"The weights imported into {workdir} need config.{path}={value}.")
    return from_config_dict(config)


def parse_flags(argv: list[str]) -> list[str]:
    """Reads the command line; what it gets wrong ends the program with one sentence."""
    try:
        for path in re.findall(r"^--?(config\.[\w.]+)", "\n".join(argv), re.MULTILINE):
            check_field(path)
        rest = flags.FLAGS(argv)
        if flags.FLAGS["config"].present:
            CONFIG.value.lock()  # a file that could not be loaded is reported on first use
    except (flags.Error, ValueError, TypeError, LookupError, AttributeError, OSError) as error:
        sys.exit(f"Error: {_first_cause(error)}")
    return rest


@contextlib.contextmanager
def resumable(workdir: pathlib.Path, *errors: type[Exception]) -> Iterator[None]:
    """Context of what a further call of the same command goes on with, however this one ends.

    SIGTERM and Ctrl-C end it with `EXIT_CODE`, a full disk with an error; each says in one sentence
    that nothing is lost, as does the loss of another process. The training loop takes both signals
    over, to save first. `RUN_ERRORS`, and further `errors`, end it with their message.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    except Interrupted as message:
        CONSOLE.print(str(message))
        sys.exit(EXIT_CODE)
    except KeyboardInterrupt:
        CONSOLE.print("Interrupted: the same command goes on where it stopped.")
        sys.exit(EXIT_CODE)
    except Exception as error:
        if storage.is_disk_full(error):
            sys.exit(
                f"Error: The disk of {workdir} is full: free some space, and the same command goes "
                "on from the last checkpoint, which is intact."
            )
        if distributed.is_lost_connection(error):
            reason = str(error).partition("\n")[0]
            sys.exit(
                f"Error: Process {jax.process_index()} of {jax.process_count()} has lost another "
                f"one ({reason}), whose own output says why: the same command, started again in "
                "all of them, goes on from the last checkpoint."
            )
        if isinstance(error, RUN_ERRORS + errors):
            system = isinstance(error, OSError) and error.filename is not None
            sys.exit(f"Error: {f'{error.filename}: {error.strerror}.' if system else error}")
        raise


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
