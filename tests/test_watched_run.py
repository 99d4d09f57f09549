"""A run that is evaluated on the way, end to end: what it shows, what it keeps, and killed."""

import dataclasses
import json
import os
import pathlib
import signal

import jax
import numpy as np
import pytest
from forked_programs import FOREVER, TRAINING_IMPORTS, Program, Programs, programs
from quick_settings import QUICK_SETTINGS
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from astmt_jax.config import from_config_dict
from astmt_jax.files import documents
from astmt_jax.runtime.interruption import EXIT_CODE
from astmt_jax.trained_model import load
from astmt_jax.training.checkpoint import Checkpoints
from astmt_jax.training.experiment import Experiment

SETTINGS = QUICK_SETTINGS | {
    "train.epochs": 3,
    "train.log_every_steps": 1,
    "train.checkpoint_every_steps": 5,
    "dataset.train_split": "train[:10]",
}
WATCHED = {
    "train.eval_every_epochs": 1,
    "train.best_by": "normals.mean",
    "dataset.validation_split": "train[10:]",
}
DUE = [2, 4, 6]
"""Ends of epochs: 10 images are two batches of 4."""


@dataclasses.dataclass
class Runs:
    """Starts runs in folders of one."""

    folder: pathlib.Path
    programs: Programs

    def start(self, workdir: str, *arguments: str, **settings) -> Program:
        command = ["astmt_jax.main", "--config=configs/scenes.py:tasks=normals+depth"]
        command += [f"--workdir={self.folder / workdir}"]
        command += [f"--config.dataset.data_dir={self.folder / 'data'}"]
        values = SETTINGS | {name.replace("__", "."): value for name, value in settings.items()}
        return self.programs.start(
            *command, *(f"--config.{name}={value}" for name, value in values.items()), *arguments
        )

    def watched(self, workdir: str, *arguments: str) -> Program:
        names = {name.replace(".", "__"): value for name, value in WATCHED.items()}
        return self.start(workdir, *arguments, **names)


def finish(program):
    """Waits for success; returns what was printed."""
    output, errors = program.communicate(timeout=FOREVER)
    assert program.returncode == 0, errors
    return output


def read(folder, name="results.json"):
    return json.loads((folder / name).read_text())


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A run without evaluations, 'plain', and the same with them, 'watched'."""
    folder = tmp_path_factory.mktemp("watched")
    environment = os.environ | {"COLUMNS": "200", "JAX_PLATFORMS": "cpu"}
    with programs(folder, environment, *TRAINING_IMPORTS) as forked:
        started = Runs(folder, forked)
        finish(started.start("plain"))
        finish(started.watched("watched"))
        yield started


def final_state(folder):
    """All that the last checkpoint holds."""
    experiment = Experiment(from_config_dict(documents.read_document(folder / "config.json")))
    with Checkpoints(folder, read_only=True) as checkpoints:
        assert checkpoints.latest_step() == DUE[-1]
        return experiment.restore(experiment.train_step(2), checkpoints)


def test_evaluation_changes_nothing_that_is_learnt(runs):
    """Not a bit of variables, statistics and the optimizer's state."""
    states = [final_state(runs.folder / name) for name in ("plain", "watched")]
    jax.tree.map(np.testing.assert_array_equal, *states)


def test_the_best_on_the_validation_split_is_scored_on_the_other(runs):
    """results.json says so; without being asked, the last one is."""
    folder = runs.folder / "watched"
    evaluations = read(folder, "evaluations.json")
    values = {it["step"]: it["results"]["normals"]["mean"] for it in evaluations["evaluations"]}
    assert list(values) == DUE
    best = min(DUE, key=values.get)
    found = read(folder)
    assert (found["checkpoint"], found["step"], found["split"]) == ("best", best, "val")
    assert found["chosen_by"] == {
        "best_by": "normals.mean",
        "split": "train[10:]",
        "images": 4,
        "step": best,
        "value": values[best],
        "among_steps": DUE,
    }
    assert load(folder).step == best
    plain = read(runs.folder / "plain")
    assert (plain["checkpoint"], plain["step"]) == ("last", DUE[-1])
    assert "chosen_by" not in plain


def test_either_checkpoint_can_be_scored(runs):
    folder = runs.folder / "watched"
    before = (folder / "results.json").read_bytes()
    finish(runs.watched("watched", "--mode=eval", "--score=last"))
    last, plain = read(folder), read(runs.folder / "plain")
    assert (last["checkpoint"], last["step"]) == ("last", DUE[-1])
    assert last["results"] == plain["results"]
    finish(runs.watched("watched", "--mode=eval"))
    assert (folder / "results.json").read_bytes() == before


def test_a_run_without_a_best_checkpoint_has_none_to_score(runs):
    output, errors = runs.start("plain", "--mode=eval", "--score=best").communicate()
    assert output == ""
    assert errors.splitlines()[-1].startswith("Error: There is no checkpoint in ")
    assert "Traceback" not in errors


def test_the_dashboard_shows_the_evaluations(runs):
    """Curves and pictures at every one, the score at the end, and what every number is."""
    folder = runs.folder / "watched"
    accumulator = EventAccumulator(str(folder), size_guidance={"tensors": 0})
    accumulator.Reload()
    curves, best = accumulator.Tags()["tensors"], read(folder)["step"]
    steps = {tag: sorted({it.step for it in accumulator.Tensors(tag)}) for tag in curves}
    for tag in ("normals_mean", "depth_rmse"):
        assert steps[f"validation/{tag}"] == DUE
        assert best in steps[f"eval/{tag}"]
    assert steps["validation_normals/below_30"] == DUE
    assert steps["validation_pictures/normals"] == steps["validation_pictures/depth"] == DUE
    scalars = accumulator.summary_metadata
    undescribed = [
        tag
        for tag, metadata in scalars.items()
        if metadata.plugin_data.plugin_name == "scalars" and not metadata.summary_description
    ]
    assert undescribed == []
    assert "<30° of the task normals" in scalars["validation_normals/below_30"].summary_description


def test_killed_and_stopped_it_ends_the_same(runs):
    """Stopped before, in or after the first evaluation, and killed right after the last."""
    folder = runs.folder / "killed"
    for moment, number in (("step 2/", signal.SIGTERM), ("after step 6,", signal.SIGKILL)):
        program = runs.watched("killed")
        program.wait_for(moment)
        program.send_signal(number)
        program.communicate()
        assert program.returncode == (EXIT_CODE if number == signal.SIGTERM else -number)
    assert "images/s" not in finish(runs.watched("killed"))
    for name in ("results.json", "evaluations.json"):
        assert (folder / name).read_bytes() == (runs.folder / "watched" / name).read_bytes()
    states = [final_state(runs.folder / name) for name in ("killed", "watched")]
    jax.tree.map(np.testing.assert_array_equal, *states)
    assert not list(folder.glob("*.unfinished"))


def test_the_best_is_not_chosen_by_another_rule_on_the_way(runs):
    program = runs.watched("watched", "--config.train.best_by=depth.rmse")
    output, errors = program.communicate()
    assert program.returncode == 1
    assert "holds evaluations with other settings (best_by)" in errors.splitlines()[-1]
    assert "Traceback" not in errors
    assert "Training" not in output
