"""Multiply-adds against closed forms, XLA's cost analysis, and published numbers."""

import itertools
import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from networks import PASCAL, network_of, shapes_of

from astmt_jax import multiply_adds as module
from astmt_jax.multiply_adds import multiply_adds

IMAGE = jax.ShapeDtypeStruct((1, 512, 512, 3), jnp.float32)


def array(*shape):
    return jax.ShapeDtypeStruct(shape, jnp.float32)


def convolution(kernel, x, stride=1, dilation=1, groups=1, padding="SAME"):
    return lax.conv_general_dilated(
        x,
        kernel,
        (stride, stride),
        padding,
        rhs_dilation=(dilation, dilation),
        feature_group_count=groups,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )


@pytest.mark.parametrize(
    ("function", "weights", "data", "expected"),
    [
        (lambda w, x: x @ w, array(5, 7), array(2, 3, 5), 2 * 3 * 5 * 7),
        (convolution, array(3, 3, 4, 6), array(2, 8, 10, 4), 2 * 8 * 10 * 9 * 4 * 6),
        (
            partial(convolution, stride=2, dilation=2),
            array(3, 3, 4, 6),
            array(2, 8, 10, 4),
            2 * 4 * 5 * 9 * 4 * 6,
        ),
        (partial(convolution, groups=4), array(3, 3, 1, 8), array(1, 6, 6, 4), 36 * 9 * 8),
        (jax.vmap(lambda w, x: x @ w, (0, None)), array(3, 5, 7), array(2, 5), 3 * 2 * 5 * 7),
        (jax.vmap(convolution, (None, 0)), array(1, 1, 4, 6), array(3, 1, 2, 2, 4), 3 * 4 * 24),
        (jax.jit(lambda w, x: jax.nn.relu(x @ w) @ w.T), array(5, 7), array(2, 5), 2 * 2 * 5 * 7),
    ],
    ids=["matrix", "padding", "strided", "grouped", "per task", "all tasks", "nested"],
)
def test_closed_forms(function, weights, data, expected):
    assert multiply_adds(function, weights, data) == expected


@pytest.mark.parametrize(
    "function",
    [
        lambda w, x: x * w[0],
        lambda w, x: x @ x.T,
        lambda w, x: x + (w @ w.T)[0],
        lambda w, x: x @ np.ones((5, 5), np.float32),
        lambda w, x: jax.image.resize(x, (8, 9), "bilinear") * w[0, 0],
    ],
    ids=["elementwise", "data with data", "weights with weights", "constants", "resizing"],
)
def test_other_products_do_not_count(function):
    assert multiply_adds(function, array(5, 5), array(2, 5)) == 0


def test_one_platform_counts():
    """Of different lowerings the most expensive one, as every device runs one of them only."""

    def function(w, x):
        return lax.platform_dependent(
            w, x, cpu=lambda w, x: x @ w, default=lambda w, x: x @ w + 1e-9 * ((x @ w) @ w)
        )

    assert multiply_adds(function, array(5, 5), array(2, 5)) == 3 * 50


def test_rounds_of_a_scan():
    """Three rounds of (2, 5) x (5, 5); a carry of zeros becomes data with the first."""

    def of_data(w, x):
        return lax.scan(lambda y, _: (y @ w, None), x, length=3)[0]

    def of_slices(w, x):
        return lax.scan(lambda y, row: (y + row @ w, row @ w), jnp.zeros((2, 5)), x)

    def of_carry(w, x):
        return lax.scan(lambda y, row: (y @ w + row, None), jnp.zeros((2, 5)), x)[0]

    assert multiply_adds(of_data, array(5, 5), array(2, 5)) == 3 * 50
    assert multiply_adds(of_carry, array(5, 5), array(3, 2, 5)) == 3 * 50
    assert multiply_adds(of_slices, array(5, 5), array(3, 2, 5)) == 2 * 3 * 50
    assert (
        multiply_adds(
            lambda w, x: lax.fori_loop(0, 3, lambda _, y: y @ w, x), array(5, 5), array(2, 5)
        )
        == 3 * 50
    )


def test_loops_without_a_known_end_are_refused():
    def function(w, x):
        return lax.while_loop(lambda y: y.sum() < 1, lambda y: y @ w, x)

    with pytest.raises(ValueError, match="while cannot be counted"):
        multiply_adds(function, array(5, 5), array(2, 5))


@pytest.mark.parametrize(
    ("backbone", "published"), [("resnet26", 25.9e9), ("resnet50", 39.2e9), ("resnet101", 59.8e9)]
)
def test_published_numbers(backbone, published):
    """Of one task of the PASCAL networks at 512 x 512; all tasks share the stem."""
    network = network_of(PASCAL, backbone=backbone)
    variables = shapes_of(network)
    one = multiply_adds(lambda v, x: network.task_logits(*v, x, "semseg"), variables, IMAGE)
    assert one == pytest.approx(published, rel=0.005)
    every = multiply_adds(lambda v, x: network.all_logits(*v, x), variables, IMAGE)
    assert 4.5 * one < every < 5 * one


def taps_inside(equation):
    """A convolution's multiply-adds less those with padding, position by position."""
    window = equation.params["window"]
    (*images, height, width, _), kernel = (variable.aval.shape for variable in equation.invars)
    inside = 1
    for axis, size in enumerate((height, width)):
        taps, outputs = kernel[axis], equation.outvars[0].aval.shape[len(images) + axis]
        inside *= sum(
            0 <= out * window.stride + (tap - taps // 2) * window.dilation < size
            for out, tap in itertools.product(range(outputs), range(taps))
        )
    return math.prod(images) * inside * math.prod(kernel[2:])


@pytest.mark.parametrize(
    "model",
    [{"backbone": "resnet26"}, {"backbone": "resnet26", "output_stride": 8}],
    ids=["stride 16", "stride 8"],
)
def test_xla_counts_the_same(model, monkeypatch):
    """Less the taps on padding, which XLA leaves out, plus elementwise operations and resizing.

    The latter are 10 to 20 operations for each of the few values that a convolution with hundreds
    of multiply-adds computes.
    """
    network = network_of(PASCAL, **model)
    variables = shapes_of(network)

    def predict(variables, images):
        return network.task_logits(*variables, images, "normals")

    monkeypatch.setitem(module.COSTS, "image_convolution", taps_inside)
    own = 2 * multiply_adds(predict, variables, IMAGE)
    # Of a TPU: on CPUs the convolutions to few channels are products, which compute those taps.
    lowered = jax.jit(predict).trace(variables, IMAGE).lower(lowering_platforms=("tpu",))
    xla = lowered.cost_analysis()["flops"]
    print(xla / own)
    assert own < xla < 1.02 * own
