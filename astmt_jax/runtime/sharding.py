"""Where arrays live: batches split over all devices, variables on every one or split, too.

The compiler (GSPMD) makes one program for all devices of it: batch norm and losses see the global
batch, and gradients are summed over devices without a line about it elsewhere.
"""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

AXIS = "data"
MIN_SIZE = 2**14
"""Numbers in an array that is worth splitting: 64 KiB in float32."""


def data_mesh(devices: Sequence[jax.Device] | None = None) -> Mesh:
    """Devices in one axis 'data'; by default all devices of all processes.

    They come process by process, so that each process's rows of a batch are contiguous; what
    `jax.make_mesh` makes on a TPU pod need not be so.
    """
    ordered = sorted(devices or jax.devices(), key=lambda d: (d.process_index, d.id))
    return Mesh(np.array(ordered), (AXIS,), axis_types=(AxisType.Auto,))


class Placement:
    """Decides where each array lives.

    Args:
      mesh: all devices, in one axis 'data'.
      shard_parameters: splits large variables and optimizer states over the devices (fully sharded
        data parallelism): along the largest axis that the number of devices divides. Otherwise
        every device has them all. Results are the same but for the order of sums.
      min_size: arrays with fewer numbers are not split.

    Attributes:
      mesh: as given.
      batch: sharding of what has one entry an image.
      replicated: sharding of what every device has.
    """

    def __init__(self, mesh: Mesh, shard_parameters: bool = False, min_size: int = MIN_SIZE):
        self.mesh = mesh
        self.batch = NamedSharding(mesh, PartitionSpec(AXIS))
        self.replicated = NamedSharding(mesh, PartitionSpec())
        self._shard_parameters = shard_parameters
        self._min_size = min_size

    def sharding_of(self, variable: Any) -> NamedSharding:
        """Where a variable of this shape lives: an array, or only its description."""
        shape, devices = variable.shape, self.mesh.size
        candidates = [axis for axis, length in enumerate(shape) if length % devices == 0]
        if not self._shard_parameters or variable.size < self._min_size or not candidates:
            return self.replicated
        axis = max(candidates, key=lambda axis: shape[axis])
        return NamedSharding(self.mesh, PartitionSpec(*[None] * axis, AXIS))

    def described(self, variables: Any) -> Any:
        """The tree with every array's `jax.ShapeDtypeStruct`, with its sharding."""
        return jax.tree.map(
            lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=self.sharding_of(x)),
            variables,
        )

    def put(self, variables: Any) -> Any:
        """Places a tree of arrays, of which every process has the same."""

        def place(array):
            host = np.array(array)  # a copy: what is placed may be donated
            return jax.make_array_from_callback(
                host.shape, self.sharding_of(host), lambda index: host[index]
            )

        return jax.tree.map(place, variables)

    def replicate(self, variables: Any) -> Any:
        """The tree of placed arrays, all of them on every device."""
        return jax.device_put(variables, self.replicated)

    def constrain(self, variables: Any) -> Any:
        """Within a jitted function: the tree, placed as `put` does."""
        return jax.tree.map(
            lambda x: jax.lax.with_sharding_constraint(x, self.sharding_of(x)), variables
        )

    def gather(self, variables: Any) -> Any:
        """Within a jitted function: the tree, whole on every device.

        So layers get whole variables and split batches, and nothing else can be split: left alone,
        the compiler may split a layer's channels instead, and exchange activations.
        """
        return jax.tree.map(
            lambda x: jax.lax.with_sharding_constraint(x, self.replicated), variables
        )
