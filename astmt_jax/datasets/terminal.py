"""What a preparation shows on the terminal. Free of TensorFlow."""

import contextlib
import pathlib
from collections.abc import Generator
from typing import BinaryIO

from rich import progress

from astmt_jax.runtime.console import Description


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
