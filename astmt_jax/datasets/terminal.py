"""What a preparation shows on the terminal."""

import contextlib
import pathlib
from collections.abc import Generator
from typing import BinaryIO

from absl import logging
from rich import progress

from astmt_jax.runtime.console import Description
from astmt_jax.runtime.quiet_tensorflow import tfds


def progress_bar() -> progress.Progress:
    """One line: what is done, a bar, the count and the time left."""
    return progress.Progress(
        Description(),
        progress.BarColumn(),
        progress.MofNCompleteColumn(),
        progress.TimeRemainingColumn(),
    )


@contextlib.contextmanager
def tracked_file(path: pathlib.Path, description: str) -> Generator[BinaryIO]:
    """Opens a file to be read from its start to its end; one line shows how far that is."""
    columns = (
        Description(),
        progress.BarColumn(),
        progress.DownloadColumn(binary_units=True),
        progress.TimeRemainingColumn(),
    )
    with (
        progress.Progress(*columns) as bar,
        bar.open(path, "rb", description=description) as file,
    ):
        yield file


@contextlib.contextmanager
def quiet_tfds() -> Generator[None]:
    """Hides TFDS's progress bars, which overwrite ours, and its warning that a config is custom."""
    verbosity = logging.get_verbosity()
    logging.set_verbosity(logging.ERROR)
    tfds.disable_progress_bar()
    try:
        yield
    finally:
        tfds.enable_progress_bar()
        logging.set_verbosity(verbosity)
