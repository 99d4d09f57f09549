"""Large pages of memory for programs that compute on a CPU.

XLA gives the memory of a step's temporary arrays back to the system after every step, which hands
it out anew, page by page: with pages of 4 KiB that is half of a small network's time. glibc's
allocator asks for pages of 2 MiB if it is told so before a program starts.
"""

import glob
import os
import pathlib
import platform
import sys

TUNABLE = "glibc.malloc.hugetlb"
SETTING = f"{TUNABLE}=1"
VARIABLE = "GLIBC_TUNABLES"
FIRST_VERSION = (2, 35)
"""Of glibc, with this setting."""

_POLICY = pathlib.Path("/sys/kernel/mm/transparent_hugepage/enabled")
_ACCELERATORS = ("/dev/nvidia[0-9]*", "/dev/kfd", "/dev/accel*", "/dev/vfio/[0-9]*")
"""Devices of NVIDIA's and AMD's GPUs, and of TPUs."""


def use() -> None:
    """Starts this program again, with the setting, where it helps; else does nothing.

    To be called before anything is done, or is imported that takes long. The program keeps its
    process, arguments and environment. It helps on Linux with glibc where programs may ask for
    large pages ("madvise") and JAX computes on the CPU. A setting of the user's own is kept.
    """
    settings = os.environ.get(VARIABLE, "")
    if TUNABLE in settings or not sys.executable or not (_available() and _computes_on_cpu()):
        return
    os.environ[VARIABLE] = f"{settings}:{SETTING}" if settings else SETTING
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


def _available() -> bool:
    library, version = platform.libc_ver()
    if sys.platform != "linux" or library != "glibc":
        return False
    if tuple(map(int, version.split(".")[:2])) < FIRST_VERSION:
        return False
    try:
        return "[madvise]" in _POLICY.read_text()
    except OSError:
        return False


def _computes_on_cpu() -> bool:
    platforms = os.environ.get("JAX_PLATFORMS", "")
    if platforms:
        return platforms == "cpu"
    return not any(map(glob.glob, _ACCELERATORS))
