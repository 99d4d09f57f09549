"""Batch norm, for one task."""

from functools import partial

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax

from astmt_jax.models.layers import widen
from astmt_jax.models.rematerialization import kept
from astmt_jax.models.variables import FrozenParam, TaskParam, TaskStat

BATCH_NORM_EPSILON = 1e-5
BATCH_NORM_MOMENTUM = 0.1  # weight of the new batch, PyTorch's convention


class BatchNorm(nnx.Module):
    """Batch norm over all but the last axis, with PyTorch's momentum and unbiased running variance.

    Args:
      channels: size of the last axis.
      ownership: 'per_task', 'shared', or 'frozen' (shared; scale and bias are not trained).
      epsilon: added to the variance.

    It computes in at least float32 whatever the input's dtype, which the output keeps.

    Attributes:
      fixed: normalises by the running statistics in training, too, and leaves them as they are.
    """

    def __init__(self, channels: int, ownership: str, epsilon: float = BATCH_NORM_EPSILON):
        param, stat = {
            "per_task": (TaskParam, TaskStat),
            "shared": (nnx.Param, nnx.BatchStat),
            "frozen": (FrozenParam, nnx.BatchStat),
        }[ownership]
        self.scale = param(jnp.ones(channels))
        self.bias = param(jnp.zeros(channels))
        self.mean = stat(jnp.zeros(channels))
        self.var = stat(jnp.ones(channels))
        self.epsilon = epsilon
        self.fixed = False

    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        """(..., C) -> (..., C); with `train` the batch's statistics are used and recorded."""
        if train and not self.fixed:
            y, mean, var = _standardize(
                x, self.scale[...], self.bias[...], self.mean[...], self.epsilon
            )
            count = x.size // x.shape[-1]
            self._record(self.mean, mean)
            self._record(self.var, var * (count / max(count - 1, 1)))
        else:
            inverse_deviation = lax.rsqrt(self.var[...] + self.epsilon)
            y = _affine(x, self.mean[...], inverse_deviation, self.scale[...], self.bias[...])
        return y

    def _record(self, running: nnx.Variable, batch: jax.Array) -> None:
        batch = lax.stop_gradient(batch).astype(running[...].dtype)
        running[...] = (1 - BATCH_NORM_MOMENTUM) * running[...] + BATCH_NORM_MOMENTUM * batch


@partial(jax.custom_vjp, nondiff_argnums=(4,))
def _standardize(
    x: jax.Array, scale: jax.Array, bias: jax.Array, expected: jax.Array, epsilon: float
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Batch norm of (..., C) by its own statistics: the result, their mean and (biased) variance.

    Its derivative is written out: the closed form passes over the activations less often than what
    automatic differentiation makes of the definition. The statistics carry no gradient.
    """
    return _standardize_forward(x, scale, bias, expected, epsilon)[0]


@jax.custom_batching.custom_vmap
def _statistics(x: jax.Array, expected: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Mean and (biased) variance of (..., C), in one pass and one exchange between devices.

    Deviations are taken from an `expected` mean, which is known beforehand: the closer it is, the
    less the difference of their squares loses.
    """
    axes = tuple(range(x.ndim - 1))
    deviation = widen(x) - expected
    offset = jnp.mean(deviation, axes)
    var = jnp.mean(jnp.square(deviation), axes) - jnp.square(offset)
    return expected + offset, jnp.maximum(var, 0)


@_statistics.def_vmap
def _statistics_of_tasks(tasks: int, batched: list[bool], x: jax.Array, expected: jax.Array):
    """What all tasks see has the same statistics for all, whatever each of them expects."""
    if batched[0]:
        axes = tuple(0 if each else None for each in batched)
        return jax.vmap(_statistics.fun, axes)(x, expected), (True, True)
    return _statistics(x, jnp.mean(expected, axis=0)), (False, False)


def _affine(x, mean, inverse_deviation, scale, bias) -> jax.Array:
    y = (widen(x) - mean) * (scale * inverse_deviation) + bias
    return y.astype(x.dtype)


def _standardize_forward(x, scale, bias, expected, epsilon):
    mean, var = kept(_statistics(x, expected))
    inverse_deviation = lax.rsqrt(var + epsilon)
    y = _affine(x, mean, inverse_deviation, scale, bias)
    return (y, mean, var), (x, mean, inverse_deviation, scale)


def _standardize_backward(epsilon, residuals, cotangents):
    del epsilon  # is in the deviation
    x, mean, inverse_deviation, scale = residuals
    gradient = widen(cotangents[0])
    axes = tuple(range(x.ndim - 1))
    standardized = (widen(x) - mean) * inverse_deviation
    bias_gradient = jnp.sum(gradient, axes)
    scale_gradient = jnp.sum(gradient * standardized, axes)
    count = x.size // x.shape[-1]
    common = (bias_gradient + standardized * scale_gradient) / count
    x_gradient = scale * inverse_deviation * (gradient - common)
    gradients = ((x_gradient, x), (scale_gradient, scale), (bias_gradient, scale))
    return *(value.astype(like.dtype) for value, like in gradients), None


_standardize.defvjp(_standardize_forward, _standardize_backward)
