"""Several processes: how they find each other, and the program in two of them."""

import json
import os
import pathlib
import shutil
import subprocess
import sys

import cv2
import device_runs
import jax
import numpy as np
import pytest
import test_main
from device_runs import free_port

from astmt_jax.runtime import distributed

CLUSTERS = ("SLURM_", "OMPI_", "KUBERNETES_", "JAX_COORDINATOR")


@pytest.fixture
def no_cluster(monkeypatch):
    """The environment of a single machine."""
    for name in list(os.environ):
        if name.startswith(CLUSTERS):
            monkeypatch.delenv(name)


@pytest.mark.parametrize("flags", [(None, None, None), (None, 1, None)])
def test_single_machine_stays_alone(no_cluster, flags):
    distributed.initialize(*flags)
    assert not jax.distributed.is_initialized()
    assert distributed.is_main()
    assert distributed.fold(lambda a, b: a + b, 7) == 7


def test_one_process_needs_no_cluster(monkeypatch):
    """`--num_processes=1` does not even look at what the environment says."""
    monkeypatch.setenv("JAX_COORDINATOR_ADDRESS", "localhost:1")
    distributed.initialize(num_processes=1)
    assert not jax.distributed.is_initialized()


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("a:1", None, None), "--num_processes, --process_id must be given, too"),
        ((None, 2, 0), "--coordinator_address must be given, too"),
        (("localhost", 2, 0), "--coordinator_address is 'localhost', but must be HOST:PORT"),
        (("a:port", 2, 0), "must be HOST:PORT"),
        (("a:1", 2, 2), "--process_id is 2, but must be at least 0 and less than"),
        (("a:1", 2, -1), "--process_id is -1"),
    ],
)
def test_misuse_is_explained(flags, words):
    with pytest.raises(ValueError, match=words):
        distributed.initialize(*flags)
    assert not jax.distributed.is_initialized()


def test_missing_coordinator_is_explained(monkeypatch):
    monkeypatch.setattr(distributed, "PATIENCE", 0.1)
    port = free_port()
    with pytest.raises(ValueError, match=f"Nobody answered at .*localhost:{port} for 0 s"):
        distributed.initialize(f"localhost:{port}", 2, 1)


LATE = """
import sys, time
import jax, numpy as np
from astmt_jax.pipeline.transfer import to_global
from astmt_jax.runtime import distributed
from astmt_jax.runtime.sharding import Placement, data_mesh

distributed.initialize(sys.argv[1], 2, int(sys.argv[2]))
rows = to_global(np.arange(2.0, dtype=np.float32), Placement(data_mesh()).batch)
if not distributed.is_main():
    time.sleep(40)  # as one that still compiles
print(float(jax.jit(lambda x: x.sum())(rows)))
"""


@pytest.mark.slow
def test_processes_wait_for_a_late_one():
    """Longer than the 30 s for which Gloo waits when it connects."""
    address = f"localhost:{free_port()}"
    started = [
        subprocess.Popen(
            [sys.executable, "-c", LATE, address, str(index)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": device_runs.xla_flags(1)},
            cwd=pathlib.Path(__file__).parents[2],
        )
        for index in range(2)
    ]
    outputs = [test_main.finish(process) for process in started]
    assert [output.splitlines()[-1] for output in outputs] == ["2.0", "2.0"]


def start_main(folder, workdir, processes, *arguments):
    """Starts `astmt_jax.main` on eight devices in all, with plain SGD and split variables."""
    address = f"--coordinator_address=localhost:{free_port()}"
    return [
        test_main.start(
            folder,
            workdir,
            *arguments,
            "--config.train.batch_size=8",
            "--config.train.shard_parameters=True",
            "--config.train.log_every_steps=1",
            "--config.optimizer.name=sgd",
            address,
            f"--num_processes={processes}",
            f"--process_id={index}",
            XLA_FLAGS=device_runs.xla_flags(8 // processes),
        )
        for index in range(processes)
    ]


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_program_in_two_processes(tmp_path):
    """From rendering the data to the results; then both score what one process has trained.

    Five images in a batch of eight: four for the first process, one for the second.
    """
    for workdir, processes in (("two", 2), ("one", 1)):
        started = start_main(tmp_path, workdir, processes)
        first, *others = (test_main.finish(process, timeout=900) for process in started)
        assert f"8 cpu device(s) of {processes} process(es)" in first
        assert all("step" not in output for output in others)
    results = [
        json.loads((tmp_path / name / "results.json").read_text()) for name in ("two", "one")
    ]
    assert results[0]["step"] == 3
    assert results[0]["results"]["depth"] == pytest.approx(results[1]["results"]["depth"], rel=1e-3)
    shutil.copytree(tmp_path / "one", tmp_path / "again")
    (tmp_path / "again" / "results.json").unlink()
    save_to = f"--save_predictions={tmp_path / 'predictions'}"
    for process in start_main(tmp_path, "again", 2, "--mode=eval", save_to):
        test_main.finish(process, timeout=900)
    assert len(list((tmp_path / "predictions" / "depth").iterdir())) == 5
    found = json.loads((tmp_path / "again" / "results.json").read_text())
    for task, metrics in results[1]["results"].items():
        assert found["results"][task] == pytest.approx(metrics, rel=1e-6), task  # of float32
    pictures = [cv2.imread(str(tmp_path / name / "panels.png")) for name in ("again", "one")]
    assert pictures[0].shape == pictures[1].shape
    assert np.abs(pictures[0].astype(float) - pictures[1]).mean() < 0.1
    assert not list((tmp_path / "again").glob("*.unfinished*"))
