"""The slow part of a metric, the counts of one image, on other processes and only once.

What is counted is noted in a file at once, so that an interrupted evaluation goes on from there.
"""

import collections
import concurrent.futures
import contextlib
import hashlib
import json
import pathlib
import pickle
from collections.abc import Callable, Generator
from typing import Any

import numpy as np

from astmt_jax.files import documents, storage
from astmt_jax.metrics.metric import CountedMetric
from astmt_jax.runtime.workers import Workers

MAX_BYTES = 2**28
"""Of notes; those of an image have some thousands."""
WAITING_PER_WORKER = 4  # images; more would only take memory


class Counter:
    """Counts images for metrics, several at the same time; a context that ends the processes.

    Counts are integers that are added up, so that results do not depend on the number of processes.

    Args:
      num_workers: processes; 1 counts in this one.
      notes: file for the counts of finished images, deleted when all went well; None keeps none.
    """

    def __init__(self, num_workers: int, notes: pathlib.Path | None = None):
        self._workers = Workers(num_workers) if num_workers > 1 else None
        self._limit = WAITING_PER_WORKER * num_workers if num_workers > 1 else 0
        self._notes = Notes(notes) if notes else None
        self._waiting: collections.deque = collections.deque()

    def __enter__(self) -> "Counter":
        return self

    def __exit__(self, kind: type | None, *error: Any) -> None:
        if self._workers:
            self._workers.shutdown(cancel_futures=True)
        if self._notes:
            self._notes.close(delete=kind is None)

    def add(
        self, metric: CountedMetric, label: str, prediction: np.ndarray, truth: np.ndarray
    ) -> None:
        """Has an image counted; waits when many others do.

        Raises:
          ScoringError: this or an earlier image cannot be counted, naming its label.
        """
        key = _fingerprint(metric.counting, prediction, truth)
        if self._notes and self._notes.add_to(metric, key):
            return
        submit = self._workers.submit if self._workers else _call
        future = submit(metric.counting, prediction, truth)
        self._waiting.append((metric, label, key, future))
        self._take(self._limit)

    def finish(self) -> None:
        """Waits for all images; errors as in `add`."""
        self._take(0)

    def _take(self, still_waiting: int) -> None:
        while len(self._waiting) > still_waiting:
            metric, label, key, future = self._waiting.popleft()
            with naming(label):
                counts = _result(future)
            metric.add_counts(counts)
            if self._notes:
                self._notes.write(key, counts)


class Notes:
    """Counts of images in a file, one a line; a line that was not finished is passed over.

    Attributes:
      counts: those that the file held when it was opened, by fingerprint of the image.
    """

    def __init__(self, path: pathlib.Path):
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = _lines(path)
        self.counts = dict(filter(None, map(_note, lines)))
        self._file = storage.appended(path)
        if lines and lines[-1]:
            self._file.write("\n")

    def add_to(self, metric: CountedMetric, key: str) -> bool:
        """Whether there were counts of an image that a metric took."""
        with contextlib.suppress(ValueError):
            if key in self.counts:
                metric.add_counts(self.counts[key])
                return True
        return False

    def write(self, key: str, counts: np.ndarray) -> None:
        """Adds one image."""
        self._file.write(json.dumps([key, counts.tolist()]) + "\n")
        self._file.flush()

    def close(self, delete: bool) -> None:
        """Closes the file, and deletes it when it is not needed any more."""
        self._file.close()
        if delete:
            self._path.unlink(missing_ok=True)


class ScoringError(ValueError):
    """A prediction and its truth cannot be compared; the message names the image and says why."""


@contextlib.contextmanager
def naming(label: str) -> Generator[None]:
    """Context in which a ValueError becomes a ScoringError, which says what it is about."""
    try:
        yield
    except ValueError as error:
        raise ScoringError(f"{label}: {error}") from error


def _lines(path: pathlib.Path) -> list[str]:
    """The lines of a file of notes; none where it is of no use."""
    if path.is_symlink() or not path.is_file():
        return []
    with contextlib.suppress(ValueError):
        return storage.read_regular(path, MAX_BYTES).decode().split("\n")
    return []


def _note(line: str) -> tuple[str, np.ndarray] | None:
    """Fingerprint and counts of an image; None where they are not whole."""
    with contextlib.suppress(ValueError, TypeError, OverflowError):
        key, counts = documents.parse_document(line)
        values = np.array(counts)
        if isinstance(key, str) and values.dtype == np.int64:
            return key, values
    return None


def _fingerprint(counting: Callable, prediction: np.ndarray, truth: np.ndarray) -> str:
    return hashlib.sha256(pickle.dumps((counting, prediction, truth))).hexdigest()


def _call(function: Callable, *args: Any) -> concurrent.futures.Future:
    future = concurrent.futures.Future()
    try:
        future.set_result(function(*args))
    except ValueError as error:
        future.set_exception(error)
    return future


def _result(future: concurrent.futures.Future) -> Any:
    try:
        return future.result()
    except concurrent.futures.BrokenExecutor as error:
        raise ChildProcessError(
            "A process of the evaluation was killed, probably for lack of memory: start again with"
            " fewer processes; finished images are not counted again."
        ) from error
