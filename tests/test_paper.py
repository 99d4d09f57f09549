"""The paper's experiments: their settings, and the command line from archives to results."""

import json
import os
import pathlib
import subprocess
import sys

import archives
import pytest

from astmt_jax.config import from_config_dict
from astmt_jax.datasets.prepare import prepare
from astmt_jax.paper import paper_config, task_names

ROOT = pathlib.Path(__file__).parents[1]
TINY = {
    "model.width_multiplier": 0.0625,
    "model.decoder_width": 32,
    "train.image_size": 32,
    "train.batch_size": 2,
    "train.epochs": 1,
}
EXPERIMENTS = {
    "pascal": ("pascal_context", archives.make_pascal, ()),
    "nyud": ("nyud", archives.make_nyud, ("astmt",)),
    "fsv": ("fsv", archives.make_fsv, ()),
    "bsds500": ("bsds500", archives.make_bsds500, ()),
    "ccp": ("ccp", archives.make_ccp, ()),
    "camvid": ("camvid", archives.make_camvid, ()),
}
TASKS = {
    "pascal": {
        "edge": "odsF",
        "semseg": "mIoU",
        "human_parts": "mIoU",
        "normals": "mean",
        "sal": "mIoU",
    },
    "nyud": {"edge": "odsF", "semseg": "mIoU", "normals": "mean", "depth": "rmse"},
    "fsv": {"semseg": "mIoU", "albedo": "rmse", "depth": "rmse"},
    "bsds500": {"edge": "odsF"},
    "ccp": {"edge": "odsF", "semseg": "mIoU", "human_parts": "mIoU", "sal": "mIoU"},
    "camvid": {"semseg": "mIoU"},
}


def test_settings_are_the_papers():
    config = from_config_dict(
        paper_config(
            "",
            dataset="pascal_context",
            tasks=("edge", "normals"),
            options={},
            backbone="resnet101",
            epochs=60,
            discriminator_kernel=1,
        )
    )
    optimizer, train = config.optimizer, config.train
    assert (optimizer.name, optimizer.learning_rate, optimizer.momentum) == ("sgd", 1e-3, 0.9)
    assert (optimizer.weight_decay, optimizer.poly_power) == (1e-4, 0.9)
    assert optimizer.task_multiplier is None  # the number of tasks
    assert (optimizer.decay_every, optimizer.discriminator_multiplier) == ("epoch", 10)
    assert (train.image_size, train.batch_size, train.epochs) == (512, 8, 60)
    assert train.update_rule == "per_task"
    discriminator = config.discriminator
    assert (discriminator.weight, discriminator.depth, discriminator.kernel) == (0.01, 2, 1)
    assert (config.model.decoder_width, config.model.output_stride) == (64, 16)
    augmentation = config.augmentation
    assert (augmentation.flip, augmentation.rotation) == (True, 20)
    assert augmentation.scale == (0.75, 1.25)


def test_settings_of_mobilenet_are_the_references():
    config = from_config_dict(
        paper_config(
            "backbone=mobilenetv2",
            dataset="pascal_context",
            tasks=("edge", "normals"),
            options={},
            backbone="resnet101",
            epochs=60,
            backbone_epochs={"mobilenetv2": 130},
            discriminator_kernel=1,
        )
    )
    assert (config.train.batch_size, config.train.epochs) == (16, 130)
    assert config.optimizer.task_multiplier == 1
    assert config.discriminator.weight == 0
    assert not config.model.encoder_adapters
    assert not config.model.decoder_adapters
    assert config.model.encoder_se == "per_task"


def test_one_task_is_trained_by_a_plain_network():
    settings = {"dataset": "bsds500", "options": {}, "backbone": "resnet50", "epochs": 1}
    config = from_config_dict(paper_config("", tasks=("edge",), discriminator_kernel=1, **settings))
    assert (config.model.encoder_norm, config.model.encoder_adapters) == ("shared", False)
    assert config.discriminator.weight == 0


@pytest.mark.parametrize(
    "name",
    [
        "pascal",
        pytest.param("nyud", marks=pytest.mark.slow),
        pytest.param("fsv", marks=pytest.mark.slow),
        pytest.param("bsds500", marks=pytest.mark.slow),
        pytest.param("ccp", marks=pytest.mark.slow),
        pytest.param("camvid", marks=pytest.mark.slow),
    ],
)
def test_command_line_trains_and_evaluates_from_an_archive(tmp_path, name):
    dataset, make, arguments = EXPERIMENTS[name]
    make(tmp_path / "source", *arguments)
    prepare(dataset, tmp_path / "source", tmp_path / "data", num_workers=1)
    command = [sys.executable, "-m", "astmt_jax.main", f"--workdir={tmp_path / 'run'}"]
    command += [f"--config=configs/{name}.py:backbone=resnet14"]
    command += [f"--config.dataset.data_dir={tmp_path / 'data'}"]
    command += [f"--config.{field}={value}" for field, value in TINY.items()]
    command += ["--config.dataset.train_split=train[:3]"]
    environment = os.environ | {
        "JAX_PLATFORMS": "cpu",
    }
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    document = json.loads((tmp_path / "run" / "results.json").read_text())
    assert document["step"] == 1
    assert list(document["results"]) == list(TASKS[name])
    for task, metric in TASKS[name].items():
        assert document["results"][task][metric] >= 0
    assert (tmp_path / "run" / "panels.png").exists()


def test_all_stands_for_the_configuration_s_own_tasks():
    own = ("edge", "depth")
    assert task_names("all", own) == own
    assert task_names("all+mine", own) == (*own, "mine")
    assert task_names("mine+depth", own) == ("mine", "depth")
