"""Options and fixtures shared by all tests."""

import os
import pathlib
import signal
import subprocess
from collections.abc import Callable

import compilation
import jax
import pytest
from golden_cases import GOLDEN

from astmt_jax.runtime import compilation_cache

# A background job ignores Ctrl-C, and would pass that on to the programs that tests interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser):
    parser.addoption(
        "--golden-dir",
        type=pathlib.Path,
        default=GOLDEN,
        help="folder with golden cases (default: tests/golden)",
    )
    parser.addoption(
        "--screenshots",
        type=pathlib.Path,
        help="with -m browser: folder for a picture of the page at the end of each test",
    )


def pytest_configure(config):
    """Compiled programs are kept for all tests, and for the next time, and not where users' are."""
    folder = str(config.cache.mkdir("compiled"))
    os.environ["JAX_COMPILATION_CACHE_DIR"] = folder  # of programs that tests start
    os.environ.setdefault(compilation_cache.THRESHOLD, str(compilation_cache.KEPT_FROM))
    jax.config.update(compilation_cache.THRESHOLD.lower(), compilation_cache.KEPT_FROM)
    compilation_cache.enable(folder)
    compilation.set_flags()


@pytest.fixture(scope="session")
def golden_dir(request) -> pathlib.Path:
    """The folder that holds the golden cases."""
    return request.config.getoption("--golden-dir")


@pytest.fixture
def small_disk(tmp_path) -> Callable[[str], pathlib.Path]:
    """Makes a disk of a size, such as '5m' or later, again, a larger one; returns its folder."""
    folder = tmp_path / "disk"

    def make(size: str) -> pathlib.Path:
        options = f"remount,size={size}" if folder.exists() else f"size={size}"
        folder.mkdir(exist_ok=True)
        mount = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
        done = subprocess.run(mount, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"needs the right to mount a tmpfs: {done.stderr.strip()}")
        return folder

    yield make
    subprocess.run(["umount", "-l", str(folder)], capture_output=True, check=False)
