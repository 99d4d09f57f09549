"""Derivatives of the building blocks, against their definitions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from astmt_jax.models import layers, normalization


def by_definition(x, scale, bias):
    """Batch norm of (..., C) with the batch's statistics."""
    axes = tuple(range(x.ndim - 1))
    standardized = (x - x.mean(axes)) / jnp.sqrt(x.var(axes) + normalization.BATCH_NORM_EPSILON)
    return scale * standardized + bias


def by_module(x, scale, bias):
    """The same by `normalization.BatchNorm`."""
    norm = normalization.BatchNorm(x.shape[-1], "shared")
    norm.scale[...], norm.bias[...] = scale, bias
    return norm(x, train=True)


@pytest.mark.parametrize("shared_input", [False, True], ids=["own inputs", "one input"])
def test_batch_norm_gradient(shared_input):
    """For three tasks at once, as in the network, with an input of their own or a common one."""
    random = np.random.default_rng(0)
    tasks, axes = 3, (None if shared_input else 0, 0, 0)
    with jax.enable_x64(True):
        x = jnp.asarray(2 + 3 * random.standard_normal((tasks, 4, 5, 6, 7)))
        inputs = (
            x[0] if shared_input else x,
            jnp.asarray(random.standard_normal((tasks, 7))),
            jnp.asarray(random.standard_normal((tasks, 7))),
        )
        weights = jnp.asarray(random.standard_normal(x.shape))

        def gradients(function):
            loss = lambda *values: jnp.sum(weights * jax.vmap(function, axes)(*values))  # noqa: E731
            return jax.grad(loss, (0, 1, 2))(*inputs)

        for found, expected in zip(gradients(by_module), gradients(by_definition), strict=True):
            np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("per_task", [False, True], ids=["one kernel", "own kernels"])
@pytest.mark.parametrize(("inputs", "outputs"), [(3, 8), (8, 3)])
def test_pointwise_gradient(inputs, outputs, per_task):
    """Against NumPy: of one kernel for three tasks, and of a kernel for each."""
    random = np.random.default_rng(0)
    with jax.enable_x64(True):
        x = random.standard_normal((3, 2, 4, 5, inputs))
        kernel = random.standard_normal((3, inputs, outputs))
        weights = random.standard_normal((3, 2, 4, 5, outputs))

        def loss(x, kernel):
            axes = (0, 0 if per_task else None)
            return jnp.sum(weights * jax.vmap(layers.pointwise, axes)(x, kernel))

        used = kernel if per_task else kernel[0]
        found = jax.grad(loss, (0, 1))(jnp.asarray(x), jnp.asarray(used))
    kernel_gradient = np.einsum("tbhwc,tbhwd->tcd", x, weights)
    if not per_task:
        kernel = np.stack([kernel[0]] * 3)
        kernel_gradient = kernel_gradient.sum(axis=0)
    np.testing.assert_allclose(found[0], np.einsum("tbhwd,tcd->tbhwc", weights, kernel), atol=1e-12)
    np.testing.assert_allclose(found[1], kernel_gradient, atol=1e-12)


def test_batch_norm_gradient_of_bfloat16_is_bfloat16():
    norm = normalization.BatchNorm(3, "per_task")
    x = jnp.asarray(np.random.default_rng(0).standard_normal((2, 4, 4, 3)), jnp.bfloat16)
    graph, state = nnx.split(norm)
    loss = lambda x: jnp.sum(nnx.merge(graph, state, copy=True)(x, train=True) ** 2)  # noqa: E731
    assert jax.grad(loss)(x).dtype == jnp.bfloat16
