"""Stopping on request: a scheduler's SIGTERM before preemption, or Ctrl-C."""

import itertools
import os
import signal
import threading

import jax
from jax.experimental import multihost_utils

EXIT_CODE = os.EX_TEMPFAIL
"""75: a run ended early by a signal; the same command goes on where it stopped."""

INTERRUPTED = "Stopped by a signal: the same command goes on where it stopped."
SIGNALS = (signal.SIGTERM, signal.SIGINT)
_points = itertools.count(1)  # with gaps, or from another start, JAX would miss a stop


class Interrupted(Exception):
    """A run was asked to stop, and what it had done is saved; says so in one sentence."""


class StopRequest:
    """Context in which SIGTERM and SIGINT ask for a stop instead of ending the process.

    The first signal is noted; a second one ends the process at once. Of several processes one
    signalled process is enough: JAX's preemption service makes all stop after the same step. It
    has taken SIGTERM for itself, so that only SIGINT, passed on as SIGTERM, is handled here.
    Outside the main thread, which alone can handle signals, the context does nothing.

    Attributes:
      noted: whether a stop was asked for.
    """

    def __init__(self):
        self.noted = False
        self._before = {}

    def __enter__(self) -> "StopRequest":
        if threading.current_thread() is threading.main_thread():
            if jax.process_count() == 1:
                handlers = dict.fromkeys(SIGNALS, self._note)
            else:
                handlers = {signal.SIGINT: _pass_on}
            self._before = {
                number: signal.signal(number, handler) for number, handler in handlers.items()
            }
        return self

    def __exit__(self, *exception) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def reached(self) -> bool:
        """Whether to stop here; of several processes every one asks at the same points."""
        self.noted |= _all_stop()
        return self.noted

    def check(self) -> None:
        """Raises Interrupted where `reached` says so: ends what is no step and can be repeated."""
        if self.reached():
            raise Interrupted(INTERRUPTED)

    def _note(self, number, frame) -> None:
        self.noted = True
        for other in SIGNALS:
            signal.signal(other, signal.SIG_DFL)
        # The end of a step may be minutes away. `print` here could interrupt another `print`.
        os.write(2, b"Stopping after this step; a second signal stops at once.\n")


def check_stop() -> None:
    """Ends what several processes do together; every one asks at the same points.

    Raises:
      Interrupted: one of them got SIGTERM. (A process that is alone is ended by it at once.)
    """
    if _all_stop():
        raise Interrupted(INTERRUPTED)


def _all_stop() -> bool:
    """Whether several processes have agreed to stop at this point."""
    if jax.process_count() == 1:
        return False
    return multihost_utils.reached_preemption_sync_point(next(_points))


def _pass_on(number, frame) -> None:
    signal.signal(number, signal.SIG_DFL)
    signal.raise_signal(signal.SIGTERM)
