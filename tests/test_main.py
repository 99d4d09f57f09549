"""The command line, end to end on a tiny dataset, killed and started again, and misused."""

import dataclasses
import errno
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

import cv2
import pytest
from absl.testing import flagsaver
from forked_programs import (
    FOREVER,
    TRAINING_IMPORTS,
    Program,
    Programs,
    programs,
    training_environment,
)
from quick_settings import QUICK_SETTINGS
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from astmt_jax import evaluate, main
from astmt_jax.command_line import config_flag
from astmt_jax.config import from_config_dict
from astmt_jax.runtime.interruption import EXIT_CODE, Interrupted
from astmt_jax.training.checkpoint import CheckpointError
from astmt_jax.training.exclusive import training_in

CONFIG = "configs/scenes.py"
VARIANT = f"{CONFIG}:tasks=edge+depth"
NUM_STEPS = 9  # 3 epochs of 14 images in batches of 4, the last 2 of each epoch dropped
CHECKPOINT_EVERY = 4
SETTINGS = QUICK_SETTINGS | {
    "train.epochs": 3,
    "train.log_every_steps": 3,
    "train.checkpoint_every_steps": CHECKPOINT_EVERY,
}


@dataclasses.dataclass
class Runs:
    """Folders, and what was printed into them.

    Attributes:
      folder: holds the folders of all runs.
      output: what the uninterrupted run printed.
      results: its results.json.
      programs: start others in a second.
    """

    folder: pathlib.Path
    output: str
    results: bytes
    programs: Programs

    def start(self, workdir: str, *arguments: str) -> Program:
        """Starts the program in a process of its own."""
        return self.programs.start(*command_line(self.folder, workdir, *arguments))


def command_line(folder, workdir, *arguments):
    """The program and its arguments."""
    command = ["astmt_jax.main", f"--config={VARIANT}"]
    command += [f"--workdir={folder / workdir}", f"--config.dataset.data_dir={folder / 'data'}"]
    return [*command, *(f"--config.{name}={value}" for name, value in SETTINGS.items()), *arguments]


