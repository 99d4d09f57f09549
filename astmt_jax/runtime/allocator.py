"""Memory that stays with a program that computes on a CPU, in large pages.

XLA gives the memory of a step's temporary arrays back after every step. glibc's allocator would
hand it on to the system, which hands it out anew, page by page, and clears every page: a third of a
network's time. It does not if it is told so before a program starts, which takes more memory; and
it asks for pages of 2 MiB, whose addresses the processor finds faster than those of 4 KiB.
"""

import glob
import os
import platform
import sys

VARIABLE = "GLIBC_TUNABLES"
LARGE_PAGES = {"glibc.malloc.hugetlb": 1}
"""Where the system gives them to who asks."""
ONE_HEAP = {
    "glibc.malloc.arena_max": 1,  # the others' size is limited, beyond which memory is the system's
    "glibc.malloc.mmap_max": 0,
    "glibc.malloc.trim_threshold": 2**40,
}
"""It only grows, up to twice what is needed, as others take a piece of what a step gave back."""
AMPLE_MEMORY = 15 * 2**30
"""Bytes, of machines that are sold with 16 GB, from which on there is one heap."""
FIRST_VERSION = (2, 26)
"""Of glibc, with such settings; it ignores those that it does not know."""

_ACCELERATORS = ("/dev/nvidia[0-9]*", "/dev/kfd", "/dev/accel*", "/dev/vfio/[0-9]*")
"""Devices of NVIDIA's and AMD's GPUs, and of TPUs."""


def use() -> None:
    """Starts this program again, with the settings, where they help; else does nothing.

    To be called before anything is done, or is imported that takes long. The program keeps its
    process, arguments and environment. It helps on Linux with glibc where JAX computes on the CPU.
    If the user has settings of the allocator, they are kept, and no others are added.
    """
    settings = os.environ.get(VARIABLE, "")
    if "glibc.malloc." in settings or not (_available() and _computes_on_cpu()):
        return
    chosen = LARGE_PAGES | (ONE_HEAP if _memory() >= AMPLE_MEMORY else {})
    ours = [f"{name}={value}" for name, value in chosen.items()]
    os.environ[VARIABLE] = ":".join([settings, *ours] if settings else ours)
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


def _available() -> bool:
    library, version = platform.libc_ver()
    if sys.platform != "linux" or library != "glibc" or not sys.executable:
        return False
    return tuple(map(int, version.split(".")[:2])) >= FIRST_VERSION


def _memory() -> int:
    """Bytes of the machine's memory."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _computes_on_cpu() -> bool:
    platforms = os.environ.get("JAX_PLATFORMS", "")
    if platforms:
        return platforms == "cpu"
    return not any(map(glob.glob, _ACCELERATORS))
