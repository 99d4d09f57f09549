"""Programs that start again with large pages: when they do, and what it changes."""

import os
import pathlib
import platform
import subprocess
import sys

import pytest

from astmt_jax.runtime import large_pages

PROGRAM = """
import os, resource, sys
if len(sys.argv) > 2:
    from astmt_jax.runtime import large_pages
    large_pages.use()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
memory = bytearray(2**28)
for start in range(0, len(memory), 4096):
    memory[start] = 1
faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
print(os.getpid(), faults, sys.flags.optimize, *sys.argv[1:], sep="|")
"""
ROOT = pathlib.Path(__file__).parents[2]


def start(*arguments, **environment):
    """The program's process and what it printed: process, page faults, -O and arguments."""
    kept = {name: value for name, value in os.environ.items() if name != large_pages.VARIABLE}
    environment = kept | {"JAX_PLATFORMS": "cpu", "PYTHONPATH": str(ROOT)} | environment
    command = [sys.executable, "-O", "-c", PROGRAM, *arguments]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        printed, _ = process.communicate()
    number, faults, *rest = printed.strip().split("|")
    assert (int(number), process.returncode) == (process.pid, 0)
    return int(faults), rest


@pytest.mark.skipif(not large_pages._available(), reason="this system gives no large pages")
def test_the_program_starts_again_as_it_was():
    """In the same process, with the same flags and arguments, and hardly a page fault."""
    arguments = ["first 1", "second", ""]
    plain, _ = start("alone")
    faults, rest = start(*arguments)
    assert rest == ["1", *arguments]
    assert plain > 2**16 > 2**12 > faults


@pytest.fixture
def started(monkeypatch, tmp_path):
    """What would be started, in a world where large pages help; and the world's files."""
    calls = []
    policy = tmp_path / "enabled"
    policy.write_text("always [madvise] never\n")
    monkeypatch.setattr(large_pages, "_POLICY", policy)
    monkeypatch.setattr(large_pages, "_ACCELERATORS", (f"{tmp_path}/nvidia[0-9]*",))
    monkeypatch.setattr(platform, "libc_ver", lambda: ("glibc", "2.36"))
    monkeypatch.setattr(os, "execv", lambda program, arguments: calls.append(arguments))
    monkeypatch.delenv(large_pages.VARIABLE, raising=False)
    monkeypatch.delenv("JAX_PLATFORMS", raising=False)
    return calls


def test_the_users_other_settings_are_kept(started, monkeypatch):
    monkeypatch.setenv(large_pages.VARIABLE, "glibc.malloc.check=1")
    large_pages.use()
    assert os.environ[large_pages.VARIABLE] == "glibc.malloc.check=1:glibc.malloc.hugetlb=1"
    assert started == [[sys.executable, *sys.orig_argv[1:]]]


@pytest.mark.parametrize("value", ["0", "1", "2"])
def test_the_users_own_choice_is_kept(started, monkeypatch, value):
    monkeypatch.setenv(large_pages.VARIABLE, f"glibc.malloc.hugetlb={value}")
    large_pages.use()
    assert not started


@pytest.mark.parametrize(
    "change",
    [
        lambda patch, world: patch.setattr(platform, "libc_ver", lambda: ("glibc", "2.34")),
        lambda patch, world: patch.setattr(platform, "libc_ver", lambda: ("", "")),
        lambda patch, world: patch.setattr(sys, "platform", "darwin"),
        lambda patch, world: patch.setattr(sys, "executable", ""),
        lambda patch, world: patch.setenv("JAX_PLATFORMS", "cuda,cpu"),
        lambda patch, world: (world / "enabled").write_text("[always] madvise never\n"),
        lambda patch, world: (world / "enabled").unlink(),
        lambda patch, world: (world / "nvidia0").touch(),
    ],
)
def test_where_it_does_not_help(started, monkeypatch, tmp_path, change):
    change(monkeypatch, tmp_path)
    large_pages.use()
    assert not started


def test_an_accelerator_that_is_not_used_does_not_matter(started, monkeypatch, tmp_path):
    (tmp_path / "nvidia0").touch()
    large_pages.use()
    assert not started
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    large_pages.use()
    assert len(started) == 1
