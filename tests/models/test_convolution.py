"""The convolution under JAX's transformations, against JAX's own."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from astmt_jax.models import convolution
from astmt_jax.models.window import Window

WINDOW = Window(stride=2, dilation=2, groups=1)


def draw(*shape):
    return np.random.default_rng(len(shape)).standard_normal(shape)


def own(x, kernel):
    return convolution.convolve(x, kernel, WINDOW)


def plain(x, kernel):
    return WINDOW(x, kernel)


def assert_equal(function, *arguments):
    """`function(convolution)` of the arguments is the same for ours and JAX's own."""
    with jax.enable_x64(True):
        found, expected = (jax.jit(function(which))(*arguments) for which in (own, plain))
    close = lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-10)  # noqa: E731
    jax.tree.map(close, found, expected)


IMAGES, KERNEL = draw(2, 9, 8, 4), draw(3, 3, 4, 5)
TASK_IMAGES, TASK_KERNELS = draw(3, 2, 9, 8, 4), draw(3, 3, 3, 4, 5)
MAPPED = {
    "images": ((0, None), TASK_IMAGES, KERNEL),
    "images, tasks second": ((1, None), TASK_IMAGES.swapaxes(0, 1), KERNEL),
    "kernels": ((None, 0), IMAGES, TASK_KERNELS),
    "both": ((0, 0), TASK_IMAGES, TASK_KERNELS),
}


def summed(convolve):
    return lambda *arguments: jnp.sum(jnp.sin(convolve(*arguments)))


@pytest.mark.parametrize("case", MAPPED)
def test_gradient_over_tasks(case):
    """Of all tasks' sum, as in training, and of every task by itself."""
    axes, *arguments = MAPPED[case]
    mapped = lambda convolve: jax.vmap(convolve, axes)  # noqa: E731
    assert_equal(lambda convolve: jax.value_and_grad(summed(mapped(convolve)), (0, 1)), *arguments)
    assert_equal(lambda convolve: mapped(jax.grad(summed(convolve), (0, 1))), *arguments)


def test_second_derivative():
    """Of one task, and over tasks: the gradients' own gradients, with respect to everything."""

    def of(convolve):
        gradients = jax.grad(summed(convolve), (0, 1))
        return jax.grad(lambda *x: sum(jnp.sum(jnp.sin(g)) for g in gradients(*x)), (0, 1))

    assert_equal(of, IMAGES, KERNEL)
    assert_equal(lambda convolve: of(jax.vmap(convolve, (0, None))), TASK_IMAGES, KERNEL)


WINDOWS = {
    "few outputs": (Window(1, 1, 1), (3, 3, 16, 2)),
    "few outputs, dilated": (Window(1, 3, 1), (3, 3, 16, 1)),
    "few outputs, out of reach": (Window(1, 9, 1), (3, 3, 16, 2)),
    "many channels": (Window(1, 1, 1), (3, 3, 128, 130)),
    "fewer outputs": (Window(1, 2, 1), (3, 3, 4, 3)),
    "more outputs": (Window(1, 2, 1), (3, 3, 3, 4)),
    "stem": (Window(2, 1, 1), (7, 7, 3, 5)),
    "stride, fewer outputs": (Window(2, 1, 1), (3, 3, 5, 2)),
    "one row of taps": (Window(1, 4, 1), (1, 3, 16, 2)),
    "groups": (Window(1, 1, 4), (3, 3, 1, 4)),
    "depthwise, dilated": (Window(1, 2, 4), (5, 5, 1, 4)),
    "depthwise with a stride": (Window(2, 1, 4), (3, 3, 1, 4)),
    "depthwise, far apart": (Window(3, 4, 4), (3, 1, 1, 4)),
    "several of each channel": (Window(1, 1, 4), (3, 3, 1, 8)),
    "groups with a stride": (Window(2, 2, 2), (3, 3, 2, 6)),
    "stem, more at the end": (Window(2, 1, 1, "same"), (3, 3, 3, 5)),
    "groups, more at the end": (Window(2, 1, 4, "same"), (5, 5, 1, 4)),
}


