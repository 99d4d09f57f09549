"""Batches between the host's memory and the devices."""

import collections
from collections.abc import Iterable, Iterator
from typing import Any, cast

import jax
from jax.experimental import multihost_utils


def to_global(batch: Any, sharding: jax.sharding.NamedSharding) -> Any:
    """Puts every process's share of a batch (a tree of arrays (B, ...)) together on the devices.

    Args:
      batch: this process's share, in host memory.
      sharding: splits the leading axis, over the mesh axis 'data'.

    Returns:
      The same tree of global arrays; their leading axis is that of all processes together.
    """
    return jax.tree.map(
        lambda array: jax.make_array_from_process_local_data(sharding, array), batch
    )


def to_local(outputs: Any, sharding: jax.sharding.NamedSharding) -> Any:
    """The inverse of `to_global`: this process's rows of a tree of global arrays, on the host."""
    mesh = cast(jax.sharding.Mesh, sharding.mesh)  # where there are arrays there are devices
    local = multihost_utils.global_array_to_host_local_array(outputs, mesh, sharding.spec)
    return jax.device_get(local)


def prefetch(
    batches: Iterable[Any], sharding: jax.sharding.NamedSharding, lookahead: int = 2
) -> Iterator[Any]:
    """Yields `to_global` of every batch, with the next ones already on their way to the devices."""
    waiting = collections.deque()
    for batch in batches:
        waiting.append(to_global(batch, sharding))
        if len(waiting) > lookahead:
            yield waiting.popleft()
    yield from waiting
