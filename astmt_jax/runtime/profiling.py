"""A trace of some training steps by jax.profiler, for TensorBoard's or XProf's profile view."""

import pathlib
import re
from collections.abc import Callable

from astmt_jax.runtime.quiet_clu import periodic_actions

Hook = Callable[[int], object]
"""Called with the number of steps made: before the first step, and after every one."""


def trace_hook(steps: str | None, num_steps: int, folder: pathlib.Path) -> Hook:
    """What traces some steps.

    Args:
      steps: 'START:STOP', counted from 0 and without STOP, such as '100:110'; None traces nothing.
      num_steps: of the whole training.
      folder: where the trace goes.

    Raises:
      ValueError: there are no such steps.
    """
    if steps is None:
        return lambda number: None
    match = re.fullmatch(r"(\d+):(\d+)", steps)
    start, stop = map(int, match.groups()) if match else (0, 0)
    if not start < stop <= num_steps:
        raise ValueError(
            f"--profile_steps is {steps!r}, but must be START:STOP, such as 0:{num_steps}, with "
            f"START before STOP and at most {num_steps}, the number of steps of this run."
        )
    return periodic_actions.Profile(
        logdir=folder,
        first_profile=start,
        num_profile_steps=stop - start,
        profile_duration_ms=None,
        every_secs=None,
    )
