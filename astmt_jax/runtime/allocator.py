"""Memory that stays with a program that computes on a CPU, in large pages.

XLA gives the memory of a step's temporary arrays back after every step. glibc's allocator would
hand it on to the system, which hands it out anew, page by page, and clears every page: a fifth of a
network's time. It does not if it is told so before a program starts, and if XLA asks in the first
thread, whose heap has no limit; and it asks for pages of 2 MiB, whose addresses the processor finds
faster than those of 4 KiB.
"""

import glob
import os
import platform
import sys

VARIABLE = "GLIBC_TUNABLES"
SETTINGS = ":".join(
    (
        "glibc.malloc.hugetlb=1",  # large pages, where the system gives them to who asks
        "glibc.malloc.mmap_max=0",  # from the heap, whatever the size
        f"glibc.malloc.trim_threshold={2**40}",  # which does not shrink
    )
)
FIRST_VERSION = (2, 26)
"""Of glibc, with such settings; it ignores those that it does not know."""

_ACCELERATORS = ("/dev/nvidia[0-9]*", "/dev/kfd", "/dev/accel*", "/dev/vfio/[0-9]*")
"""Devices of NVIDIA's and AMD's GPUs, and of TPUs."""


def use() -> None:
    """Starts this program again, with the settings, where they help; else does nothing.

    To be called before anything is done, or is imported that takes long. The program keeps its
    process, arguments and environment; started again, JAX computes in the thread that asks for it.
    It helps on Linux with glibc where JAX computes on the CPU. If the user has settings of the
    allocator, they are kept, and no others are added.
    """
    compute_where_asked()
    settings = os.environ.get(VARIABLE, "")
    if "glibc.malloc." in settings or not (_available() and _computes_on_cpu()):
        return
    os.environ[VARIABLE] = f"{settings}:{SETTINGS}" if settings else SETTINGS
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


def compute_where_asked() -> None:
    """Has JAX compute in the thread that asks, if this process was started with the settings."""
    if SETTINGS in os.environ.get(VARIABLE, ""):
        import jax  # takes long, which a program that starts again need not wait for

        jax.config.update("jax_cpu_enable_async_dispatch", False)


def _available() -> bool:
    library, version = platform.libc_ver()
    if sys.platform != "linux" or library != "glibc" or not sys.executable:
        return False
    return tuple(map(int, version.split(".")[:2])) >= FIRST_VERSION


def _computes_on_cpu() -> bool:
    platforms = os.environ.get("JAX_PLATFORMS", "")
    if platforms:
        return platforms == "cpu"
    return not any(map(glob.glob, _ACCELERATORS))
