"""How programs are compiled for tests: hardly optimized, in a third of the time."""

import os

FLAGS = "--xla_backend_optimization_level=0 --xla_cpu_use_fusion_emitters=false"
AS_USERS_DO = {"xla_backend_optimization_level": 3, "xla_cpu_use_fusion_emitters": True}
"""Compiler options that undo the flags."""


def set_flags() -> None:
    """Sets the flags for this process and those that it starts; the user's own come last and win.

    To be called before JAX computes anything.
    """
    own = os.environ.get("XLA_FLAGS", "")
    if FLAGS not in own:
        os.environ["XLA_FLAGS"] = f"{FLAGS} {own}"
