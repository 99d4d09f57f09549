"""The plugins in examples/, end to end: trained, gone on with, predicted, scored and reported."""

import dataclasses
import json
import pathlib
import shutil
import sys

import cv2
import numpy as np
import pytest
from absl.testing import flagsaver
from forked_programs import FOREVER, TRAINING_IMPORTS, Program, Programs, programs
from forked_programs import training_environment as environment
from plugged import EXAMPLES, forgotten
from quick_settings import QUICK_SETTINGS
from settings import assert_one_sentence

from astmt_jax import evaluate, load
from astmt_jax.command_line import config_flag
from astmt_jax.datasets import prepare, show
from astmt_jax.files import documents
from astmt_jax.predict import __main__ as predict
from astmt_jax.report import __main__ as report
from astmt_jax.training.experiment import Experiment

PLUGINS = "examples/own_task.py+examples/own_backbone.py"
BY_THEIR_PATHS = "+".join(str(EXAMPLES / name) for name in ("own_backbone.py", "own_task.py"))
VARIANT = "tasks=reflectance_edge+depth"
SETTINGS = QUICK_SETTINGS | {
    "train.epochs": 2,
    "train.log_every_steps": 3,
    "train.checkpoint_every_steps": 3,
}


@dataclasses.dataclass
class Runs:
    """Starts runs in folders of one."""

    folder: pathlib.Path
    programs: Programs

    def start(self, workdir: str, variant: str, *arguments: str) -> Program:
        command = ["astmt_jax.main", f"--config=configs/scenes.py:{variant}"]
        command += [f"--workdir={self.folder / workdir}"]
        command += [f"--config.dataset.data_dir={self.folder / 'data'}"]
        command += [f"--config.{name}={value}" for name, value in SETTINGS.items()]
        return self.programs.start(*command, *arguments)

    def finish(self, workdir: str, plugins: str, *arguments: str) -> str:
        """What a run with the plugins prints until it ends well."""
        variant = f"{VARIANT},backbone=plain9"
        program = self.start(workdir, variant, f"--config.plugins={plugins}", *arguments)
        output, errors = program.communicate(timeout=FOREVER)
        assert program.returncode == 0, errors
        return output


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """One run of a task and a backbone of plugins, in the folder 'whole'."""
    folder = tmp_path_factory.mktemp("runs")
    with programs(folder, environment(folder), *TRAINING_IMPORTS) as started:
        runs = Runs(folder, started)
        output = runs.finish("whole", PLUGINS)
        assert "Training reflectance_edge, depth on scenes" in output
        assert "F-measure" in output
        yield runs


@pytest.fixture
def whole(runs, monkeypatch):
    monkeypatch.chdir(EXAMPLES.parent)
    with forgotten():
        yield runs.folder / "whole"


def test_the_run_is_recorded_with_its_plugins(runs):
    config = json.loads((runs.folder / "whole" / "config.json").read_text())
    assert config["plugins"] == PLUGINS
    assert config["tasks"] == ["reflectance_edge", "depth"]
    results = documents.read_document(runs.folder / "whole" / "results.json")
    assert 0 < results["results"]["reflectance_edge"]["F"] < 1
    (counts,) = (results["details"]["reflectance_edge"]["right_predicted_true"],)
    assert results["results"]["reflectance_edge"]["F"] == 2 * counts[0] / (counts[1] + counts[2])
    picture = cv2.imread(str(runs.folder / "whole" / "panels.png"))
    assert picture.std() > 10


def test_a_run_goes_on_with_its_plugins(runs):
    """Wherever their files lie now."""
    whole, half = runs.folder / "whole", runs.folder / "half"
    shutil.copytree(whole, half)
    shutil.rmtree(half / "checkpoints" / "6")
    (half / "results.json").unlink()
    output = runs.finish("half", BY_THEIR_PATHS)
    assert "Going on from the checkpoint of step 3 in" in output
    assert (half / "results.json").read_bytes() == (whole / "results.json").read_bytes()


def test_a_run_does_not_go_on_without_them(runs):
    program = runs.start("whole", VARIANT)
    _, errors = program.communicate(timeout=FOREVER)
    message = errors.splitlines()[-1]
    assert program.returncode == 1
    assert message.startswith("Error: The run in ")
    assert "needs its plugins ('examples/own_task.py', 'examples/own_backbone.py')" in message
    assert "--config.plugins=NAME" in message


def test_its_folder_is_loaded_with_its_plugins_only(whole):
    with pytest.raises(ValueError, match=r"needs its plugins \('examples/own_task.py'") as caught:
        load(whole)
    assert_one_sentence(str(caught.value))
    with pytest.raises(ValueError, match=r"model\.backbone is 'plain9'"):
        load(whole, plugins=EXAMPLES / "own_task.py")
    model = load(whole, plugins=PLUGINS)
    picture = np.random.default_rng(0).integers(0, 256, (50, 64, 3)).astype(np.uint8)
    predicted = model.predict(picture)
    assert list(predicted) == ["reflectance_edge", "depth"]
    edges = predicted["reflectance_edge"]
    assert edges.shape == (50, 64)
    assert 0 <= edges.min() < edges.max() <= 1
    assert model.colorize("reflectance_edge", edges).shape == (50, 64, 3)


