"""The command that compiles for TPU slices; what needs libtpu is marked `tpu_aot`."""

import dataclasses
import importlib.util
import io
import json
import sys

import jax
import pytest
from absl.testing import flagsaver
from golden_cases import task_record
from jax.sharding import NamedSharding, PartitionSpec
from rich.console import Console

from astmt_jax.aot import __main__ as aot
from astmt_jax.aot import compilation, tpu
from astmt_jax.aot.collectives import Collective
from astmt_jax.aot.compilation import Compilation, StepWork
from astmt_jax.aot.roofline import Roofline
from astmt_jax.aot.tpu import GIB
from astmt_jax.command_line import config_flag
from astmt_jax.config import from_config_dict
from astmt_jax.pipeline import batches
from configs import scenes

TINY = (
    "--config=configs/scenes.py:tasks=semseg+depth",
    "--config.model.backbone=resnet14",
    "--config.model.width_multiplier=0.0625",
    "--config.model.decoder_width=32",
    "--config.model.dtype=bfloat16",
    "--config.train.image_size=64",
)


def training(batch, temporaries, flops=1.97e12, name="v5e:4x4"):
    """A compilation whose program takes 1 GiB beside its temporaries (bytes)."""
    topology, work = tpu.parse_topology(name), None
    if flops:
        work = StepWork(flops, {"fusion": 8.19e9}, {}, Roofline.of(topology.chip, flops, 8.19e9))
    return Compilation("training", topology, batch, 1, 60.0, GIB // 2, temporaries, GIB // 2, work)


def test_figures_of_a_compilation():
    """By hand: 1.97 TFLOP and 8.19 GB take a v5e 10 ms each; 16 chips of 4 images each."""
    found = training(4, 10 * GIB)
    assert found.peak_bytes == 11 * GIB
    assert found.fits
    assert found.work.roofline.seconds == pytest.approx(0.01)
    assert found.images_per_second == pytest.approx(6400)
    assert json.loads(json.dumps(found.to_dict()))["utilization"] == pytest.approx(1)


def test_program_that_does_not_fit_has_no_speed():
    refused = training(4, 20 * GIB, flops=None)
    assert not refused.fits
    assert refused.images_per_second is None
    assert refused.to_dict()["step_seconds"] is None
    assert not training(4, 15 * GIB).fits  # 16 GiB of 15.75


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (
            "RESOURCE_EXHAUSTED: Ran out of memory on HBM, the total memory required for HLO "
            "temporaries (75.25G) exceeds available HBM (15.75G).",
            int(75.25 * GIB),
        ),
        ("RESOURCE_EXHAUSTED: XLA:TPU: Used 512M of 15.75G hbm. Exceeded by", 512 * 2**20),
        ("INTERNAL: something else", None),
    ],
)
def test_required_memory(message, expected):
    assert compilation.required_bytes(message) == expected


def test_largest_batch():
    """Memory of 1 GiB and 1.5 for each image: nine fit in 15.75 GiB, 14.5, and ten do not, 16."""
    tried = []

    def build(batch):
        tried.append(batch)
        return training(batch, int(1.5 * batch * GIB), flops=1e12 if batch < 10 else None)

    compilations = aot.find_largest_batch(build, 4)
    assert tried == [4, 8, 9]
    assert compilations[-1].fits
    assert aot.extrapolated_batch(build(8), build(16)) == 9  # one that does not fit says as much


def test_largest_batch_where_none_fits():
    assert [c.batch_per_chip for c in aot.find_largest_batch(too_large, 1)] == [1, 2]


def too_large(batch):
    return training(batch, 20 * batch * GIB, flops=None)


def test_table():
    """One column for each program; a program that does not fit shows why and no speed."""
    config = from_config_dict(scenes.get_config())
    fits = training(4, 10 * GIB)
    sent = {"all-reduce": Collective(90, 2_500_000)}
    fits = dataclasses.replace(fits, work=dataclasses.replace(fits.work, collectives=sent))
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(aot.compilation_table(config, [fits, training(8, 20 * GIB, flops=None)]))
    text = console.export_text()
    cells = {
        row[0].strip(): [cell.strip() for cell in row[1:]]
        for row in (line.strip("│").split("│") for line in text.splitlines() if "│" in line)
    }
    assert cells["HBM: peak"] == ["11.00 GiB", "21.00 GiB"]
    assert cells["HBM: capacity"] == ["15.75 GiB"] * 2
    assert cells["fits"] == ["yes", "no"]
    assert cells["traffic with HBM"] == ["8.2 GB", ""]
    assert cells["collectives"] == ["90 all-reduce, 2.5 MB", ""]
    assert cells["images/s, all chips"] == ["6,400", ""]


