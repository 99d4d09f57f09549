"""A run that is killed, stopped and out of disk space ends as one that never was.

python -m pytest -m faults
"""

import itertools
import pathlib
import random
import re
import signal
import time

import jax
import numpy as np
import orbax.checkpoint as ocp
import pytest
from forked_programs import TRAINING_IMPORTS, programs, training_environment
from forked_runs import NUM_STEPS, Run, Runs
from jax.sharding import SingleDeviceSharding

pytestmark = pytest.mark.faults

NUM_KILLS = 20
OF_TWO = {"dataset.options.num_val": 40, "train.epochs": 6, "train.eval_every_epochs": 2}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("faults")
    with programs(folder, training_environment(folder), *TRAINING_IMPORTS) as forked:
        yield Runs(forked, folder)


@pytest.fixture(scope="module")
def whole(runs):
    """The folder of a run that nothing happens to."""
    folder = runs.folder / "whole"
    run = runs.start(folder)
    assert run.end() == 0, run.output
    assert not run.output.endswith("\n0 programs were compiled.\n")
    return folder


def last_of(folder: pathlib.Path, kind: str = "checkpoints") -> dict:
    """Everything in the last checkpoint of a kind, as nested dicts of arrays."""
    path = folder / kind / str(checkpoints(folder, kind)[-1]) / "default"
    here = SingleDeviceSharding(jax.devices()[0])
    with ocp.StandardCheckpointer() as checkpointer:
        described = jax.tree.map(
            lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=here),
            dict(checkpointer.metadata(path).item_metadata.tree),
        )
        return checkpointer.restore(path, described)


def assert_same(folder: pathlib.Path, other: pathlib.Path) -> None:
    """Parameters, statistics and optimizer state bit for bit, and the results to the byte.

    What is best by the evaluations on the way is the same, too.
    """
    for kind in ("checkpoints", "best"):
        assert checkpoints(folder, kind)[-1] == checkpoints(other, kind)[-1]
        jax.tree.map(np.testing.assert_array_equal, last_of(folder, kind), last_of(other, kind))
    for name in ("results.json", "evaluations.json"):
        assert (folder / name).read_bytes() == (other / name).read_bytes()


def checkpoints(folder: pathlib.Path, kind: str = "checkpoints") -> list[int]:
    return sorted(int(p.name) for p in (folder / kind).glob("*") if p.name.isdigit())


@pytest.mark.timeout(3600)
def test_killed_again_and_again(runs, whole):
    """SIGKILL at random moments of start-up, steps, saving and evaluation.

    The moments are so many steps and milliseconds after a start; a saving that has just begun is
    hit more often than by chance.
    """
    draw, folders = random.Random(0), itertools.count()
    kills = {"start-up": 0, "training": 0, "evaluation": 0}
    while not are_enough(kills):
        folder = runs.folder / f"killed{next(folders)}"
        kill_through(runs, folder, draw, kills)
        run = runs.start(folder)
        assert run.end() == 0, run.output
        assert_same(folder, whole)


def are_enough(kills: dict) -> bool:
    return sum(kills.values()) >= NUM_KILLS and kills["training"] >= NUM_KILLS // 2


def kill_through(runs: Runs, folder: pathlib.Path, draw: random.Random, kills: dict) -> None:
    """Kills a run until that was enough, or until it was killed twice in its evaluation.

    Args:
      runs: starts it.
      folder: of the run.
      draw: the moments.
      kills: how many there were, by moment; counted on.
    """
    evaluations = kills["evaluation"] + 2
    while not are_enough(kills) and kills["evaluation"] < evaluations:
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


@pytest.mark.timeout(1200)
def test_full_disk(runs, whole, small_disk):
    """One sentence, the checkpoint before intact, and on it goes once there is space."""
    folder = small_disk("5m") / "run"
    run = runs.start(folder)
    assert run.end() == 1
    assert f"\nError: The disk of {folder} is full" in run.output
    assert "Traceback" not in run.output
    intact = checkpoints(folder)
    assert len(intact) == 1
    small_disk("100m")
    run = runs.start(folder)
    assert run.end() == 0, run.output
    assert f"Going on from the checkpoint of step {intact[0]}" in run.output
    assert_same(folder, whole)


@pytest.mark.timeout(1200)
def test_full_disk_from_the_start(runs, small_disk):
    """Not even config.json fits: one sentence, and no half of it is left."""
    disk = small_disk("5m")
    (disk / "other").write_bytes(bytes(5 * 2**20))
    folder = disk / "run"
    run = runs.start(folder)
    assert run.end() == 1
    assert f"\nError: The disk of {folder} is full" in run.output
    assert "Traceback" not in run.output
    assert not folder.exists() or not [p for p in folder.iterdir() if p.is_file()]