def start(folder, workdir, *arguments, **variables):
    """Starts the program with these arguments and environment variables, too."""
    return subprocess.Popen(
        [sys.executable, "-m", *command_line(folder, workdir, *arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=training_environment(folder) | variables,
        cwd=pathlib.Path(__file__).parents[1],
    )


def finish(process, timeout=FOREVER):
    """Waits for success; returns what was printed."""
    output, errors = process.communicate(timeout=timeout)
    assert process.returncode == 0, errors
    return output


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """One run from beginning to end, in the folder 'whole'."""
    folder = tmp_path_factory.mktemp("runs")
    output = finish(start(folder, "whole"))
    results = (folder / "whole" / "results.json").read_bytes()
    with programs(folder, training_environment(folder), *TRAINING_IMPORTS) as forked:
        yield Runs(folder, output, results, forked)


def test_run_tells_what_it_does(runs):
    """The dataset, the losses at the given steps, the main metrics and where the results are."""
    assert "Training edge, depth on scenes/64px_14train_5val_seed0" in runs.output
    assert "14 images, 9 steps" in runs.output
    steps = [line.split("/")[0].split()[1] for line in runs.output.splitlines() if "left" in line]
    assert steps == ["3", "6", "9"]
    for words in ("images/s", "odsF", "RMSE", "whole/results.json", "whole/panels.png"):
        assert words in runs.output
    assert "Going on" not in runs.output


def test_run_writes_results(runs):
    document = json.loads(runs.results)
    assert document["dataset"] == "scenes"
    assert document["split"] == "val"
    assert document["step"] == NUM_STEPS
    assert list(document["results"]) == ["edge", "depth"]
    assert 0 <= document["results"]["edge"]["odsF"] <= 1
    assert 0 < document["results"]["depth"]["rmse"] < 100


def test_run_writes_settings(runs):
    stored = json.loads((runs.folder / "whole" / "config.json").read_text())
    for name, value in SETTINGS.items():
        place = stored
        for part in name.split("."):
            place = place[part]
        assert place == value, name
    assert stored["tasks"] == ["edge", "depth"]


def test_run_writes_pictures(runs):
    """Rows for images, columns for image, prediction and truth: large, and not of one colour."""
    picture = cv2.imread(str(runs.folder / "whole" / "panels.png"))
    assert picture.shape[0] > 4 * 64
    assert picture.shape[1] > 5 * 64
    assert picture.std() > 10


def test_run_writes_curves(runs):
    accumulator = EventAccumulator(str(runs.folder / "whole"), size_guidance={"tensors": 0})
    accumulator.Reload()
    curves = {
        tag: [event.step for event in accumulator.Tensors(tag)]
        for tag in accumulator.Tags()["tensors"]
    }
    speed = ("images_per_second", "step_seconds", "input_wait_fraction")
    for tag in ("loss/edge", "loss/depth", "discriminator_loss/edge", "learning_rate", *speed):
        assert curves[tag] == [3, 6, 9], tag
    for tag in ("eval_edge/odsF", "eval_depth/rmse", "panels"):
        assert curves[tag] == [NUM_STEPS], tag


def test_run_keeps_the_newest_checkpoints(runs):
    kept = {path.name for path in (runs.folder / "whole" / "checkpoints").iterdir()}
    assert kept == {"8", "9"}


def test_killed_run_goes_on(runs):
    """Stopped, then killed, and on with the same command: the same results to the byte.

    SIGTERM saves the step that it comes in; SIGKILL comes right after a checkpoint. This run's
    folder is another one, so that it also shows that two runs with one seed agree.
    """
    folder = runs.folder / "killed"
    process = runs.start("killed", "--config.train.log_every_steps=1")
    process.wait_for("step 1/")
    process.send_signal(signal.SIGTERM)
    output, errors = process.communicate(timeout=FOREVER)
    assert process.returncode == EXIT_CODE, errors
    stopped = max(int(path.name) for path in (folder / "checkpoints").iterdir())
    assert f"Stopped by a signal after step {stopped} of {NUM_STEPS}" in output
    process = runs.start("killed")
    deadline = time.monotonic() + FOREVER
    while not (folder / "checkpoints" / str(CHECKPOINT_EVERY)).exists():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert not (folder / "results.json").exists()
    newest = max(int(p.name) for p in (folder / "checkpoints").iterdir() if p.name.isdigit())
    assert newest < NUM_STEPS
    output = finish(runs.start("killed"))
    assert f"Going on from the checkpoint of step {newest} in" in output
    assert f"14 images, {NUM_STEPS - newest} steps" in output
    assert (folder / "results.json").read_bytes() == runs.results


def test_finished_run_is_not_trained_again(runs):
    folder = runs.folder / "whole"
    (folder / "results.json").unlink()
    output = finish(runs.start("whole"))
    assert f"Going on from the checkpoint of step {NUM_STEPS} in" in output
    assert "images/s" not in output
    assert (folder / "results.json").read_bytes() == runs.results


def test_a_folder_in_use_is_refused_at_once(runs):
    before = sorted((runs.folder / "whole").rglob("*"))
    with training_in(runs.folder / "whole"):
        process = runs.start("whole")
        output, errors = process.communicate(timeout=FOREVER)
    assert (process.returncode, output) == (1, "")
    assert errors.startswith(
        f"Error: {runs.folder / 'whole'} is in use by process {os.getpid()} on "
    )
    assert errors.endswith("): wait until that ends, or choose another --workdir.\n")
    assert len(errors.splitlines()) == 1
    assert sorted((runs.folder / "whole").rglob("*")) == before


def test_evaluation_alone(runs):
    """Also beside training in the same folder."""
    with training_in(runs.folder / "whole"):
        evaluate_alone(runs)


def evaluate_alone(runs):
    folder, predictions = runs.folder / "whole", runs.folder / "predictions"
    (folder / "results.json").unlink()
    (folder / "panels.png").unlink()
    output = finish(runs.start("whole", "--mode=eval", f"--save_predictions={predictions}"))
    assert "Training" not in output
    assert (folder / "results.json").read_bytes() == runs.results
    assert (folder / "panels.png").exists()
    options = {
        name.removeprefix("dataset.options."): value
        for name, value in SETTINGS.items()
        if name.startswith("dataset.options.")
    }
    evaluate.main(
        [
            f"--predictions={predictions}",
            "--dataset=scenes",
            f"--data_dir={runs.folder / 'data'}",
            "--options=" + ",".join(f"{name}={value}" for name, value in options.items()),
        ]
    )
    scored, document = (
        json.loads((predictions / "results.json").read_text()),
        json.loads(runs.results),
    )
    assert scored["results"] == document["results"]
    assert scored["details"] == document["details"]
    assert {path.name for path in predictions.iterdir()} == {"edge", "depth", "results.json"}


def test_evaluation_without_quantization(runs):
    workdir = shutil.copytree(runs.folder / "whole", runs.folder / "unquantized")
    finish(runs.start("unquantized", "--mode=eval", "--config.evaluation.quantize=False"))
    document = json.loads((workdir / "results.json").read_text())
    assert not document["quantized"]
    assert document["results"] == json.loads(runs.results)["results"]  # edges and depth: the same


def test_error_is_one_line(runs):
    """In a process of its own: exit code 1, one sentence on stderr, no traceback, no folder."""
    process = start(runs.folder, "wrong", "--config.train.epoch=3")
    output, errors = process.communicate(timeout=FOREVER)
    assert process.returncode == 1
    assert output == ""
    assert "Traceback" not in errors
    assert errors.splitlines()[-1].startswith("Error: ")
    assert "epoch" in errors.splitlines()[-1]
    assert not (runs.folder / "wrong").exists()


@pytest.fixture
def command(monkeypatch, tmp_path):
    """Runs `main` in this process with the given arguments; returns what it exits with."""

    def run(*arguments, workdir=tmp_path / "run"):
        argv = ["main", f"--workdir={workdir}", "--compilation_cache=", *arguments]
        monkeypatch.setattr(sys, "argv", argv)  # where config_flags looks for overridden fields
        handler = signal.getsignal(signal.SIGTERM)
        with flagsaver.flagsaver(), pytest.raises(SystemExit) as caught:
            main.main(config_flag.parse_flags(argv))
        signal.signal(signal.SIGTERM, handler)
        assert not workdir.exists()
        return caught.value.code

    return run


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([CONFIG, "--config.train.epoch=3"], ["config.train.epoch", "did you mean epochs?"]),
        ([CONFIG, "--config.trian.epochs=3"], ["config.trian", "did you mean train?"]),
        ([CONFIG, "--config.train.epochs=many"], ["config.train.epochs", "many"]),
        ([CONFIG, "--config.train.epochs=0"], ["train.epochs is 0", "at least 1"]),
        ([CONFIG, "--config.model.output_stride=12"], ["output_stride is 12", "8, 16"]),
        ([f"{CONFIG}:tasks=edge+flow"], ["names flow", "scenes has: edge"]),
        ([f"{CONFIG}:method=cross"], ["method is 'cross'", "astmt, mtl, single"]),
        ([f"{CONFIG}:method=single"], ["single", "tasks="]),
        ([f"{CONFIG}:mehtod=mtl"], ["'mehtod=mtl'", "method=astmt"]),
        ([f"{CONFIG}:backbone=vgg"], ["backbone is 'vgg'", "resnet50"]),
        (["configs/nothing.py"], ["configs/nothing.py"]),
        ([CONFIG, "--config.dataset.name=imagenet"], ["'imagenet'", "scenes"]),
        ([CONFIG, "--config.dataset.options.image_size=8"], ["image_size is 8", "64 to 512"]),
        ([CONFIG, "--config.dataset.options.size=96"], ["size"]),
        ([CONFIG, "--config.evaluation.edge_protocol=bsd"], ["edge_protocol is 'bsd'", "bsds"]),
        ([CONFIG, "--config.evaluation.edge_protocol=bsds"], ["several annotators", "pascal_raw"]),
        ([CONFIG, "--config.train.batch_size=1"], ["batch_size is 1", "at least 2"]),
        ([CONFIG, "--config.train.accumulate=4"], ["accumulate 4", "at least 8"]),
        ([CONFIG, "--score=best"], ["--score", "--mode=eval"]),
        ([CONFIG, "--config.train.trackers=visdom"], ["trackers is 'visdom'", "wandb, mlflow"]),
        ([CONFIG, "--config.train.eval_every_epochs=0"], ["eval_every_epochs is 0", "or None"]),
        ([CONFIG, "--config.train.best_by=depth.rmse"], ["eval_every_epochs is None"]),
        ([CONFIG, "--config.train.baselines=nowhere.json"], ["nowhere.json cannot be read"]),
        ([CONFIG, "--save_predictions=folder"], ["--save_predictions", "--mode=eval"]),
        ([CONFIG, "--config.model.dtype=float64"], ["'float64'", "JAX_ENABLE_X64=1"]),
        ([CONFIG, "--config.optimizer.task_multiplier=-1"], ["task_multiplier is -1", "0 or more"]),
        ([CONFIG, "--config.optimizer.task_multiplier=nan"], ["task_multiplier is nan", "finite"]),
        ([CONFIG, "--config.optimizer.momentum=nan"], ["momentum is nan", "finite"]),
        ([CONFIG, "--config.augmentation.rotation=inf"], ["rotation is inf", "finite"]),
        ([CONFIG, f"--config.seed={2**32}"], ["seed is 4294967296", "at most 4,294,967,295"]),
        ([CONFIG, f"--config.seed={2**70}"], ["seed is 11", "at most 4,294,967,295"]),
        ([CONFIG, "--mode=test"], ["mode", "test", "train", "eval"]),
        ([CONFIG, "--config.train.accumulate=3"], ["batch_size is 4", "multiple of 3"]),
        ([CONFIG, "--config.train.keep_every_steps=0"], ["keep_every_steps is 0", "or None"]),
        ([CONFIG, "--config.optimizer.ema_decay=1.0"], ["ema_decay is 1.0", "between 0 and 1"]),
    ],
)
def test_misuse_ends_with_one_sentence(command, arguments, words):
    code = command(f"--config={arguments[0]}", *arguments[1:])
    assert isinstance(code, str)  # printed on stderr, and the exit code is 1
    assert code.startswith("Error: ")
    assert "\n" not in code
    for word in words:
        assert word in code


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (Interrupted("Stopped after step 7."), 75, "Stopped after step 7."),
        (KeyboardInterrupt(), 75, "the same command goes on"),
        (OSError(errno.ENOSPC, "No space left on device"), "Error: The disk of ", "is full"),
        (ValueError("RESOURCE_EXHAUSTED: No space left on device"), "Error: The disk of ", "full"),
        (FloatingPointError("The loss is nan."), "Error: The loss is nan.", ""),
        (CheckpointError("None can be read."), "Error: None can be read.", ""),
    ],
)
def test_how_a_run_can_end(command, monkeypatch, capfd, error, code, words):
    """Exit code 75 for what can simply be started again; a full disk is named."""

    def fail(workdir):
        raise error

    monkeypatch.setattr(main, "_run", fail)
    found = command(f"--config={CONFIG}")
    output = capfd.readouterr().out
    if isinstance(code, int):
        assert found == code
        assert words in output
    else:
        assert found.startswith(code)
        assert words in found


