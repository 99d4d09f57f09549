"""Finished runs are kept, interrupted ones go on: with training replaced by a note that it ran."""

import contextlib
import dataclasses
import re
import time

import pytest
from settings import assert_one_sentence, settings

from astmt_jax.compare import execution
from astmt_jax.compare.ladders import paper as methods
from astmt_jax.compare.methods import runs
from astmt_jax.compare.time_left import TimeLeft
from astmt_jax.config import from_config_dict
from astmt_jax.training.exclusive import training_in
from astmt_jax.training.workdir import claim_workdir
from astmt_jax.weights.checks import WeightsError

CONFIG = from_config_dict(settings(tasks=("edge", "depth")))
PLANNED = tuple(runs(methods(CONFIG), 2))
FOLDERS = [str(run.folder) for run in PLANNED]
MULTIPLY_ADDS = {run.folder.name: 1 for run in PLANNED}


class FakeTraining:
    """Stands for `train`: claims the folder, then ends as it is told to.

    Attributes:
      trained: folders, in order, in which training began.
      fail: folder -> what is raised there, once.
    """

    RESULTS_FILE = "results.json"

    def __init__(self):
        self.trained = []
        self.fail = {}

    def open(self, config):
        self.config = config
        return self

    def open_splits(self):
        return None

    def train(self, experiment, splits, folder):
        name = f"{folder.parent.name}/{folder.name}"
        self.trained.append(name)
        assert not (folder / self.RESULTS_FILE).exists()
        claim_workdir(folder, self.config)
        if name in self.fail:
            raise self.fail.pop(name)
        (folder / self.RESULTS_FILE).write_text(name)


@pytest.fixture
def training(monkeypatch):
    fake = FakeTraining()
    monkeypatch.setattr(execution, "loop", fake)
    monkeypatch.setattr(execution, "Experiment", fake.open)
    monkeypatch.setattr(execution, "_free_memory", lambda: None)  # other tests need the caches
    return fake


def execute(workdir, planned=PLANNED):
    return [str(run.folder) for run in execution.execute(planned, workdir, MULTIPLY_ADDS)]


def test_every_run_is_done_once(training, tmp_path):
    assert execution.finished(PLANNED, tmp_path) == ()
    assert execute(tmp_path) == FOLDERS == training.trained
    assert execution.finished(PLANNED, tmp_path) == PLANNED
    assert execute(tmp_path) == []
    assert training.trained == FOLDERS


def test_interrupted_run_goes_on(training, tmp_path):
    """What was finished stays as it is; the run that was interrupted comes first."""
    training.fail[FOLDERS[3]] = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        execute(tmp_path)
    assert [str(run.folder) for run in execution.finished(PLANNED, tmp_path)] == FOLDERS[:3]
    assert execute(tmp_path) == FOLDERS[3:]
    assert training.trained == FOLDERS[:4] + FOLDERS[3:]


def test_more_seeds_are_added(training, tmp_path):
    first = PLANNED[: len(PLANNED) // 2]
    execute(tmp_path, first)
    assert execute(tmp_path) == FOLDERS[len(first) :]


def test_other_choices_of_evaluation_are_scored_anew(training, tmp_path):
    """Only there: `train` restores the last checkpoint of a trained network and scores it."""
    execute(tmp_path)
    chosen = dataclasses.replace(CONFIG.evaluation, quantize=False)
    other = tuple(runs(methods(dataclasses.replace(CONFIG, evaluation=chosen)), 2))
    assert execution.finished(other, tmp_path) == ()
    execution.check_folders(other, tmp_path)
    assert execute(tmp_path, other) == FOLDERS


def test_other_settings_are_refused(training, tmp_path):
    execute(tmp_path)
    longer = dataclasses.replace(CONFIG, train=dataclasses.replace(CONFIG.train, epochs=99))
    with pytest.raises(ValueError, match=r"seed0/single-edge.*config\.train\.epochs") as caught:
        execution.check_folders(tuple(runs(methods(longer), 1)), tmp_path)
    assert_one_sentence(str(caught.value))


def test_runs_of_other_processes_are_left_to_them(training, tmp_path, monkeypatch, capsys):
    """One ends its run while this process waits, the other dies, and its run is done here."""
    others = {name: contextlib.ExitStack() for name in FOLDERS[:2]}
    for name, stack in others.items():
        stack.enter_context(training_in(tmp_path / name))

    def wait(seconds):
        name, stack = others.popitem()
        if not others:
            claim_workdir(tmp_path / name, PLANNED[0].config)
            (tmp_path / name / training.RESULTS_FILE).write_text("by another")
        stack.close()

    monkeypatch.setattr(time, "sleep", wait)
    assert execute(tmp_path) == [*FOLDERS[2:], FOLDERS[1]]
    assert (tmp_path / FOLDERS[0] / training.RESULTS_FILE).read_text() == "by another"
    waited = [line for line in capsys.readouterr().out.splitlines() if "Waiting" in line]
    assert "that other processes do: seed0/single-edge, seed0/single-depth" in waited[0]


def test_batches_that_no_network_learns_from_are_refused_before_the_first_run(tmp_path):
    """Whichever run it is that would be refused; what is finished is not trained again."""
    train = dataclasses.replace(CONFIG.train, batch_size=3, accumulate=3)
    planned = tuple(runs(methods(dataclasses.replace(CONFIG, train=train)), 2))
    with pytest.raises(
        ValueError, match=r"^config\.train\.batch_size is 3 .* of one image"
    ) as told:
        execution.check_training(planned, tmp_path)
    assert_one_sentence(str(told.value))
    assert list(tmp_path.iterdir()) == []
    for run in planned[:-1]:
        claim_workdir(tmp_path / run.folder, run.config)
        (tmp_path / run.folder / "results.json").touch()
    with pytest.raises(ValueError, match="of one image"):
        execution.check_training(planned, tmp_path)
    claim_workdir(tmp_path / planned[-1].folder, planned[-1].config)
    (tmp_path / planned[-1].folder / "results.json").touch()
    execution.check_training(planned, tmp_path)


@pytest.mark.parametrize("kind", [FloatingPointError, WeightsError])
def test_failed_run_is_named(training, tmp_path, kind):
    training.fail[FOLDERS[2]] = kind("The loss is nan.")
    with pytest.raises(kind, match=rf"^{FOLDERS[2]}: The loss is nan\.$"):
        execute(tmp_path)


def test_runs_are_counted(training, tmp_path, capsys):
    """Among all, finished ones included."""
    training.fail[FOLDERS[3]] = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        execute(tmp_path)
    capsys.readouterr()
    execute(tmp_path)
    lines = [line for line in capsys.readouterr().out.splitlines() if "Run " in line]
    assert "Run 4 of 14: seed0/bn" in lines[0]
    assert "left" not in lines[0]
    assert re.search(r"Run 14 of 14: seed1/astmt, about 0:0\d left", lines[-1])


def test_time_left():
    """Known networks take what they took; the others 10 s for every multiply-add, as those did."""
    time_left = TimeLeft({"a": 1, "b": 2, "c": 4})
    assert time_left.of(["a"]) is None
    time_left.add("a", 8.0)
    time_left.add("b", 22.0)
    assert time_left.of(["a", "b", "c"]) == pytest.approx(8 + 22 + 40)
    assert time_left.of([]) == 0
