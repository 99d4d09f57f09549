"""What a split batch, split variables and several processes change: only the order of sums."""

import device_runs
import jax
import numpy as np
import pytest
from device_runs import free_port


@pytest.fixture(scope="module")
def runs_of_one_process(tmp_path_factory) -> dict:
    """What `device_runs` finds in one process of eight devices: name -> (final state, losses)."""
    folder = tmp_path_factory.mktemp("one_process")
    return device_runs.results(folder, device_runs.start(folder))


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        ("joint, copies", "joint, one device"),
        ("joint, split", "joint, one device"),
        ("per_task, split", "per_task, one device"),
        ("per_task, restored", "per_task, one device"),
        ("joint, in parts, split", "joint, in parts, one device"),
        ("one task, split", "one task, one device"),
        ("mixture, split", "mixture, one device"),
    ],
)
def test_eight_devices_do_what_one_does(runs_of_one_process, run, expected):
    """Losses, parameters, batch-norm statistics and momentum after three steps.

    So batch norm and the losses' normalisation see the global batch: half the devices have no
    labels of one task, and each device's images are brighter than the one's before. With batches
    taken in parts, too.
    """
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-13),
        runs_of_one_process[run],
        runs_of_one_process[expected],
    )


def test_two_processes_do_what_one_does(runs_of_one_process, tmp_path):
    """Split variables, four devices each: losses and state after three steps; and a checkpoint.

    The first process finds the other through SLURM's environment, the other one by flags.
    """
    port = free_port()
    slurm = {
        "SLURM_JOB_ID": "1",
        "SLURM_STEP_NODELIST": "localhost",
        "SLURM_NTASKS": "2",
        "SLURM_PROCID": "0",
        "SLURM_LOCALID": "0",
        "JAX_COORDINATOR_PORT": str(port),
    }
    found = device_runs.results(
        tmp_path,
        device_runs.start(tmp_path, 2, **slurm),
        device_runs.start(tmp_path, 2, flags=(f"localhost:{port}", 2, 1)),
    )
    for name, run in found.items():
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-13),
            run,
            runs_of_one_process[name],
        )
    assert list(found) == ["per_task, split", "per_task, restored", "joint, in parts, split"]
