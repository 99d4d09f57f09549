"""The benchmark of an accelerator, on the CPU at hand."""

import argparse
import json
import os
import pathlib
import re
import subprocess
import sys
import time

import jax
import pytest

from benchmarks import accelerator, networks, train_step
from benchmarks.accelerator_report import Case, Device, Report, Speed
from benchmarks.networks import Failed, Measurement, in_own_process
from benchmarks.peaks import PUBLISHED, Peaks

ROOT = pathlib.Path(__file__).parents[2]
MISSING = ("tensorflow", "tensorflow_datasets", "clu", "ml_collections", "safetensors", "cv2")
SMALLEST = (
    *("--backbones=resnet14", "--dtypes=float32", "--rules=joint", "--checks="),
    *("--method=single", "--tasks=edge", "--width=0.0625", "--decoder-width=32"),
    *("--size=32", "--steps=1"),
)
FIGURES = Measurement(
    seconds=0.5,
    compile_seconds=3.0,
    program_bytes=2**30,
    peak_bytes=2**31,
    flops=1e12,
    bytes_accessed=1e11,
)
CASE = Case("resnet26", "bfloat16", "joint")


def test_smallest_case_where_little_is_installed(tmp_path):
    """Its processes, too, find nothing but jax and what comes with flax."""
    (tmp_path / "missing").mkdir()
    for name in MISSING:
        (tmp_path / "missing" / f"{name}.py").write_text(f"raise ImportError('no {name}')")
    output = tmp_path / "found" / "cpu.md"
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.accelerator", *SMALLEST, f"--output={output}"],
        cwd=ROOT,
        env=os.environ
        | {
            "JAX_PLATFORMS": "cpu",
            "PYTHONPATH": str(tmp_path / "missing"),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert output.read_text().strip() in done.stdout
    found = json.loads(output.with_suffix(".json").read_text())
    assert found["missing"] == {}
    (row,) = found["training"]
    assert (row["backbone"], row["dtype"], row["rule"]) == ("resnet14", "float32", "joint")
    assert f"| resnet14 | float32 | joint | {row['batch']} |" in output.read_text()
    assert min(row["flops"], row["bytes_accessed"], row["compile_seconds"]) > 0
    peak = found["device"]["peaks"]["flops"]["float32"]
    assert row["share_of_peak_flops"] == pytest.approx(row["flops"] / row["seconds"] / peak)


def test_shares_and_roofline():
    """Half a second for 1 TFLOP and 100 GB on a card of 2.5 TFLOP/s and 1 TB/s."""
    peaks = Peaks({"bfloat16": 2.5e12}, 1e12, "made up")
    row = Speed(CASE, 8, FIGURES).figures_on(Device("card", "gpu", None, peaks, peaks))
    assert row["images_per_second"] == pytest.approx(16)
    assert row["share_of_peak_flops"] == pytest.approx(0.8)
    assert row["share_of_bandwidth"] == pytest.approx(0.2)
    assert row["roofline_seconds"] == pytest.approx(0.4)
    assert row["roofline_bound"] == "compute"
    assert row["roofline_images_per_second"] == pytest.approx(20)


def test_published_peaks_are_plausible():
    """A card that computes faster in float32 than in bfloat16, or figures in other units."""
    for name, peaks in PUBLISHED.items():
        assert 5e12 < peaks.flops["float32"] <= peaks.flops["bfloat16"] < 3e15, name
        assert 2e11 < peaks.bandwidth < 1e13, name


def found(word):
    return f"found {word}"


def crashes(word):
    os._exit(9)


def sleeps(word):
    time.sleep(1000)


def raises(word):
    raise KeyError(word)


def test_a_process_of_its_own():
    assert in_own_process(found, "this", seconds=100) == "found this"
    with pytest.raises(Failed, match=r"^KeyError: 'this'") as caught:
        in_own_process(raises, "this")
    assert "in raises" in caught.value.__notes__[0]  # where it happened
    with pytest.raises(Failed, match="exit code 9"):
        in_own_process(crashes, "this")
    start = time.monotonic()
    with pytest.raises(TimeoutError):
        in_own_process(sleeps, "this", seconds=0.5)
    assert time.monotonic() - start < 60


def flags(*more):
    parsed = networks.network_flags("").parse_args(SMALLEST[4:])
    return argparse.Namespace(**vars(parsed) | dict(more))


def test_out_of_memory_costs_one_case_only():
    """A batch of 240 TB, between two jobs that have nothing to do with it."""
    report, lines = Report(None, {}), []
    too_large = Case("resnet14", "float32", "joint")

    def do(job):
        if job is too_large:
            return accelerator.measured_speed(flags(("batch", 10**10)), job, None, lambda: 100)
        return Speed(job, 8, FIGURES)

    others = [CASE, Case("resnet50", "bfloat16", "joint")]
    accelerator.carry_out(report, [others[0], too_large, others[1]], do, lines.append)
    assert [speed.case for speed in report.speeds] == others
    assert report.missing == {str(too_large): f"out of memory with {10**10} images"}
    assert len(lines) == 3


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("RESOURCE_EXHAUSTED: Out of memory while trying to allocate 12884901888 bytes.", True),
        ("RESOURCE_EXHAUSTED: XLA:TPU compile permanent error. Ran out of memory in hbm.", True),
        ("INTERNAL: Failed to load: CUDA_ERROR_OUT_OF_MEMORY", True),
        ("INTERNAL: CUDNN_STATUS_EXECUTION_FAILED", False),
    ],
)
def test_out_of_memory_is_told_from_other_errors(message, expected):
    error = jax.errors.JaxRuntimeError(message)
    assert accelerator.ran_out_of_memory(error) == expected


