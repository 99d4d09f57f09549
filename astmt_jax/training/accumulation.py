"""An update computed from parts of a batch, one after the other, so that memory holds only one."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

State, Stats = Any, Any


def update_function(
    view: Callable[..., Stats],
    gradients: Callable[..., tuple[Any, Stats, dict]],
    apply: Callable[..., State],
    num_parts: int,
) -> Callable[..., tuple[State, dict]]:
    """Compiles an update; with several parts, as a program that runs once a part.

    The parts are examples i, i + num_parts, i + 2 num_parts, ... of the batch, so that each device
    finds its share of every part in its share of the batch. Their gradients and metrics are added
    up; statistics go from part to part. A loop within one program (`lax.scan`) would do the same,
    but XLA runs convolutions inside control flow slowly on a CPU.

    Args:
      view: (state, *arguments) -> the statistics that the update starts from.
      gradients: (state, stats, part, labels, *arguments) -> what a part of the batch adds to the
        gradients, the statistics after it, and what it adds to the metrics; `labels` are those of
        the whole batch.
      apply: (state, gradients, stats, labels, *arguments) -> the state after the update.
      num_parts: how many parts; divides each device's share of the batch.

    Returns:
      (state, batch, *arguments) -> state, metrics; it donates the state.
    """

    def whole(state, batch, *arguments):
        stats, labels = view(state, *arguments), batch["labels"]
        total, stats, metrics = gradients(state, stats, batch, None, *arguments)
        return apply(state, total, stats, labels, *arguments), metrics

    def begin(state, batch, *arguments):
        stats, part = view(state, *arguments), _part(batch, 0, num_parts)
        shapes = jax.eval_shape(gradients, state, stats, part, batch["labels"], *arguments)
        sums = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), (shapes[0], shapes[2]))
        return jnp.int32(0), sums, stats

    def add(number, sums, stats, state, batch, *arguments):
        part = _part(batch, number, num_parts)
        total, stats, metrics = gradients(state, stats, part, batch["labels"], *arguments)
        return number + 1, jax.tree.map(jnp.add, sums, (total, metrics)), stats

    if num_parts == 1:
        return jax.jit(whole, donate_argnames="state")
    # The statistics are not donated: the first are the state's own.
    begin, add = jax.jit(begin), jax.jit(add, donate_argnames=("number", "sums"))
    apply = jax.jit(apply, donate_argnums=0)

    def update(state, batch, *arguments):
        number, sums, stats = begin(state, batch, *arguments)
        for _ in range(num_parts):
            number, sums, stats = add(number, sums, stats, state, batch, *arguments)
        total, metrics = sums
        return apply(state, total, stats, batch["labels"], *arguments), metrics

    return update


def _part(batch: Any, number: jax.Array | int, num_parts: int) -> Any:
    """Every `num_parts`-th example of a tree of arrays (B, ...), from `number` on."""

    def take(array):
        grouped = array.reshape(-1, num_parts, *array.shape[1:])
        return jax.lax.dynamic_index_in_dim(grouped, number, axis=1, keepdims=False)

    return jax.tree.map(take, batch)
