"""Weights into a run's folder and out of it, on the command line."""

import json
import pathlib
import sys

import jax
import numpy as np
import pytest
from absl.testing import flagsaver
from array_record.python import array_record_data_source  # noqa: F401 (see `run`)
from networks import random_variables

from astmt_jax import convert as convert_command
from astmt_jax import main
from astmt_jax.command_line import config_flag
from astmt_jax.config import from_config_dict
from astmt_jax.training import loop
from astmt_jax.training.experiment import Experiment
from astmt_jax.training.state import TrainState
from astmt_jax.training.workdir import imported_settings, recorded_config
from astmt_jax.weights.files import read_tensors, write_tensors
from astmt_jax.weights.original import from_torch, to_torch

SETTINGS = {
    "dataset.options.image_size": 64,
    "dataset.options.num_train": 8,
    "dataset.options.num_val": 4,
    "model.width_multiplier": 0.0625,
    "train.image_size": 64,
    "train.batch_size": 4,
    "train.epochs": 1,
}


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    return tmp_path_factory.mktemp("data")


@pytest.fixture
def run(monkeypatch, data_dir):
    """Runs a command in this process; returns what it exits with, None for success.

    array_record, imported above, defines flags, which must not happen while flags are saved.
    """
    config = [
        "--config=configs/scenes.py:tasks=edge+depth",
        f"--config.dataset.data_dir={data_dir}",
    ]
    config += [f"--config.{name}={value}" for name, value in SETTINGS.items()]

    def run(command, *arguments, configured=True):
        argv = ["command", *(config if configured else ()), *map(str, arguments)]
        monkeypatch.setattr(sys, "argv", argv)  # where config_flags looks for overridden fields
        with flagsaver.flagsaver():
            try:
                command(config_flag.parse_flags(argv)[:1])
            except SystemExit as end:
                return end.code

    return run


@pytest.fixture
def experiment(run):
    """The experiment of the settings above, with input in 0..255."""
    made = []
    run(lambda argv: made.append(main.settings(pathlib.Path("nowhere"))))
    config = from_config_dict(
        made[0].to_dict() | {"train": made[0].to_dict()["train"] | {"normalize": "none"}}
    )
    return Experiment(config)


@pytest.fixture
def tensors(experiment):
    return to_torch(*random_variables(experiment.network), experiment.network)


@pytest.fixture
def file(tmp_path, tensors):
    path = tmp_path / "weights.npz"
    write_tensors(path, tensors)
    return path


@pytest.fixture
def workdir(tmp_path, run, file):
    """A folder made from the file."""
    path = tmp_path / "runs" / "imported"
    assert not run(convert_command.main, f"--checkpoint={file}", f"--workdir={path}")
    return path


def test_round_trip_is_exact(run, tensors, workdir, tmp_path):
    """File -> folder -> file, without --config the second time; nothing else is left behind."""
    assert [path.name for path in workdir.parent.iterdir()] == ["imported"]
    exported = tmp_path / "new" / "exported.safetensors"
    arguments = (f"--workdir={workdir}", f"--export={exported}")
    assert not run(convert_command.main, *arguments, configured=False)
    found = read_tensors(exported)
    assert found.keys() == tensors.keys()
    for name, value in tensors.items():
        np.testing.assert_array_equal(found[name], value)
    exported.write_bytes(b"mine")
    code = run(convert_command.main, *arguments, configured=False)
    assert code == (
        f"Error: {exported} exists already: choose another --export, or say --overwrite to "
        "replace it."
    )
    assert exported.read_bytes() == b"mine"
    assert not run(convert_command.main, *arguments, "--overwrite", configured=False)
    again = read_tensors(exported)
    assert again.keys() == found.keys()
    assert all(np.array_equal(again[name], value) for name, value in found.items())


def test_evaluation_sees_the_input_that_the_weights_expect(
    run, experiment, tensors, workdir, tmp_path, capsys
):
    """With the same --config, whose own scaling is another one, results are those for 0..255."""
    assert not run(main.main, f"--workdir={workdir}", "--mode=eval")
    assert "config.train.normalize=none" in capsys.readouterr().out
    results = json.loads((workdir / "results.json").read_text())
    assert results["step"] == 0
    params, stats = from_torch(tensors, experiment.network)
    state = TrainState(0, params, stats, params)
    source = experiment.open_splits().evaluation
    expected = experiment.evaluate(state, source, 0, tmp_path / "other").scores.results
    assert results["results"] == expected


def test_other_scaling_is_refused(run, workdir):
    """Asking for another scaling than recorded contradicts it; the same is welcome."""
    code = run(
        main.main, f"--workdir={workdir}", "--mode=eval", "--config.train.normalize=imagenet"
    )
    assert "config.train.normalize: 'none' -> 'imagenet'" in code
    assert not (workdir / "results.json").exists()
    found = []
    run(
        lambda argv: found.append(main.settings(workdir)),
        "--config.train.normalize=none",
    )
    assert found[0].train.normalize == "none"


