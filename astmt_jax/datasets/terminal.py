"""What a preparation shows on the terminal."""

import contextlib
from collections.abc import Iterator

import tensorflow_datasets as tfds
from absl import logging
from rich import progress


def progress_bar() -> progress.Progress:
    """One line: what is done, a bar, the count and the time left."""
    return progress.Progress(
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        progress.MofNCompleteColumn(),
        progress.TimeRemainingColumn(),
    )


@contextlib.contextmanager
def quiet_tfds() -> Iterator[None]:
    """Hides TFDS's progress bars, which overwrite ours, and its warning that a config is custom."""
    verbosity = logging.get_verbosity()
    logging.set_verbosity(logging.ERROR)
    tfds.disable_progress_bar()
    try:
        yield
    finally:
        tfds.enable_progress_bar()
        logging.set_verbosity(verbosity)
