"""Runs what might fill the memory, or take for ever, in a process of its own that is measured."""

import os
import resource
import time
from collections.abc import Callable
from typing import NamedTuple

MAX_SECONDS = 10
MAX_MEMORY = 2**30


class Measured(NamedTuple):
    """What a call came to.

    Attributes:
      told: the message of the ValueError that it raised; '' if it raised none.
      seconds: how long it took.
      memory: most bytes that it needed on top of what there was.
    """

    told: str
    seconds: float
    memory: int


def measured(call: Callable[[], object]) -> Measured:
    """Calls a function in a fork of this process, and measures what it needs."""
    reader, writer = os.pipe()
    start = time.monotonic()
    child = os.fork()
    if not child:
        _called(call, writer)
    os.close(writer)
    with open(reader, "rb") as file:
        before, told = file.read().decode().split(":", 1)
    _, status, used = os.wait4(child, 0)
    assert status == 0, f"it ended with {status}: {told}"
    seconds = time.monotonic() - start
    return Measured(told, seconds, used.ru_maxrss * 1024 - int(before))


def _called(call: Callable[[], object], writer: int) -> None:
    """The child's part: writes the message, and ends."""
    code = 1
    os.write(writer, b"%d:" % _resident())
    try:
        resource.setrlimit(resource.RLIMIT_CPU, (2 * MAX_SECONDS, 2 * MAX_SECONDS))
        try:
            call()
            message = ""
        except ValueError as error:
            message = str(error)
        os.write(writer, message.encode())
        code = 0
    except BaseException as error:
        os.write(writer, repr(error).encode())
    finally:
        os._exit(code)


def _resident() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()