@pytest.mark.parametrize("length", [1, 2, 7, 8, 9, 12])
@pytest.mark.parametrize(
    ("taps", "stride", "dilation"), [(1, 2, 1), (3, 1, 4), (3, 2, 1), (5, 2, 1), (5, 3, 2)]
)
def test_same_padding_is_tensorflows(length, taps, stride, dilation):
    """As XLA has it, whose attribute was made after TensorFlow's."""
    window = Window(stride, dilation, 1, "same")
    span = dilation * (taps - 1) + 1
    (expected,) = lax.padtype_to_pads((length,), (span,), (stride,), "SAME")
    assert window.margins(length, taps) == expected


@pytest.mark.parametrize("case", WINDOWS)
@pytest.mark.parametrize("tasks", [0, 3])
def test_every_window_on_this_platform(case, tasks):
    """On CPUs some are lowered as matrix products: the value and both gradients."""
    window, shape = WINDOWS[case]
    form = (2, 9, 8, shape[2] * window.groups)
    images, kernel = draw(*((tasks, *form) if tasks else form)), draw(*shape)

    def of(convolve):
        mapped = jax.vmap(convolve, (0, None)) if tasks else convolve
        return lambda *x: (mapped(*x), jax.grad(summed(mapped), (0, 1))(*x))

    which = {own: lambda *x: convolution.convolve(*x, window), plain: window}
    assert_equal(lambda convolve: of(which[convolve]), images, kernel)


@pytest.mark.parametrize(
    ("case", "convolutions"),
    # Forwards, to the images, to the kernel.
    [
        ("few outputs", (0, 0, 0)),
        ("fewer outputs", (1, 1, 0)),
        ("stem", (1, 1, 0)),
        ("many channels", (0, 0, 0)),
        ("groups, more at the end", (0, 0, 0)),
        ("several of each channel", (1, 1, 1)),
    ],
)
def test_only_cpus_compute_products(case, convolutions):
    """How many convolutions are left of one and its two gradients, by platform."""
    window, shape = WINDOWS[case]
    images, kernel = jnp.zeros((2, 9, 8, shape[2] * window.groups)), jnp.zeros(shape)
    y = jnp.zeros(jax.eval_shape(window, images, kernel).shape)
    convolve = lambda x, kernel: convolution.convolve(x, kernel, window)  # noqa: E731
    programs = (
        (convolve, images, kernel),
        (lambda y, kernel: jax.vjp(lambda x: convolve(x, kernel), images)[1](y), y, kernel),
        (lambda x, y: jax.vjp(lambda kernel: convolve(x, kernel), kernel)[1](y), images, y),
    )
    for platform, expected in (("cpu", convolutions), ("tpu", (1, 1, 1))):
        lowered = [
            jax.jit(function).trace(*arguments).lower(lowering_platforms=(platform,)).as_text()
            for function, *arguments in programs
        ]
        assert tuple(text.count("stablehlo.convolution") for text in lowered) == expected


def test_images_and_tasks_change_places_for_several_devices_only():
    """One device gets no transposition to do; what several compute is the same."""
    for images_outermost, transposes in ((False, 0), (True, 2)):
        run = lambda x, kernel: convolution._forward(  # noqa: E731
            x,
            kernel,
            window=WINDOW,
            images_outermost=images_outermost,  # noqa: B023
            on_cpu=True,
        )
        jaxpr = jax.make_jaxpr(run)(TASK_IMAGES, KERNEL)
        names = [equation.primitive.name for equation in jaxpr.eqns]
        assert names.count("transpose") == transposes
        expected = jax.vmap(plain, (0, None))(TASK_IMAGES, KERNEL)
        np.testing.assert_allclose(run(TASK_IMAGES, KERNEL), expected, atol=1e-4)