@pytest.fixture(scope="module")
def whole_of_two(runs):
    """The folder of a run of two processes that nothing happens to."""
    folder = runs.folder / "whole_of_two"
    started = runs.start_two(folder, **OF_TWO)
    assert [run.end() for run in started] == [0, 0], started[0].output
    return folder


def assert_stopped(started: tuple[Run, Run]) -> None:
    """Both have ended as after SIGTERM; only the first of them speaks."""
    assert [run.end() for run in started] == [75, 75], started[0].output
    assert "\nStopped by a signal" in started[0].output
    assert "Traceback" not in started[0].output + started[1].output


@pytest.mark.timeout(1200)
def test_one_of_two_is_stopped(runs, whole_of_two):
    """Both stop after the same step, or the same batch of the evaluation, and go on from there.

    The second one gets the signal: in training, before the first step, and at the end of training.
    """
    folder = runs.folder / "one_stopped"
    for moment, count in (("images/s", 2), ("Training", 1)):
        before = checkpoints(folder)[-1:] or [0]
        started = runs.start_two(folder, **OF_TWO)
        started[0].wait_for(moment, count)
        started[1].signal(signal.SIGTERM)
        assert_stopped(started)
        step = int(re.search(r"Stopped by a signal after step (\d+)", started[0].output)[1])
        assert checkpoints(folder)[-1] == step
        assert before[0] < step < checkpoints(whole_of_two)[-1]
    started = runs.start_two(folder, **OF_TWO)
    started[0].wait_for("step 18/18")
    started[0].signal(signal.SIGSTOP)  # so that there is something left to evaluate
    started[1].signal(signal.SIGTERM)
    time.sleep(3)  # JAX looks for signals once a second
    started[0].signal(signal.SIGCONT)
    assert_stopped(started)
    assert "Stopped by a signal after step" not in started[0].output
    started = runs.start_two(folder, **OF_TWO)
    assert [run.end() for run in started] == [0, 0], started[0].output
    assert_same(folder, whole_of_two)


def assert_ends_with_the_other(run: Run, index: int) -> None:
    """Soon after the other one it ends, by itself or by JAX, which is often first to notice."""
    begin = time.monotonic()
    code = run.end()
    seconds = time.monotonic() - begin
    print(f"\nProcess {index} ended {seconds:.1f} s later with {code}")
    assert seconds < 60
    if code == -signal.SIGABRT:
        assert "JAX distributed service detected fatal errors" in run.output
    else:
        assert code == 1, run.output
        assert f"\nError: Process {index} of 2 has lost another one" in run.output
        assert "Traceback" not in run.output


@pytest.mark.timeout(1200)
def test_one_of_two_fails(runs, whole_of_two):
    """It says why and ends without the other one, but what both were saving is on disk."""
    folder = runs.folder / "one_failed"
    started = runs.start_two(folder, second_fails=True, **OF_TWO)
    assert started[1].end() == 1
    assert "RuntimeError: This process alone fails in step 2." in started[1].output
    assert_ends_with_the_other(started[0], 0)
    assert checkpoints(folder) == [2]
    started = runs.start_two(folder, **OF_TWO)
    assert [run.end() for run in started] == [0, 0], started[0].output
    assert "Going on from the checkpoint of step 2" in started[0].output
    assert_same(folder, whole_of_two)


@pytest.mark.timeout(1200)
def test_both_fail(runs):
    """They end as a single one would, and wait for one another."""
    settings = {"optimizer.learning_rate": 1e30, "train.checkpoint_every_steps": 1}
    started = runs.start_two(runs.folder / "both_failed", **OF_TWO | settings)
    assert [run.end() for run in started] == [1, 1]
    for run in started:
        assert re.search(r"\nError: The loss of task \w+ is \S+ at step \d+", run.output)
        assert "Traceback" not in run.output


@pytest.mark.timeout(1200)
def test_one_of_two_is_killed(runs, whole_of_two):
    """The other one ends, soon; both go on from the last checkpoint."""
    folder = runs.folder / "one_killed"
    for victim in (1, 0):
        started = runs.start_two(folder, **OF_TWO)
        started[0].wait_for("images/s", 5)  # as saving step 4 waits for step 2 to be saved
        assert started[victim].kill()
        assert_ends_with_the_other(started[1 - victim], 1 - victim)
    started = runs.start_two(folder, **OF_TWO)
    assert [run.end() for run in started] == [0, 0], started[0].output
    assert "Going on from the checkpoint of step" in started[0].output
    assert_same(folder, whole_of_two)
