"""Work on several threads and processes. Free of TensorFlow and JAX: workers start quickly."""

import concurrent.futures
import contextlib
import multiprocessing
import os
import signal
import sys
import types
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Any, TypeVar

import cv2

Item = TypeVar("Item")
Result = TypeVar("Result")

_CONTEXT = multiprocessing.get_context("spawn")  # TensorFlow and JAX threads do not survive fork


def count_threads(num_threads: int | None) -> int:
    """Resolves None to the number of available cores.

    Raises:
      ValueError: the number is not positive.
    """
    if num_threads is None:
        return len(os.sched_getaffinity(0))
    if num_threads < 1:
        raise ValueError(f"num_threads is {num_threads}; it must be at least 1, or None")
    return num_threads


@contextlib.contextmanager
def ordered_map(
    function: Callable[[Item], Result], items: Iterable[Item], num_workers: int
) -> Generator[Iterator[Result]]:
    """Context in which results of `function`, in order, come from `num_workers` processes."""
    if num_workers == 1:
        yield map(function, items)
        return
    with _without_main_script():
        pool = _CONTEXT.Pool(num_workers, initializer=_start, initargs=(function,))
    with pool:
        yield pool.imap(_call, items, chunksize=8)


_started: list[Callable] = []
"""In a worker of `ordered_map`, its function: which goes there once, as it may hold long lists."""


def _start(function: Callable) -> None:
    cv2.setNumThreads(1)
    _started.append(function)


def _call(item: Any) -> Any:
    return _started[0](item)


class Workers(concurrent.futures.ProcessPoolExecutor):
    """Processes for calls that come one by one; each starts when it is first needed.

    Args:
      num_workers: how many.
    """

    def __init__(self, num_workers: int):
        ignore_interrupts = (signal.SIGINT, signal.SIG_IGN)  # this process decides what they mean
        super().__init__(
            num_workers, _CONTEXT, initializer=signal.signal, initargs=ignore_interrupts
        )

    def submit(self, function: Callable, /, *args, **kwargs) -> concurrent.futures.Future:
        """Starts `function(*args, **kwargs)`, all of which must be picklable."""
        with _without_main_script():
            return super().submit(function, *args, **kwargs)


@contextlib.contextmanager
def _without_main_script() -> Generator[None]:
    """Hides the main script from processes that start now.

    They need nothing of it, and would otherwise import it: TensorFlow and JAX with it, and an
    unguarded script would start itself again.
    """
    main = sys.modules["__main__"]
    sys.modules["__main__"] = types.ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main
