"""A run that is killed, stopped and out of disk space ends as one that never was.

    python -m pytest -m faults

Processes are forked from one that has imported everything, so that a start takes a second.
"""

import contextlib
import dataclasses
import multiprocessing
import os
import pathlib
import random
import re
import signal
import subprocess
import sys
import time

import jax
import numpy as np
import orbax.checkpoint as ocp
import pytest

pytestmark = pytest.mark.faults

NUM_KILLS = 20
SETTINGS = {
    "dataset.options.image_size": 64,
    "dataset.options.num_train": 14,
    "dataset.options.num_val": 5,
    "model.width_multiplier": 0.0625,
    "augmentation.rotation": 10.0,
    "train.image_size": 64,
    "train.batch_size": 4,
    "train.epochs": 18,
    "train.log_every_steps": 1,
    "train.checkpoint_every_steps": 2,
    "optimizer.warmup_steps": 0,
}
NUM_STEPS = 54
CACHE_MISS = "/jax/compilation_cache/cache_misses"
FOREVER = 900
"""Seconds after which a run hangs."""


def run_main(arguments, log):
    """The program, as the target of a process; what it prints goes to a file."""
    with open(log, "w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    os.setpgid(0, 0)
    from absl import app, flags  # imported already, where this runs

    from astmt_jax import main

    misses = []
    jax.monitoring.register_event_listener(
        lambda event, **_: misses.append(event) if event == CACHE_MISS else None
    )
    sys.argv = ["main", *arguments]
    flags.mark_flag_as_required("config")
    try:
        app.run(main.main, argv=sys.argv, flags_parser=main.parse_flags)
    finally:
        print(f"{len(misses)} programs were compiled.")


@dataclasses.dataclass
class Run:
    """One process of the program.

    Attributes:
      process: itself.
      log: the file with what it printed.
    """

    process: multiprocessing.Process
    log: pathlib.Path

    @property
    def output(self) -> str:
        return self.log.read_text() if self.log.exists() else ""

    def wait_for(self, words: str, count: int = 1) -> None:
        """Until it has printed the words, so many times, or has ended."""
        deadline = time.monotonic() + FOREVER
        while self.output.count(words) < count and self.process.is_alive():
            assert time.monotonic() < deadline, self.output
            time.sleep(0.005)

    def signal(self, number: signal.Signals) -> None:
        os.kill(self.process.pid, number)

    def kill(self) -> bool:
        """SIGKILL to it and the processes that it started; whether it was still running."""
        with contextlib.suppress(ProcessLookupError):  # it has ended meanwhile
            os.killpg(self.process.pid, signal.SIGKILL)
        return self.end() == -signal.SIGKILL

    def end(self) -> int:
        """The exit code, once it has one."""
        self.process.join(FOREVER)
        assert self.process.exitcode is not None, self.output
        return self.process.exitcode


@dataclasses.dataclass
class Runs:
    """Starts processes; the data is in `folder`."""

    context: multiprocessing.context.ForkServerContext
    folder: pathlib.Path

    def start(self, workdir: pathlib.Path, *arguments: str, **settings) -> Run:
        log = self.folder / f"{workdir.name}.log"
        log.unlink(missing_ok=True)
        settings = SETTINGS | {"dataset.data_dir": self.folder / "data"} | settings
        argv = ["--config=configs/scenes.py:tasks=edge+depth", f"--workdir={workdir}"]
        argv += [f"--config.{name}={value}" for name, value in settings.items()]
        process = self.context.Process(target=run_main, args=([*argv, *arguments], log))
        process.start()
        return Run(process, log)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("faults")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", "200")
        patch.setenv("JAX_PLATFORMS", "cpu")
        patch.setenv("JAX_COMPILATION_CACHE_DIR", str(folder / "compiled"))
        patch.setenv("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
        patch.setenv("XLA_FLAGS", "--xla_backend_optimization_level=0")
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["astmt_jax.main"])
        yield Runs(context, folder)


@pytest.fixture(scope="module")
def whole(runs):
    """The folder of a run that nothing happens to."""
    folder = runs.folder / "whole"
    run = runs.start(folder)
    assert run.end() == 0, run.output
    assert not run.output.endswith("\n0 programs were compiled.\n")
    return folder


def final_state(folder: pathlib.Path) -> dict:
    """Everything in the last checkpoint, as nested dicts of arrays."""
    with ocp.StandardCheckpointer() as checkpointer:
        return checkpointer.restore(folder / "checkpoints" / str(NUM_STEPS) / "default")


def assert_same(folder: pathlib.Path, other: pathlib.Path) -> None:
    """Parameters, statistics and optimizer state bit for bit, and the results to the byte."""
    jax.tree.map(np.testing.assert_array_equal, final_state(folder), final_state(other))
    results = [(f / "results.json").read_bytes() for f in (folder, other)]
    assert results[0] == results[1]


def checkpoints(folder: pathlib.Path) -> list[int]:
    return sorted(int(p.name) for p in (folder / "checkpoints").glob("*") if p.name.isdigit())


@pytest.mark.timeout(3600)
def test_killed_again_and_again(runs, whole):
    """SIGKILL at random moments of start-up, steps, saving and evaluation.

    The moments are so many steps and milliseconds after a start; a saving that has just begun is
    hit more often than by chance.
    """
    draw = random.Random(0)
    folder = runs.folder / "killed"
    kills = {"start-up": 0, "training": 0, "evaluation": 0}
    while sum(kills.values()) < NUM_KILLS:
        run = runs.start(folder)
        moment = "training"
        if checkpoints(folder)[-1:] == [NUM_STEPS]:
            moment = "evaluation"
            run.wait_for("Training")
            time.sleep(draw.uniform(0, 1))
        elif draw.random() < 0.25:
            moment = "start-up"
            time.sleep(draw.uniform(0, 2))
        else:
            run.wait_for("images/s", draw.randrange(1, 6))
            time.sleep(draw.choice([draw.uniform(0, 0.01), draw.uniform(0, 0.1)]))
        kills[moment] += run.kill()
    print(f"\n{kills}, the last of them with checkpoints {checkpoints(folder)}")
    assert kills["training"] >= 10
    run = runs.start(folder)
    assert run.end() == 0, run.output
    assert_same(folder, whole)


@pytest.mark.timeout(1200)
def test_stopped_by_signals(runs, whole):
    """SIGTERM and SIGINT save the step they come in, and exit with 75; evaluation exits, too.

    A run that goes on finds all its programs compiled.
    """
    folder = runs.folder / "stopped"
    for number in (signal.SIGTERM, signal.SIGINT):
        before = checkpoints(folder)[-1:] or [0]
        run = runs.start(folder)
        run.wait_for("images/s", 3)
        run.signal(number)
        assert run.end() == 75, run.output
        step = int(
            re.search(rf"Stopped by a signal after step (\d+) of {NUM_STEPS}", run.output)[1]
        )
        assert checkpoints(folder)[-1] == step
        assert before[0] + 3 <= step < NUM_STEPS
        assert "Traceback" not in run.output
    run = runs.start(folder)
    run.wait_for("Evaluating")
    run.signal(signal.SIGTERM)
    assert run.end() == 75, run.output
    assert "Traceback" not in run.output
    run = runs.start(folder)
    assert run.end() == 0, run.output
    assert run.output.endswith("\n0 programs were compiled.\n")
    assert_same(folder, whole)


@pytest.mark.timeout(1200)
def test_second_interrupt_ends_at_once(runs):
    run = runs.start(runs.folder / "impatient")
    run.wait_for("images/s", 2)
    run.signal(signal.SIGSTOP)  # so that both arrive within one step
    run.signal(signal.SIGTERM)
    run.signal(signal.SIGINT)
    run.signal(signal.SIGCONT)
    assert run.end() in (-signal.SIGINT, -signal.SIGTERM, 75)


@pytest.fixture
def small_disk(tmp_path):
    """A disk with room for one checkpoint; `resize` makes it larger."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=5m", "tmpfs", str(folder)]
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"needs the right to mount a tmpfs: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.timeout(1200)
def test_full_disk(runs, whole, small_disk):
    """One sentence, the checkpoint before intact, and on it goes once there is space."""
    folder = small_disk / "run"
    run = runs.start(folder)
    assert run.end() == 1
    assert f"\nError: The disk of {folder} is full" in run.output
    assert "Traceback" not in run.output
    intact = checkpoints(folder)
    assert len(intact) == 1
    subprocess.run(["mount", "-o", "remount,size=100m", str(small_disk)], check=True)
    run = runs.start(folder)
    assert run.end() == 0, run.output
    assert f"Going on from the checkpoint of step {intact[0]}" in run.output
    assert_same(folder, whole)


@pytest.mark.timeout(1200)
def test_full_disk_from_the_start(runs, small_disk):
    """Not even config.json fits: one sentence, and no half of it is left."""
    (small_disk / "other").write_bytes(bytes(5 * 2**20))
    folder = small_disk / "run"
    run = runs.start(folder)
    assert run.end() == 1
    assert f"\nError: The disk of {folder} is full" in run.output
    assert "Traceback" not in run.output
    assert not folder.exists() or not [p for p in folder.iterdir() if p.is_file()]