def test_scaling_can_be_given_at_import(run, file, tmp_path):
    """For weights that were trained here and exported."""
    path = tmp_path / "mine"
    arguments = (f"--checkpoint={file}", f"--workdir={path}", "--config.train.normalize=imagenet")
    assert not run(convert_command.main, *arguments)
    assert recorded_config(path).train.normalize == "imagenet"
    assert imported_settings(path) == {"train.normalize": "imagenet"}


def test_a_file_of_ours_says_which_scaling_its_weights_expect(run, file, tmp_path, capsys):
    scaling = "--config.train.normalize=imagenet"
    first, second, third = (tmp_path / name for name in ("first", "second", "third"))
    assert not run(convert_command.main, f"--checkpoint={file}", f"--workdir={first}", scaling)
    for again, workdir in (("ours.safetensors", second), ("ours.npz", third)):
        export = tmp_path / again
        arguments = (f"--workdir={first}", f"--export={export}")
        assert not run(convert_command.main, *arguments, configured=False)
        assert (scaling in capsys.readouterr().out) == (export.suffix == ".npz")
        assert not run(convert_command.main, f"--checkpoint={export}", f"--workdir={workdir}")
    assert recorded_config(second).train.normalize == "imagenet"
    assert recorded_config(third).train.normalize == "none"


def test_training_goes_on_from_imported_weights(run, workdir, tensors, monkeypatch):
    states = []
    monkeypatch.setattr(loop.Loop, "run", lambda self, state, profile: states.append(state))
    monkeypatch.setattr(loop, "finish", lambda *arguments: {})
    assert not run(main.main, f"--workdir={workdir}")
    network = Experiment(recorded_config(workdir)).network
    found = to_torch(states[0].params, states[0].stats, network)
    for name, value in tensors.items():
        np.testing.assert_array_equal(found[name], value)
    assert int(states[0].step) == 0
    momentum = jax.tree.leaves(states[0].optimizer)
    assert not any(np.any(value) for value in momentum)


def test_folder_in_use_is_refused(run, file, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    before = sorted(tmp_path.iterdir())
    code = run(convert_command.main, f"--checkpoint={file}", f"--workdir={tmp_path}")
    assert code == f"Error: {tmp_path} is not empty: choose a new folder as --workdir."
    assert sorted(tmp_path.iterdir()) == before


def test_empty_folder_is_welcome(run, file, tmp_path):
    (tmp_path / "empty").mkdir()
    assert not run(convert_command.main, f"--checkpoint={file}", f"--workdir={tmp_path / 'empty'}")
    assert (tmp_path / "empty" / "checkpoints" / "0").is_dir()


def test_weights_that_do_not_fit(run, tensors, tmp_path):
    """Everything is listed, and nothing is written."""
    path = tmp_path / "weights.npz"
    del tensors["conv1.weight"]
    write_tensors(path, tensors | {"fc.bias": np.ones(3)})
    code = run(convert_command.main, f"--checkpoint={path}", f"--workdir={tmp_path / 'new'}")
    lines = code.splitlines()
    assert lines[0].startswith(f"Error: {path} does not fit the configuration: 2 tensors")
    assert lines[1:] == ["  missing: conv1.weight", "  unused: fc.bias"]
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("arguments", "configured", "words"),
    [
        (["--workdir=new"], True, ["--checkpoint=FILE", "--export=FILE"]),
        (["--checkpoint=x.npz"], True, ["--workdir=DIR"]),
        (["--workdir=new", "--checkpoint=x.npz", "--export=y.npz"], True, ["--export=FILE"]),
        (["--workdir=new", "--checkpoint=x.npz"], False, ["--config=FILE"]),
        (["--workdir=new", "--checkpoint=x.npz"], True, ["no file x.npz"]),
        (["--workdir=new", "--checkpoint=x.zip"], True, ["x.zip", ".safetensors"]),
        (["--workdir=new", "--export=y.npz"], False, ["no run in new"]),
        (["--workdir=new", "--export=y.npz"], True, ["leave out --config"]),
        (["--workdir=new", "--export=y.zip"], False, ["y.zip", ".safetensors"]),
        (["--workdir=new", "--checkpoint=x.npz", "--overwrite"], True, ["the file of --export"]),
    ],
)
def test_misuse_ends_with_one_sentence(run, arguments, configured, words):
    code = run(convert_command.main, *arguments, configured=configured)
    assert code.startswith("Error: ")
    assert "\n" not in code
    for word in words:
        assert word in code
    assert not pathlib.Path("new").exists()
