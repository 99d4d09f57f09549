"""A function over many items on several processes. Free of TensorFlow: workers start quickly."""

import contextlib
import functools
import multiprocessing
import sys
import types
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

import cv2

Item = TypeVar("Item")
Result = TypeVar("Result")


@contextlib.contextmanager
def ordered_map(
    function: Callable[[Item], Result], items: Iterable[Item], num_workers: int
) -> Iterator[Iterator[Result]]:
    """Context in which results of `function`, in order, come from `num_workers` processes."""
    if num_workers == 1:
        yield map(function, items)
        return
    context = multiprocessing.get_context("spawn")  # TensorFlow and JAX threads do not survive fork
    with _without_main_script():
        pool = context.Pool(num_workers, initializer=functools.partial(cv2.setNumThreads, 1))
    with pool:
        yield pool.imap(function, items, chunksize=8)


@contextlib.contextmanager
def _without_main_script() -> Iterator[None]:
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