def test_a_batch_shrinks_until_it_fits(monkeypatch):
    """Unless the command line says how large it is."""
    asked = []

    def pretend(function, args, case, batch, memory_bytes, seconds):
        asked.append(batch)
        batch = batch or 40
        return accelerator.Trial(batch, FIGURES if batch < 30 else None)

    monkeypatch.setattr(accelerator, "in_own_process", pretend)
    speed = accelerator.measured_speed(flags(("batch", None)), CASE, 2**30, lambda: 9)
    assert asked == [None, 32, 25]
    assert speed.batch == 25
    with pytest.raises(Failed, match="out of memory with 64 images"):
        accelerator.measured_speed(flags(("batch", 64)), CASE, 2**30, lambda: 9)


def test_what_finds_no_time_is_named():
    report = Report(None, {})
    jobs = ["forward_pascal_r26", CASE]

    def do(job):
        raise TimeoutError("no time was left")

    accelerator.carry_out(report, jobs, do, lambda line: None)
    assert report.missing == dict.fromkeys(map(str, jobs), "no time was left")


def test_what_tells_most_comes_first():
    names = ("resnet26", "resnet50", "resnet101"), ("bfloat16", "float32"), ("joint", "per_task")
    order = accelerator.cases(*names)
    assert len(order) == len(set(order)) == 12
    assert list(map(str, order[:3])) == [
        "resnet26 bfloat16 joint",
        "resnet50 bfloat16 joint",
        "resnet26 float32 joint",
    ]


@pytest.mark.parametrize(
    ("flag", "words"),
    [
        ("--backbones=resnet9", "resnet9.*resnet26"),
        ("--dtypes=float16", "float16.*bfloat16"),
        ("--rules=both", "both.*joint"),
        ("--checks=forward", "forward.*forward_pascal_r26"),
        ("--size=100", "--size must be a multiple"),
        ("--minutes=0", "--minutes is 0"),
        ("--batch=0", "0 is less than 1"),
        ("--output=found.json", "must end in .md"),
        ("--output=there.md", "there.json exists already"),
    ],
)
def test_wrong_flags_are_refused(flag, words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there.json").touch()
    monkeypatch.setattr(sys, "argv", ["accelerator", *SMALLEST, flag])
    with pytest.raises(SystemExit):
        accelerator.parse_flags()
    assert re.search(words, " ".join(capsys.readouterr().err.split()))


@pytest.mark.slow
def test_the_largest_batch_fills_the_memory():
    """Of a program compiled for it, not of one that is extrapolated."""
    args = flags(("backbone", "resnet14"), ("dtype", "float32"), ("batch", 8), ("size", 64))
    memory = 20 * 2**20
    args.batch = accelerator.largest_batch(args, "joint", memory)
    needed = train_step.measure_update(args, "joint").program_bytes
    assert 0.6 * memory < needed <= memory
