"""Gradients of a batch taken in parts, one after the other, so that memory holds only one."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

Gradients = Callable[..., tuple[Any, Any, dict]]
"""`(state, stats, batch, whole_labels, *arguments)` -> what these images add to the gradients, the
statistics after them, and what they add to the metrics. `whole_labels` are those of the batch that
the images are a part of, None where they are the whole."""


def in_parts(
    gradients: Gradients, num_parts: int, group: int = 1
) -> Callable[..., tuple[Any, Any, dict]]:
    """The gradients, statistics and metrics of a whole batch, from those of its parts.

    The parts are groups i, i + num_parts, i + 2 num_parts, ... of the batch, so that each device
    finds its share of every part in its share of the batch. Their gradients and metrics are added
    up; statistics go from part to part. Each part is one run of a compiled program: a loop within
    one program (`lax.scan`) would do the same, but XLA runs convolutions inside control flow slowly
    on a CPU.

    Args:
      gradients: of some images.
      num_parts: how many parts; divides each device's share of the batch's groups.
      group: examples that stay together; see `pipeline.layout`.

    Returns:
      `(state, stats, batch, *arguments)` -> gradients, statistics, metrics. With several parts it
      cannot be traced.
    """

    def whole(state, stats, batch, *arguments):
        return gradients(state, stats, batch, None, *arguments)

    # Only the shapes of its arguments count, but also the devices that they are on.
    @functools.partial(jax.jit, keep_unused=True)
    def begin(state, stats, batch, *arguments):
        part = _part(batch, 0, num_parts, group)
        total, _, metrics = jax.eval_shape(
            gradients, state, stats, part, batch["labels"], *arguments
        )
        return jnp.int32(0), jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), (total, metrics))

    # The statistics are not donated: the first are the state's own.
    @functools.partial(jax.jit, donate_argnames=("number", "sums"))
    def add(number, sums, state, stats, batch, *arguments):
        part = _part(batch, number, num_parts, group)
        total, stats, metrics = gradients(state, stats, part, batch["labels"], *arguments)
        return number + 1, jax.tree.map(jnp.add, sums, (total, metrics)), stats

    def one_by_one(state, stats, batch, *arguments):
        number, sums = begin(state, stats, batch, *arguments)
        for _ in range(num_parts):
            number, sums, stats = add(number, sums, state, stats, batch, *arguments)
        total, metrics = sums
        return total, stats, metrics

    return whole if num_parts == 1 else one_by_one


def _part(batch: Any, number: jax.Array | int, num_parts: int, group: int) -> Any:
    """Every `num_parts`-th group of a tree of arrays (B, ...), from `number` on."""

    def take(array):
        grouped = array.reshape(-1, num_parts, group, *array.shape[1:])
        chosen = jax.lax.dynamic_index_in_dim(grouped, number, axis=1, keepdims=False)
        return chosen.reshape(-1, *array.shape[1:])

    return jax.tree.map(take, batch)
