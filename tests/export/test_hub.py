"""Folders for model hubs: read back bit by bit, with a card that says what the run was."""

import dataclasses
import json
import pathlib
import shutil

import numpy as np
import pytest
import safetensors.numpy
import yaml
from tiny_network import TinyNetwork
from tiny_run import STEP, TASKS, tiny_config, tiny_model, write_run

from astmt_jax import trained_model
from astmt_jax.evaluation.results import write_results
from astmt_jax.evaluation.scoring import Scores
from astmt_jax.export import __main__ as export
from astmt_jax.export import hub
from astmt_jax.export.card import model_card
from astmt_jax.trained_model import load
from astmt_jax.training.workdir import CONFIG_FILE, record_import
from astmt_jax.weights.checks import WeightsError

RESULTS = {
    "semseg": {"mIoU": 0.25},
    "normals": {"mean": 18.5, "median": 7.25},
    "edge": {"odsF": 0.5},
    "depth": {"rmse": float("nan")},
}
PLAIN = {
    "model__encoder_norm": "shared",
    "model__encoder_se": "shared",
    "model__encoder_adapters": False,
    "model__decoder_norm": "shared",
    "model__decoder_se": False,
    "model__decoder_adapters": False,
}
"""Settings of plain multi-task learning: tasks own nothing but prediction layers."""
PHOTO = np.random.default_rng(0).integers(0, 256, (24, 40, 3)).astype(np.uint8)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A scored run."""
    folder = tmp_path_factory.mktemp("hub") / "run"
    write_run(folder)
    about = {"split": "val", "images": 5, "step": STEP, "protocol": "astmt"}
    write_results(folder / "results.json", Scores(RESULTS, {}), about)
    return folder


@pytest.fixture(autouse=True)
def tiny_networks(monkeypatch):
    monkeypatch.setattr(trained_model, "Network", TinyNetwork)


def exported(run, output, *arguments):
    """Runs the command; returns its exit code, None for success."""
    try:
        export.main([f"--workdir={run}", "--format=hub", f"--output={output}", *arguments])
    except SystemExit as end:
        return end.code


def card(folder):
    """Front matter and text of a card."""
    _, front, text = (folder / "README.md").read_text().split("---\n", 2)
    return yaml.safe_load(front), text


@pytest.fixture(scope="module")
def folder(run):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trained_model, "Network", TinyNetwork)
        assert exported(run, run.with_name("folder")) is None
    return run.with_name("folder")


@pytest.fixture
def theirs(folder, tmp_path):
    """A copy of the folder, to be spoilt."""
    return pathlib.Path(shutil.copytree(folder, tmp_path / "theirs"))


def test_what_is_read_back_predicts_the_same_bits(run, folder):
    assert sorted(path.name for path in folder.iterdir()) == [
        "README.md",
        "config.json",
        "model.safetensors",
    ]
    model, back = load(run), load(folder)
    assert back.step == STEP
    expected, found = model.predict(PHOTO), back.predict(PHOTO)
    assert list(found) == list(TASKS)
    for name in TASKS:
        np.testing.assert_array_equal(found[name], expected[name])


def test_an_exported_folder_is_exported_again(folder, tmp_path):
    """A hub's folder is a run's to every command that loads one; it has no results.json."""
    assert exported(folder, tmp_path / "again") is None
    first, second = (
        safetensors.numpy.load_file(path / "model.safetensors")
        for path in (folder, tmp_path / "again")
    )
    assert first.keys() == second.keys()
    assert all(np.array_equal(first[name], second[name]) for name in first)
    front, text = card(tmp_path / "again")
    assert "model-index" not in front
    assert front["license"] == "other"  # the folder does not say where its weights came from
    assert "does not say how its run began" in text
    assert "drawn at random" not in text


def test_the_card_has_what_results_json_has(folder):
    front, text = card(folder)
    assert front["license"] == "apache-2.0"
    assert front["datasets"] == ["scenes"]
    assert set(TASKS) <= set(front["tags"])
    assert front["metrics"] == ["RMSE", "mIoU", "mean angle", "odsF"]
    (index,) = front["model-index"]
    values = {r["task"]["name"]: r["metrics"][0]["value"] for r in index["results"]}
    assert values == {"semseg": 0.25, "normals": 18.5, "edge": 0.5}  # NaN is no value
    assert "| semseg | mIoU ↑ | 25.0% |" in text
    assert "| depth | RMSE ↓ | n/a |" in text
    assert "On the 5 images of split `val`" in text
    config = tiny_config()
    batches = f"7 batches of {config.train.batch_size} images of 32 x 32 pixels"
    assert f"It went on for {batches}, with seed {config.seed}" in text
    assert "no photographs" in text


def test_scores_of_another_step_are_left_out(run, tmp_path):
    other = shutil.copytree(run, tmp_path / "run")
    document = json.loads((other / "results.json").read_text())
    (other / "results.json").write_text(json.dumps(document | {"step": STEP - 1}))
    assert exported(other, tmp_path / "folder") is None
    front, text = card(tmp_path / "folder")
    assert "model-index" not in front
    assert "The network was not scored." in text


def test_weights_of_others_have_their_licence(run, tmp_path):
    other = pathlib.Path(shutil.copytree(run, tmp_path / "run"))
    record_import(other, pathlib.Path("model.pth"), {"train.normalize": "imagenet"})
    assert exported(other, tmp_path / "folder") is None
    front, text = card(tmp_path / "folder")
    assert front["license"] == "other"
    assert "The terms of `scenes` and of the weights that the run began with decide" in text


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "began with the variables of another run."),
        (
            {"freeze": "shared", "trained_tasks": ("edge", "depth")},
            "began with the variables of another run, and trained only those of edge, depth.",
        ),
    ],
)
def test_a_run_that_began_with_another_one_is_not_said_to_be_from_scratch(changes, expected):
    model = tiny_model()
    model.config = dataclasses.replace(model.config, init_from="runs/six", **changes)
    text = model_card(model, None, None)
    assert expected in text
    assert "drawn at random" not in text
    assert yaml.safe_load(text.split("---\n")[1])["license"] == "other"


def test_the_card_says_by_what_a_checkpoint_was_chosen():
    model = tiny_model()
    assert "chosen" not in model_card(model, None, None)
    model.config = dataclasses.replace(
        model.config,
        dataset=dataclasses.replace(model.config.dataset, validation_split="train[80%:]"),
        train=dataclasses.replace(model.config.train, best_by="depth.rmse"),
    )
    assert "by `depth.rmse` on `train[80%:]`." in model_card(model, None, None)


@pytest.mark.parametrize(
    ("changes", "expected", "wrong"),
    [
        ({}, "each task modulates the shared features, as in", "plain multi-task"),
        (PLAIN, "as plain multi-task learning", "modulates"),
        (PLAIN | {"tasks": ("depth",)}, "dense prediction of one task: depth.", "modulates"),
    ],
)
def test_the_card_claims_no_more_than_the_network_has(changes, expected, wrong):
    text = model_card(tiny_model(**changes), None, None)
    assert expected in text
    assert wrong not in text
    assert ("It knows the classes above" in text) == ("tasks" not in changes)


def test_settings_tell_nothing_of_the_machine(run):
    config = load(run).config
    config = dataclasses.replace(
        config,
        dataset=dataclasses.replace(config.dataset, data_dir="/home/me/data"),
        model=dataclasses.replace(config.model, pretrained="/home/me/resnet.pth"),
        train=dataclasses.replace(config.train, baselines="/home/me/baselines"),
    )
    config = dataclasses.replace(config, plugins="/home/me/own_task.py+my.module")
    text = json.dumps(hub.published(config).to_dict())
    assert '"plugins": "own_task.py+my.module"' in text
    assert "/home/me" not in text
    assert '"pretrained": "resnet.pth"' in text
    started = dataclasses.replace(tiny_config(), init_from="/home/me/runs/six")
    assert hub.published(started).init_from == "six"


def test_what_exists_stays_unless_it_is_to_be_replaced(run, tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "README.md").write_text("mine")
    (folder / ".gitattributes").write_text("mine")
    assert f"{folder} exists already" in exported(run, folder)
    assert (folder / "README.md").read_text() == "mine"
    assert exported(run, folder, "--overwrite") is None
    assert (folder / "README.md").read_text().startswith("---\n")
    assert (folder / ".gitattributes").read_text() == "mine"
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("written", range(3))
def test_a_kill_leaves_no_weights_beside_settings_of_others(theirs, run, monkeypatch, written):
    """Whichever file was the last to be replaced: nothing can be loaded but the whole."""
    replace, left = pathlib.Path.replace, iter(range(written))

    def killed(path, target):
        if target.parent == theirs and next(left, None) is None:
            raise KeyboardInterrupt
        return replace(path, target)

    monkeypatch.setattr(trained_model, "Network", TinyNetwork)
    load(theirs)
    monkeypatch.setattr(pathlib.Path, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        exported(run, theirs, "--overwrite")
    with pytest.raises(FileNotFoundError):
        load(theirs)


def spoil(theirs, change, **notes):
    path = theirs / "model.safetensors"
    tensors = safetensors.numpy.load_file(path)
    change(tensors)
    safetensors.numpy.save_file(tensors, path, {"step": "7", **notes})


NAME = "params.heads.depth.bias"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop(NAME), f"missing: {NAME}"),
        (lambda t: t.update(more=np.zeros(1)), "unused: more"),
        (lambda t: t.update({NAME: np.zeros(2, np.float32)}), rf"wrong shape: {NAME} is \(2,\)"),
        (lambda t: t.update({NAME: np.zeros(1, np.int32)}), f"wrong type: {NAME} is int32"),
        (lambda t: t.update({NAME: np.float32([np.nan])}), f"not finite: {NAME} holds NaN"),
        (
            lambda t: t.update({"stats.shared.norm.var": -np.ones(8, np.float32)}),
            "negative: stats.shared.norm.var is a variance",
        ),
    ],
)
def test_tensors_of_others_are_refused_by_name(theirs, change, message):
    spoil(theirs, change)
    with pytest.raises(WeightsError, match=message):
        load(theirs)


@pytest.mark.parametrize("step", ["", "-1", "1e3", "٣", str(2**31), "9" * 400])
def test_steps_that_are_none_are_refused(theirs, step):
    spoil(theirs, lambda tensors: None, step=step)
    with pytest.raises(WeightsError, match="must note the step of training") as caught:
        load(theirs)
    assert len(str(caught.value)) < 400


def test_a_file_that_is_no_file_of_tensors_is_refused(theirs):
    (theirs / "model.safetensors").write_bytes(b"\xff" * 100)
    with pytest.raises(WeightsError, match="cannot be read as safetensors"):
        load(theirs)


def test_settings_of_others_choose_no_other_network(theirs):
    document = json.loads((theirs / CONFIG_FILE).read_text())
    document["model"]["decoder_width"] = 64
    (theirs / CONFIG_FILE).write_text(json.dumps(document))
    with pytest.raises(WeightsError, match="does not fit the settings beside it"):
        load(theirs)
