"""How a command ends that cannot go on: with one sentence."""

import contextlib
import pathlib
import signal
import sys
from collections.abc import Generator
from typing import NoReturn

import jax

from astmt_jax.files import storage
from astmt_jax.runtime import distributed
from astmt_jax.runtime.console import CONSOLE, legible
from astmt_jax.runtime.interruption import EXIT_CODE, Interrupted

RUN_ERRORS = (
    FileNotFoundError,
    FileExistsError,
    IsADirectoryError,
    NotADirectoryError,
    PermissionError,
)
"""Errors of files that end a resumable command with their message, whatever else it names."""


def fail(message: str) -> NoReturn:
    """Ends the program with code 1 and a message, in which names are shown as they are written."""
    sys.exit(legible(f"Error: {message}"))


@contextlib.contextmanager
def told(*further: type[Exception], interrupted: str | None = None) -> Generator[None]:
    """Context of a command, whose errors end it with one sentence: `ValueError` and `OSError`.

    Args:
      further: other errors that are told so.
      interrupted: what Ctrl-C has the command say; None leaves Ctrl-C alone.
    """
    try:
        yield
    except (ValueError, OSError, *further) as error:
        fail(_sentence(error))
    except KeyboardInterrupt:
        if interrupted is None:
            raise
        sys.exit(f"Interrupted: {interrupted}")


@contextlib.contextmanager
def full_disk_told(folder: pathlib.Path, remedy: str) -> Generator[None]:
    """Context that a full disk of a folder ends with one sentence, whoever meets it and how."""
    try:
        yield
    except Exception as error:
        if storage.is_disk_full(error):
            fail(f"The disk of {folder} is full: {remedy}")
        raise


@contextlib.contextmanager
def resumable(workdir: pathlib.Path, *errors: type[Exception]) -> Generator[None]:
    """Context of what a further call of the same command goes on with, however this one ends.

    SIGTERM and Ctrl-C end it with `EXIT_CODE`, a full disk with an error; each says in one sentence
    that nothing is lost, as does the loss of another process. The training loop takes both signals
    over, to save first. `RUN_ERRORS`, and further `errors`, end it with their message.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    goes_on = (
        "free some space, and the same command goes on from the last checkpoint, which is intact."
    )
    try:
        with full_disk_told(workdir, goes_on):
            yield
    except Interrupted as message:
        CONSOLE.print(str(message))
        sys.exit(EXIT_CODE)
    except KeyboardInterrupt:
        CONSOLE.print("Interrupted: the same command goes on where it stopped.")
        sys.exit(EXIT_CODE)
    except Exception as error:
        if distributed.is_lost_connection(error):
            reason = str(error).partition("\n")[0]
            fail(
                f"Process {jax.process_index()} of {jax.process_count()} has lost another "
                f"one ({reason}), whose own output says why: the same command, started again in "
                "all of them, goes on from the last checkpoint."
            )
        if isinstance(error, RUN_ERRORS + errors):
            fail(_sentence(error))
        raise


def _sentence(error: Exception) -> str:
    """An error's message, without the number that the system gives its own."""
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}."
    return str(error)
