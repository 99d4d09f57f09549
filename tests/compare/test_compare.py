"""The command: a whole comparison, interrupted and continued, and misuse."""

import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time

import pytest
from absl.testing import flagsaver

from astmt_jax.command_line import config_flag
from astmt_jax.compare import __main__ as compare
from astmt_jax.runtime.interruption import EXIT_CODE

VARIANT = "configs/scenes.py:tasks=edge+depth,size=small"
SETTINGS = {
    "dataset.options.image_size": 64,
    "dataset.options.num_train": 8,
    "dataset.options.num_val": 3,
    "model.width_multiplier": 0.0625,
    "train.batch_size": 4,
    "train.epochs": 1,
}
RUNS = ["single-edge", "single-depth", "mtl", "bn", "bn_se", "bn_se_adapters", "astmt"]


def start(folder):
    """Starts the comparison of two tasks with one seed, two steps each, in folder/comparison."""
    command = [sys.executable, "-m", "astmt_jax.compare", f"--config={VARIANT}", "--seeds=1"]
    command += [f"--workdir={folder / 'comparison'}", f"--config.dataset.data_dir={folder}/data"]
    command += [f"--config.{name}={value}" for name, value in SETTINGS.items()]
    environment = os.environ | {
        "COLUMNS": "150",
        "JAX_PLATFORMS": "cpu",
    }
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        cwd=pathlib.Path(__file__).parents[2],
    )


def finish(process):
    """Waits for success; returns what was printed."""
    output, errors = process.communicate(timeout=1500)
    assert process.returncode == 0, errors
    return output


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_interrupted_comparison_goes_on(tmp_path):
    """Ctrl-C after the second run; then the rest, by two processes at once; then only the table."""
    workdir = tmp_path / "comparison"
    process = start(tmp_path)
    while not (workdir / "seed0" / "single-depth" / "results.json").exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=300)
    assert process.returncode == EXIT_CODE, errors
    assert "the same command goes on" in output.splitlines()[-1]
    kept = {path: path.read_bytes() for path in workdir.glob("seed0/*/results.json")}
    assert 2 <= len(kept) < len(RUNS)

    outputs = [finish(process) for process in [start(tmp_path), start(tmp_path)]]
    assert any(f"Run {len(kept) + 1} of 7: seed0/{RUNS[len(kept)]}" in text for text in outputs)
    scored = [name for text in outputs for name in re.findall(r"seed0/(\S+)/results\.json", text)]
    assert sorted(scored) == sorted(RUNS[len(kept) :])  # each by one of them
    for path, content in kept.items():
        assert path.read_bytes() == content
    document = json.loads((workdir / "comparison.json").read_text())
    assert document["complete"]
    assert document["finished"] == [f"seed0/{name}" for name in RUNS]
    assert list(document["methods"]["astmt"]["drop"]) == ["edge", "depth", "average"]

    written = (workdir / "comparison.md").read_bytes()
    shutil.rmtree(tmp_path / "data")  # not needed any more
    output = finish(start(tmp_path))
    assert "Run " not in output
    assert "average drop ↓ (%)" in output
    assert (workdir / "comparison.md").read_bytes() == written


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--config=configs/scenes.py:size=large"], ["size is 'large'", "full, small"]),
        (["--config=configs/scenes.py", "--seeds=0"], ["seeds", "0"]),
        (["--config=configs/scenes.py", "--config.train.epoch=3"], ["did you mean epochs?"]),
        (["--config=configs/scenes.py", "--config.dataset.name=imagenet"], ["'imagenet'"]),
        (["--config=configs/scenes.py", "again"], ["Unexpected arguments: again."]),
        (
            ["--config=configs/scenes.py", "--config.init_from=run", "--config.freeze=shared"],
            ["freeze is 'shared'", "leave it out"],
        ),
        (
            ["--config=configs/pascal.py:backbone=resnet14"],
            ["astmt_jax.datasets.prepare"],
        ),
    ],
)
def test_misuse_ends_with_one_sentence(monkeypatch, tmp_path, arguments, words):
    """Nothing is written."""
    workdir = tmp_path / "comparison"
    argv = ["compare", f"--workdir={workdir}", *arguments]
    argv.append(f"--config.dataset.data_dir={tmp_path / 'data'}")
    monkeypatch.setattr(sys, "argv", argv)  # where config_flags looks for overridden fields
    monkeypatch.setattr(compare, "network_costs", lambda compared: {})  # takes seconds
    with flagsaver.flagsaver(), pytest.raises(SystemExit) as caught:
        compare.main(config_flag.parse_flags(argv))
    message = caught.value.code
    assert message.startswith("Error: ")
    assert "\n" not in message
    for word in words:
        assert word in message
    assert not workdir.exists()