def test_batch_is_the_pipelines():
    """Shapes and types of images and labels, as `pipeline.batches.train_batches` documents them."""
    records = (task_record("semseg", 21, 0.95), task_record("normals", 3, 0.95))
    batch = batches.describe_batch(records, 8, 64)
    described = jax.tree.map(lambda leaf: (leaf.shape, str(leaf.dtype)), batch)
    assert described == {
        "image": ((8, 64, 64, 3), "float32"),
        "labels": {
            "semseg": ((8, 64, 64, 1), "uint8"),
            "normals": ((8, 64, 64, 3), "float32"),
        },
    }
    mesh = jax.make_mesh((1,), ("data",))
    placed = compilation._placed(batch, NamedSharding(mesh, PartitionSpec("data")))
    assert compilation.argument_bytes(placed) == 8 * 64 * 64 * (12 + 1 + 12)


@pytest.fixture
def run(monkeypatch):
    """Runs the command in this process; returns what it exits with, None for success."""

    def run(*arguments):
        argv = ["aot", *arguments]
        monkeypatch.setattr(sys, "argv", argv)  # where config_flags looks for overridden fields
        with flagsaver.flagsaver():
            try:
                aot.main(config_flag.parse_flags(argv)[:1])
            except SystemExit as end:
                return end.code

    return run


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--topology=v5e:5x5"], "--topology is 'v5e:5x5', but slices of v5e are: v5e:1x1, "),
        (["--topology=v5e:4x4", "--output={0}"], "exists already: choose another --output"),
        (["--topology=v5e:4x4", "more"], "Unexpected arguments: more."),
    ],
)
def test_misuse_ends_with_one_sentence(run, tmp_path, flags, message):
    code = run(TINY[0], *(flag.format(tmp_path) for flag in flags))
    assert message in code
    assert "\n" not in code


def test_without_libtpu(run, monkeypatch):
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "libtpu" else find_spec(name)
    )
    assert "pip install '.[tpu]'" in run(TINY[0], "--topology=v5e:4x4")


@pytest.mark.tpu_aot
def test_command(run, tmp_path, capsys):
    """Both programs for two slices: per chip the same operations, collectives between chips."""
    pytest.importorskip("libtpu")
    output = tmp_path / "new" / "aot.json"
    assert not run(
        *TINY,
        "--config.train.update_rule=per_task",
        "--topology=v5e:2x2",
        "--topology=v5e:4x4",
        "--batch_per_chip=2",
        f"--output={output}",
    )
    content = json.loads(output.read_text())
    assert content["config"]["model"]["dtype"] == "bfloat16"
    small, _, large, inference = content["compilations"]
    assert (small["chips"], large["chips"]) == (4, 16)
    assert small["runs"] == 2  # one for each task
    assert large["flops"] == pytest.approx(small["flops"], rel=0.01)
    assert large["collectives"]["all-reduce"]["count"] > 0
    assert "all-gather" not in large["collectives"]
    assert inference["program"] == "inference"
    assert inference["collectives"] == {}
    assert all(figures["fits"] for figures in content["compilations"])
    assert "v5e:4x4: 16 chips" in capsys.readouterr().out


@pytest.mark.tpu_aot
def test_rematerialization_saves_memory(run, tmp_path):
    """The compiled joint step's temporaries, in the same order as what is kept."""
    pytest.importorskip("libtpu")
    temporaries = {}
    for remat in ("none", "block"):
        output = tmp_path / f"{remat}.json"
        assert not run(
            *TINY,
            "--config.train.update_rule=joint",
            "--config.model.backbone=resnet26",
            "--config.model.width_multiplier=0.25",
            "--config.train.image_size=256",  # of tiny programs XLA keeps little as it is
            f"--config.model.remat={remat}",
            "--topology=v5e:1x1",
            "--batch_per_chip=8",
            "--program=training",
            f"--output={output}",
        )
        (figures,) = json.loads(output.read_text())["compilations"]
        temporaries[remat] = figures["temporary_bytes"]
    assert temporaries["block"] < 0.8 * temporaries["none"]
