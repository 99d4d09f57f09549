"""Compiled programs kept on disk, so that a command started again need not compile again."""

import os
import pathlib

import jax

KEPT_FROM = 0.1
"""Seconds of compilation; what takes less is as fast compiled as read."""
THRESHOLD = "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"
"""JAX's environment variable for it."""


def default_folder() -> pathlib.Path:
    """The user's cache folder (XDG_CACHE_HOME, or ~/.cache), and in it astmt_jax/compiled."""
    root = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    return pathlib.Path(root) / "astmt_jax" / "compiled"


def enable(folder: str | None = None) -> None:
    """Turns JAX's persistent compilation cache on; to be called before anything is compiled.

    A program's key holds the versions of JAX and XLA, the device and all options, so that no other
    program is ever taken for it. What takes less than `KEPT_FROM` to compile is not kept, unless
    the environment says otherwise.

    Args:
      folder: of the cache; '' turns it off, None takes JAX's own setting (the environment variable
        JAX_COMPILATION_CACHE_DIR), or else `default_folder`.
    """
    if folder is None:
        folder = jax.config.values["jax_compilation_cache_dir"] or str(default_folder())
    jax.config.update("jax_compilation_cache_dir", os.path.expanduser(folder) or None)
    if THRESHOLD not in os.environ:
        jax.config.update(THRESHOLD.lower(), KEPT_FROM)
