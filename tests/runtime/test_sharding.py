"""How variables are split."""

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
