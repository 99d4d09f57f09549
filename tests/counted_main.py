"""The program, which says at its end how many programs it compiled, and may be made to fail.

python -m tests.counted_main yes|no ARGUMENTS   # whether it fails as soon as it saves
"""

import runpy
import sys

import jax

from astmt_jax.training.checkpoint import Checkpoints

CACHE_MISS = "/jax/compilation_cache/cache_misses"


def fail_while_saving() -> None:
    """Makes the program fail as soon as it has started to save."""
    start_saving = Checkpoints.save

    def save(self, step, state):
        start_saving(self, step, state)
        raise RuntimeError(f"This process alone fails in step {step}.")

    Checkpoints.save = save


def main(fails: str, *arguments: str) -> None:
    misses = []
    jax.monitoring.register_event_listener(
        lambda event, **_: misses.append(event) if event == CACHE_MISS else None
    )
    if fails == "yes":
        fail_while_saving()
    sys.argv = ["astmt_jax.main", *arguments]
    try:
        runpy.run_module("astmt_jax.main", run_name="__main__", alter_sys=True)
    finally:
        print(f"{len(misses)} programs were compiled.", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
