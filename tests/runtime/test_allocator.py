"""Programs that start again with settings of the allocator: when they do, and what they change."""

import os
import pathlib
import platform
import subprocess
import sys

import jax
import pytest

from astmt_jax.runtime import allocator

PROGRAM = """
import ctypes, os, resource, sys
ctypes.CDLL(None).prctl(41, 1, 0, 0, 0)  # no large pages, whatever the system's policy
if len(sys.argv) > 2:
    from astmt_jax.runtime import allocator
    allocator.use()
import jax
x = jax.numpy.ones(2**12)
program = jax.jit(lambda x: (x[:, None] + x) @ x)
for _ in range(8):
    program(x).block_until_ready()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
program(x).block_until_ready()
faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
print(os.getpid(), faults, sys.flags.optimize, *sys.argv[1:], sep="|")
"""
"""Computes with temporary arrays of 64 MB until the heap is large enough; counts the page faults of
the next time, with pages of 4 KiB."""
ROOT = pathlib.Path(__file__).parents[2]
SETTINGS = (
    "glibc.malloc.hugetlb=1:glibc.malloc.mmap_max=0:glibc.malloc.trim_threshold=1099511627776"
)


def start(*arguments, **environment):
    """The program's process and what it printed: process, page faults, -O and arguments."""
    kept = {name: value for name, value in os.environ.items() if name != allocator.VARIABLE}
    environment = kept | {"JAX_PLATFORMS": "cpu", "PYTHONPATH": str(ROOT)} | environment
    command = [sys.executable, "-O", "-c", PROGRAM, *arguments]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        printed, _ = process.communicate()
    number, faults, *rest = printed.strip().split("|")
    assert (int(number), process.returncode) == (process.pid, 0)
    return int(faults), rest


@pytest.mark.skipif(not allocator._available(), reason="this system has another allocator")
def test_the_program_starts_again_as_it_was():
    """In the same process, with the same flags and arguments, and keeps its memory."""
    arguments = ["first 1", "second", ""]
    plain, _ = start("alone")
    faults, rest = start(*arguments)
    assert rest == ["1", *arguments]
    assert plain > 2**13 > 2**8 > faults  # 2**14 pages of 4 KiB are 64 MB


@pytest.fixture
def started(monkeypatch, tmp_path):
    """What would be started, in a world where it helps."""
    calls = []
    monkeypatch.setattr(allocator, "_ACCELERATORS", (f"{tmp_path}/nvidia[0-9]*",))
    monkeypatch.setattr(platform, "libc_ver", lambda: ("glibc", "2.36"))
    monkeypatch.setattr(os, "execv", lambda program, arguments: calls.append(arguments))
    monkeypatch.setattr(jax.config, "update", lambda *setting: calls.append(setting))
    monkeypatch.delenv(allocator.VARIABLE, raising=False)
    monkeypatch.delenv("JAX_PLATFORMS", raising=False)
    return calls


@pytest.mark.parametrize(
    ("before", "after"),
    [("", SETTINGS), ("glibc.cpu.x86_ibt=on", f"glibc.cpu.x86_ibt=on:{SETTINGS}")],
)
def test_the_users_settings_of_other_things_are_kept(started, monkeypatch, before, after):
    monkeypatch.setenv(allocator.VARIABLE, before)
    allocator.use()
    assert os.environ[allocator.VARIABLE] == after
    assert started == [[sys.executable, *sys.orig_argv[1:]]]
    allocator.use()  # the program that was started calls it, too
    assert started[1:] == [("jax_cpu_enable_async_dispatch", False)]


@pytest.mark.parametrize("setting", ["hugetlb=0", "hugetlb=2", "arena_max=4", "check=1"])
def test_the_users_own_choice_is_kept(started, monkeypatch, setting):
    monkeypatch.setenv(allocator.VARIABLE, f"glibc.malloc.{setting}")
    allocator.use()
    assert not started


@pytest.mark.parametrize(
    "change",
    [
        lambda patch, world: patch.setattr(platform, "libc_ver", lambda: ("glibc", "2.25")),
        lambda patch, world: patch.setattr(platform, "libc_ver", lambda: ("", "")),
        lambda patch, world: patch.setattr(sys, "platform", "darwin"),
        lambda patch, world: patch.setattr(sys, "executable", ""),
        lambda patch, world: patch.setenv("JAX_PLATFORMS", "cuda,cpu"),
        lambda patch, world: (world / "nvidia0").touch(),
    ],
)
def test_where_it_does_not_help(started, monkeypatch, tmp_path, change):
    change(monkeypatch, tmp_path)
    allocator.use()
    assert not started


def test_an_accelerator_that_is_not_used_does_not_matter(started, monkeypatch, tmp_path):
    (tmp_path / "nvidia0").touch()
    allocator.use()
    assert not started
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    allocator.use()
    assert len(started) == 1
