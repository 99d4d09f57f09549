"""What is evaluated on the way, and what is caught up with after a kill; scores are made up."""

import dataclasses
import json
import shutil
import types

import numpy as np
import pytest
from settings import assert_one_sentence, settings
from test_train import state_after

from astmt_jax.config import from_config_dict
from astmt_jax.datasets import registry
from astmt_jax.models.network import Network
from astmt_jax.runtime.interruption import Interrupted
from astmt_jax.training import watch as module
from astmt_jax.training.checkpoint import CheckpointError, Checkpoints
from astmt_jax.training.criterion import SelectionError
from astmt_jax.training.state import TrainedVariables
from astmt_jax.training.trained import best_step, restore_variables, standing
from astmt_jax.training.watch import Watch

CONFIG = from_config_dict(
    settings(
        tasks=("depth",),
        train__epochs=7,
        train__eval_every_epochs=2,
        train__best_by="depth.rmse",
        dataset__train_split="train[:90%]",
        dataset__validation_split="train[90%:]",
        discriminator__weight=0.0,
    )
)
STEPS_PER_EPOCH = 3
DUE = [6, 12, 18, 21]
RMSE = {6: 3.0, 12: 1.0, 18: 2.0, 21: 1.0}


class FakeRun:
    """An experiment that scores nothing, and its dashboard.

    Attributes:
      evaluated: steps whose state was scored.
      shown: (step, prefix) of what was shown.
    """

    def __init__(self):
        self.config = CONFIG
        self.dataset = registry.find("scenes")
        self.tasks = registry.tasks_of(CONFIG)
        self.scored_by = {"dataset": "scenes"}
        self.baselines = None
        self.evaluated = []
        self.shown = []

    def evaluate(self, state, source, num_rows, notes, *, check):
        check()
        step = int(state.step)
        self.evaluated.append(step)
        scores = types.SimpleNamespace(results={"depth": {"rmse": RMSE[step]}})
        return types.SimpleNamespace(scores=scores, rows=[])

    def drops(self, results):
        return {}

    def evaluation(self, step, prefix, results, drops, strips):
        self.shown.append((step, prefix))


@pytest.fixture
def run(monkeypatch):
    monkeypatch.setattr(module, "draw_strip", lambda rows, task: np.zeros((1, 1, 3), np.uint8))
    return FakeRun()


def watching(run, folder, config=CONFIG):
    """As a run begins, or goes on."""
    run.config = config
    source = types.SimpleNamespace(length=4)
    validation = source if config.dataset.validation_split else None
    splits = types.SimpleNamespace(
        validation=validation, evaluation=source, steps_per_epoch=STEPS_PER_EPOCH
    )
    return Watch(run, splits, folder)


def train(run, watch, first=0, last=21, check=lambda: None):
    """What the loop does with it."""
    for step in range(first, last + 1):
        if watch.is_due(step):
            watch.evaluate(step, state_after(step), run, check)


def saved(folder):
    with Checkpoints(folder, read_only=True, name="best") as checkpoints:
        return checkpoints.restore_variables(variables(state_after(0)))


def variables(state):
    return TrainedVariables(state.step, state.params, state.stats, state.average)


def test_the_best_is_kept_with_its_variables(run, tmp_path):
    """Of equal ones the first; the last state is evaluated, though no second epoch ends with it."""
    train(run, watching(run, tmp_path))
    assert run.evaluated == DUE
    assert run.shown == [(step, "validation") for step in DUE]
    assert standing(tmp_path, CONFIG) == "best"
    best = saved(tmp_path)
    assert int(best.step) == 12
    np.testing.assert_array_equal(
        best.params.shared["kernel"], state_after(12).params.shared["kernel"]
    )


def test_nothing_is_evaluated_unless_asked_for(run, tmp_path):
    quiet = dataclasses.replace(
        CONFIG,
        train=dataclasses.replace(CONFIG.train, eval_every_epochs=None, best_by=None),
        dataset=dataclasses.replace(CONFIG.dataset, validation_split=""),
    )
    train(run, watching(run, tmp_path, quiet))
    assert run.evaluated == []
    assert list(tmp_path.iterdir()) == []
    assert standing(tmp_path, quiet) == "last"


def test_the_reported_split_is_left_to_the_end(run, tmp_path):
    """Curves on it end with what `finish` writes, under the same names."""
    curves = dataclasses.replace(
        CONFIG,
        train=dataclasses.replace(CONFIG.train, best_by=None),
        dataset=dataclasses.replace(CONFIG.dataset, validation_split=""),
    )
    train(run, watching(run, tmp_path, curves))
    assert run.shown == [(step, "eval") for step in DUE[:-1]]
    assert best_step(tmp_path) is None


def test_a_best_checkpoint_that_is_gone_is_told_in_one_sentence(run, tmp_path):
    """That of the newest evaluation is about to be saved: until then the last one stands."""
    train(run, watching(run, tmp_path), last=12)
    shutil.rmtree(tmp_path / "best")
    assert standing(tmp_path, CONFIG) == "last"
    train(run, watching(run, tmp_path), first=18)
    shutil.rmtree(tmp_path / "best", ignore_errors=True)
    with pytest.raises(SelectionError, match=r"step 12 as the best, but there is none") as caught:
        standing(tmp_path, CONFIG)
    assert_one_sentence(str(caught.value))


def test_a_damaged_best_checkpoint_is_told_with_what_to_do(tmp_path):
    (tmp_path / "best" / "12").mkdir(parents=True)
    network = Network(CONFIG.model, {"depth": 1}, CONFIG.discriminator)
    with pytest.raises(CheckpointError, match=r"best checkpoint .* --score=last\.$") as caught:
        restore_variables(tmp_path, CONFIG, network, which="best")
    assert_one_sentence(str(caught.value))


def stopped():
    raise Interrupted


@pytest.mark.parametrize("moment", ["evaluation", "dashboard", "record", "best"])
@pytest.mark.parametrize("step", DUE)
def test_killed_at_any_moment_it_ends_the_same(run, tmp_path, monkeypatch, moment, step):
    """Before or in an evaluation, and after each thing that is written, of each evaluation."""
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    for folder in (whole, killed):
        folder.mkdir()
    train(run, watching(run, whole))
    watch = watching(run, killed)
    train(run, watch, last=step - 1)
    with monkeypatch.context() as patch:
        if moment == "dashboard":
            patch.setattr(run, "evaluation", lambda *a: stopped())
        if moment == "record":
            patch.setattr(watch._evaluations, "write", stopped)
        if moment == "best":
            patch.setattr(module.Checkpoints, "save", lambda *a: stopped())
        check = stopped if moment == "evaluation" else lambda: None
        try:
            train(run, watch, first=step, last=step, check=check)
        except Interrupted:
            pass
        else:
            assert moment == "best"
            assert step in (18, 21)  # which are not the best
    run.evaluated.clear()
    train(run, watching(run, killed), first=step)
    assert run.evaluated == DUE[DUE.index(step) + (moment == "best") :]
    names = {path.name for path in whole.iterdir()}
    assert names == {path.name for path in killed.iterdir()} == {"best", "evaluations.json"}
    assert (whole / "evaluations.json").read_bytes() == (killed / "evaluations.json").read_bytes()
    assert int(saved(killed).step) == int(saved(whole).step) == 12
    assert json.loads((killed / "evaluations.json").read_text())["best"]["step"] == 12