SAMPLES = {"optimizer.ema_decay": 0.5, "freeze": "shared"}
"""Of fields that are not set, and cannot be 2."""
NEEDED = {"freeze": ["--config.init_from=run"]}
"""Field -> what must be said, too."""


def sample_of(field, value):
    """A legal value of a field: its own, or some value if it is not set."""
    if value is None:
        return SAMPLES.get(field, 2)
    return tuple(value) if isinstance(value, list | tuple) else value


def test_every_field_can_be_set(monkeypatch):
    """`--config.field=value` works for every field of `Config`."""
    monkeypatch.setattr(sys, "argv", ["main", f"--config={CONFIG}"])
    with flagsaver.flagsaver():
        config_flag.parse_flags(sys.argv)
        settings = from_config_dict(config_flag.CONFIG.value).to_dict()
    refused = []
    for field, value in fields_of(settings):
        sample = sample_of(field, value)
        argv = ["main", f"--config={CONFIG}", f"--config.{field}={sample}"]
        argv += NEEDED.get(field, [])
        monkeypatch.setattr(sys, "argv", argv)
        with flagsaver.flagsaver():
            try:
                config_flag.parse_flags(argv)
                found = from_config_dict(config_flag.CONFIG.value)
            except (SystemExit, ValueError) as error:
                refused.append((field, str(error)[:80]))
                continue
        place = found
        for part in field.split("."):
            place = place[part] if isinstance(place, dict) else getattr(place, part)
        assert place in (sample, str(sample)) if value is None else place == sample, field
    assert not refused


def fields_of(settings, prefix=""):
    """Names with dots and values of all fields."""
    for name, value in settings.items():
        if isinstance(value, dict):
            yield from fields_of(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def test_default_workdir():
    assert main.default_workdir("configs/scenes.py") == pathlib.Path("runs/scenes")
    found = main.default_workdir("configs/scenes.py:method=single,tasks=depth")
    assert found == pathlib.Path("runs/scenes-method=single,tasks=depth")