def test_its_predictions_are_scored_as_the_run_was(runs, whole):
    saved = runs.folder / "saved"
    runs.finish("whole", PLUGINS, "--mode=eval", f"--save_predictions={saved}")
    options = ",".join(
        f"{name.rpartition('.')[2]}={value}"
        for name, value in SETTINGS.items()
        if name.startswith("dataset.options")
    )
    evaluate.main(
        [
            f"--predictions={saved}",
            "--dataset=scenes",
            "--tasks=reflectance_edge",
            f"--options={options}",
            f"--data_dir={runs.folder / 'data'}",
            "--plugins=examples/own_task.py",
        ]
    )
    found, expected = (
        documents.read_document(folder / "results.json")["results"]["reflectance_edge"]
        for folder in (saved, whole)
    )
    assert found == expected


def test_photos_are_predicted_with_them(runs, whole, tmp_path):
    photo = np.random.default_rng(0).integers(0, 256, (48, 64, 3)).astype(np.uint8)
    cv2.imwrite(str(tmp_path / "photo.png"), photo)
    arguments = [f"--workdir={whole}", f"--input={tmp_path / 'photo.png'}"]
    with pytest.raises(SystemExit, match="needs its plugins"):
        predict.main([*arguments, f"--output={tmp_path / 'out'}"])
    with pytest.raises(SystemExit) as caught:
        predict.main([*arguments, f"--output={tmp_path / 'out'}", f"--plugins={PLUGINS}"])
    assert caught.value.code == 0
    levels = cv2.imread(str(tmp_path / "out/predictions/reflectance_edge/photo.png"), -1)
    assert (levels.dtype, levels.shape) == (np.uint8, (48, 64))
    assert (tmp_path / "out/colors/reflectance_edge/photo.png").exists()


def test_a_dataset_is_prepared_shown_and_opened(tmp_path, monkeypatch):
    """Its pixels are those of the files, and its file is a configuration, too."""
    random = np.random.default_rng(0)
    names = {"train": ["a", "b"], "val": ["c"]}
    for folder in ("photos", "spots"):
        (tmp_path / "leaves" / folder).mkdir(parents=True)
    spots = {}
    for split, those in names.items():
        (tmp_path / "leaves" / f"{split}.txt").write_text("\n".join(those))
        for name in those:
            spots[name] = random.choice(np.uint8([0, 1, 2, 255]), (20, 30))
            photo = random.integers(0, 256, (20, 30, 3)).astype(np.uint8)
            cv2.imwrite(str(tmp_path / "leaves" / "photos" / f"{name}.jpg"), photo)
            cv2.imwrite(str(tmp_path / "leaves" / "spots" / f"{name}.png"), spots[name])
    data = [f"--data_dir={tmp_path / 'data'}", f"--plugins={EXAMPLES / 'own_dataset.py'}"]
    with forgotten():
        source = [f"--source={tmp_path / 'leaves'}", "--num_workers=2"]
        prepare.main(["--dataset=leaves", *source, *data])
        show.main(["--dataset=leaves", f"--output={tmp_path / 'sheet.png'}", "--size=32", *data])
        assert cv2.imread(str(tmp_path / "sheet.png")).std() > 10
        argv = ["main", f"--config={EXAMPLES / 'own_dataset.py'}"]
        argv += [f"--config.dataset.data_dir={tmp_path / 'data'}", "--config.train.batch_size=2"]
        monkeypatch.setattr(sys, "argv", argv)
        with flagsaver.flagsaver():
            config_flag.parse_flags(sys.argv)
            config = config_flag.settings()
        experiment = Experiment(config)
        assert config.plugins == str(EXAMPLES / "own_dataset.py")
        assert experiment.tasks[0].class_names == ("leaf", "spot", "background")
        splits = experiment.open_splits()
        assert (splits.training.length, splits.evaluation.length) == (2, 1)
        (record,) = splits.evaluation.read([0])
        found = splits.evaluation.parser(["semseg"])(record)["semseg"]
        np.testing.assert_array_equal(found[..., 0], spots["c"])


@pytest.mark.slow
def test_a_report_shows_them(runs, whole, tmp_path):
    arguments = [f"--workdir={whole}", f"--output={tmp_path / 'report.html'}"]
    with pytest.raises(SystemExit, match="needs its plugins"):
        report.main(arguments)
    report.main([*arguments, f"--data_dir={runs.folder / 'data'}", f"--plugins={PLUGINS}"])
    page = (tmp_path / "report.html").read_text()
    assert "F-measure" in page
    assert "plain9 for reflectance_edge, depth" in page
