"""Runs what might fill the memory, or take for ever, in a process of its own that is measured."""

import multiprocessing
import resource
import time
from collections.abc import Callable
from typing import NamedTuple

MAX_SECONDS = 10
MAX_MEMORY = 2**30

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["astmt_jax.files.folder", "measured"])


class Measured(NamedTuple):
    """What a call came to.

    Attributes:
      told: the message of the ValueError that it raised; '' if it raised none.
      seconds: of processor time, which does not depend on what else runs.
      memory: most bytes that it needed on top of what there was.
    """

    told: str
    seconds: float
    memory: int


def measured(call: Callable[[], object]) -> Measured:
    """Calls a function, which can be pickled, in a process that ends after twice `MAX_SECONDS`."""
    reader, writer = _CONTEXT.Pipe(duplex=False)
    process = _CONTEXT.Process(target=_called, args=(call, writer))
    process.start()
    writer.close()
    try:
        found = reader.recv()
    finally:
        process.join()
    assert process.exitcode == 0
    return found


def _called(call: Callable[[], object], writer) -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (2 * MAX_SECONDS, 2 * MAX_SECONDS))
    before, start, told = _most_memory(), time.process_time(), ""
    try:
        call()
    except ValueError as error:
        told = str(error)
    writer.send(Measured(told, time.process_time() - start, _most_memory() - before))


def _most_memory() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
