"""Which images of a batch have labels for which task, where the tasks draw from several datasets.

A batch is made of groups. Each has some images of every dataset, always in the same places: so any
share of the groups, on one device or in one process, has images of every dataset, too. Where there
is one dataset, a group is an image.

Free of TensorFlow.
"""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import jax


@dataclasses.dataclass(frozen=True)
class Layout:
    """The places of a group.

    Attributes:
      size: images in a group.
      places: task -> where its images stand in a group, first and one past the last; a task that is
        not named has labels everywhere.
    """

    size: int = 1
    places: Mapping[str, tuple[int, int]] = dataclasses.field(default_factory=dict)

    def place(self, task: str) -> tuple[int, int]:
        """Where a task's images stand in a group."""
        return self.places.get(task, (0, self.size))

    def of_task(self, batch: Any, task: str) -> Any:
        """The images of a batch that have labels for a task.

        Args:
          batch: tree of arrays (B, ...), B a multiple of `size`, on devices.
          task: its name.

        Returns:
          The tree of arrays (B / size * n, ...), n the number of the task's places.
        """
        place = self.place(task)
        return batch if place == (0, self.size) else _taken(batch, self.size, place)

    def described(self, batch: Any, task: str) -> Any:
        """As `of_task`, of a batch that is only described (`jax.ShapeDtypeStruct`)."""
        start, stop = self.place(task)
        return jax.tree.map(
            lambda x: jax.ShapeDtypeStruct(
                (x.shape[0] // self.size * (stop - start), *x.shape[1:]),
                x.dtype,
                sharding=x.sharding,
            ),
            batch,
        )


ONE_DATASET = Layout()
"""Every image has labels for every task."""


@functools.partial(jax.jit, static_argnames=("size", "place"))
def _taken(batch: Any, size: int, place: tuple[int, int]) -> Any:
    """The images at some places of every group of `size`."""

    def take(array):
        groups = array.reshape(-1, size, *array.shape[1:])
        return groups[:, slice(*place)].reshape(-1, *array.shape[1:])

    return jax.tree.map(take, batch)
