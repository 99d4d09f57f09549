"""Rematerialisation changes what is kept in memory, and nothing else."""

import dataclasses
import re
from collections import Counter

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from networks import on_device

from astmt_jax.config import ModelConfig
from astmt_jax.models.inverted_residuals import Architecture, InvertedResidual, Stage
from astmt_jax.models.rematerialization import REMATERIALIZATIONS, apply_block
from astmt_jax.models.resnet import Bottleneck
from astmt_jax.models.variables import TaskParam, TaskStat

SMALL = ModelConfig(backbone="resnet14", width_multiplier=0.0625)
SMALL_MOBILENET = ModelConfig(
    backbone="mobilenetv2", width_multiplier=0.25, encoder_adapters=False, decoder_adapters=False
)
TASKS = 3


def bottleneck(dtype):
    config = dataclasses.replace(SMALL, dtype=dtype)
    return Bottleneck(8, 4, stride=2, dilation=1, project=True, config=config)


def inverted_residual(dtype):
    config = dataclasses.replace(SMALL_MOBILENET, dtype=dtype)
    stage = Stage(kernel_size=3, stride=1, expansion=6, channels=32)
    place = {"stage": stage, "stride": 1, "dilation": 1}
    return InvertedResidual(8, **place, architecture=Architecture((stage,)), config=config)


def random_like(tree):
    random = np.random.default_rng(0)
    return jax.tree.map(lambda leaf: on_device(random.uniform(0.5, 1.5, leaf.shape), float), tree)


def objective(block, remat):
    """Function over tasks, as `network.features` runs blocks, to loss and statistics; arguments."""
    graph, task, stat, shared = nnx.split(block, TaskParam, TaskStat, nnx.Param)
    task, stat = jax.tree.map(lambda x: jnp.stack([x] * TASKS), (task, stat))

    def loss(task, shared, x, stat):
        def run(task, stat):
            module = nnx.merge(graph, task, stat, shared, copy=True)
            y = apply_block(module, x, train=True, remat=remat)
            return jnp.sum(jnp.sin(y)), nnx.state(module, TaskStat)

        losses, stat = jax.vmap(run)(task, stat)
        return jnp.sum(losses), stat

    return loss, random_like((task, shared, jnp.zeros((2, 16, 16, 8)), stat))


@pytest.mark.parametrize("block", [bottleneck, inverted_residual])
def test_gradients_and_statistics_stay(block):
    found = {}
    with jax.enable_x64(True):
        for remat in REMATERIALIZATIONS:
            loss, arguments = objective(block("float64"), remat)
            gradients = jax.grad(loss, (0, 1, 2), has_aux=True)
            found[remat] = jax.jit(gradients)(*arguments)
    close = lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-11)  # noqa: E731
    for remat in ("elementwise", "block"):
        jax.tree.map(close, found[remat], found["none"])


def test_what_the_backward_pass_keeps():
    """Less and less: with 'block' its inputs, and what else the loss keeps of its result."""
    kept = {}
    for remat in REMATERIALIZATIONS:
        loss, arguments = objective(bottleneck("float32"), remat)
        pull_back = jax.eval_shape(lambda *x: jax.vjp(loss, *x, has_aux=True)[1], *arguments)  # noqa: B023
        kept[remat] = sum(leaf.size for leaf in jax.tree.leaves(pull_back))
    inputs = sum(leaf.size for leaf in jax.tree.leaves(arguments))
    outputs = TASKS * 2 * 8 * 8 * 16
    assert kept["block"] <= inputs + outputs
    assert kept["block"] < kept["elementwise"] < 0.7 * kept["none"]


@pytest.mark.parametrize("block", [bottleneck, inverted_residual])
def test_what_the_backward_pass_computes_again(block):
    """No product and no sum with 'elementwise'; with 'block' all of the forward pass."""
    computed = {}
    for remat in REMATERIALIZATIONS:
        loss, arguments = objective(block("float32"), remat)
        program = jax.make_jaxpr(jax.grad(loss, (0, 1, 2), has_aux=True))(*arguments)
        found = re.findall(r"= (dot_general|image_convolution|reduce_sum)\[", str(program))
        computed[remat] = Counter(found)
    assert computed["elementwise"] == computed["none"]
    assert computed["block"] > computed["none"]
