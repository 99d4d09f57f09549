"""What a split batch and split variables change: nothing but the order of sums."""

import jax
import numpy as np
import pytest
from jax.sharding import AbstractMesh, PartitionSpec

from astmt_jax.runtime.sharding import Placement

MESH = AbstractMesh((8,), ("data",))


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((3, 3, 64, 256), PartitionSpec(None, None, None, "data")),
        ((3, 3, 256, 64), PartitionSpec(None, None, "data")),
        ((512, 21), PartitionSpec("data")),
        ((5, 8000), PartitionSpec(None, "data")),
        ((16, 16), PartitionSpec()),  # too few numbers
        ((1001, 1003), PartitionSpec()),  # lengths that 8 does not divide
        ((), PartitionSpec()),
    ],
)
def test_largest_axis_that_divides_is_split(shape, expected):
    variable = jax.ShapeDtypeStruct(shape, np.float32)
    assert Placement(MESH, True, min_size=1000).sharding_of(variable).spec == expected
    assert Placement(MESH, False, min_size=1000).sharding_of(variable).spec == PartitionSpec()


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        ("joint, copies", "joint, one device"),
        ("joint, split", "joint, one device"),
        ("per_task, split", "per_task, one device"),
        ("per_task, restored", "per_task, one device"),
        ("joint, in parts, split", "joint, in parts, one device"),
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
