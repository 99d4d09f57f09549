"""Derivatives of the building blocks, against their definitions."""

import re
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from astmt_jax.models import layers, normalization


def by_definition(x, scale, bias, epsilon):
    """Batch norm of (..., C) with the batch's statistics."""
    axes = tuple(range(x.ndim - 1))
    standardized = (x - x.mean(axes)) / jnp.sqrt(x.var(axes) + epsilon)
    return scale * standardized + bias


def by_module(x, scale, bias, epsilon):
    """The same by `normalization.BatchNorm`."""
    norm = normalization.BatchNorm(x.shape[-1], "shared", epsilon)
    norm.scale[...], norm.bias[...] = scale, bias
    return norm(x, train=True)


@pytest.mark.parametrize(
    ("shared_input", "epsilon"),
    [(False, 1e-5), (True, 1e-5), (False, 0.5)],
    ids=["own inputs", "one input", "large epsilon"],
)
def test_batch_norm_gradient(shared_input, epsilon):
    """For three tasks at once, as in the network, with an input of their own or a common one."""
    random = np.random.default_rng(0)
    tasks, axes = 3, (None if shared_input else 0, 0, 0)
    with jax.enable_x64(True):
        x = 2 + 3 * random.standard_normal((tasks, 4, 5, 6, 7))
        inputs = (
            x[0] if shared_input else x,
            random.standard_normal((tasks, 7)),
            random.standard_normal((tasks, 7)),
        )
        weights = random.standard_normal(x.shape)

        def gradients(function):
            mapped = jax.vmap(partial(function, epsilon=epsilon), axes)
            loss = lambda *values: jnp.sum(weights * mapped(*values))  # noqa: E731
            return jax.jit(jax.grad(loss, (0, 1, 2)))(*inputs)

        for found, expected in zip(gradients(by_module), gradients(by_definition), strict=True):
            np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("distance", [0, 3, 30], ids="{} deviations off".format)
def test_batch_norm_statistics(distance):
    """In float32 against float64, to what sums of n squares round, in their unit, to at most.

    The squares grow with that of the distance between the batch's mean and the running one.
    """
    random = np.random.default_rng(0)
    center, deviation = np.array([0, 1e4, -5.0]), np.array([1, 10, 0.1])
    x = (center + deviation * random.standard_normal((4, 16, 16, 3))).astype(np.float32)
    norm = normalization.BatchNorm(3, "shared")
    norm.mean[...] = jnp.asarray(center + distance * deviation, jnp.float32)
    norm.var[...] = jnp.zeros(3)
    before = np.asarray(norm.mean[...], np.float64)
    norm(jnp.asarray(x), train=True)
    pixels = x.reshape(-1, 3).astype(np.float64)
    np.testing.assert_allclose(norm.mean[...], 0.9 * before + 0.1 * pixels.mean(0), rtol=1e-6)
    rtol = len(pixels) * np.finfo(np.float32).eps / 2 * (1 + distance**2)
    np.testing.assert_allclose(norm.var[...], 0.1 * pixels.var(0, ddof=1), rtol=rtol)


def test_batch_norm_of_constant_channels():
    """Nothing varies, and rounding makes no negative variance of it."""
    norm = normalization.BatchNorm(2, "shared")
    y = norm(jnp.full((2, 8, 8, 2), jnp.array([1234.5678, -0.1])), train=True)
    assert np.all(norm.var[...] >= 0.9)
    np.testing.assert_allclose(y, 0, atol=0.1)


@pytest.mark.parametrize("shared_input", [False, True], ids=["own inputs", "one input"])
def test_tasks_share_the_statistics_of_what_they_share(shared_input):
    """One pair of sums for all tasks where they have one input, else a pair for each."""
    norm = normalization.BatchNorm(3, "per_task")
    graph, state = nnx.split(norm)
    states = jax.tree.map(lambda leaf: jnp.stack([leaf] * 5), state)
    x = jnp.ones((2, 4, 4, 3) if shared_input else (5, 2, 4, 4, 3))

    def run(x, state):
        return nnx.merge(graph, state)(x, train=True)

    program = jax.make_jaxpr(jax.vmap(run, (None if shared_input else 0, 0)))(x, states)
    sums = re.findall(r"f32\[([\d,]*)\] = reduce_sum", str(program))
    # Where they share it, their running means are averaged first.
    assert sums == (["3", "3", "3"] if shared_input else ["5,3", "5,3"])


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
        found = jax.jit(jax.grad(loss, (0, 1)))(x, used)
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


@pytest.mark.parametrize(("stride", "top", "left"), [(1, 0, 0), (2, 0, 1), (3, 2, 0)])
def test_every_is_what_brackets_take(stride, top, left):
    x = np.arange(2 * 7 * 8 * 3, dtype=np.float32).reshape(2, 7, 8, 3)
    found = layers.every(x, stride, top, left)
    np.testing.assert_array_equal(found, x[:, top::stride, left::stride])


def test_every_gathers_nothing_in_a_program_for_any_size():
    shape = jax.export.symbolic_shape("b, 16*h, 16*w, 3")
    traced = jax.make_jaxpr(lambda x: layers.every(x, 2))(jax.ShapeDtypeStruct(shape, np.float32))
    assert [equation.primitive.name for equation in traced.eqns] == ["slice"]
