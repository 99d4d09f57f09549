"""Losses against their definitions; test_reference_parity.py has the golden cases."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage, special

from astmt_jax.labels import IGNORE
from astmt_jax.tasks import losses

SHAPE = (2, 6, 7)  # (B, H, W) of the small cases
CLASSES = 4
ALL = {
    "cross_entropy": losses.softmax_cross_entropy,
    "fixed_bce": functools.partial(losses.balanced_binary_cross_entropy, positive_weight=0.9),
    "balanced_bce": losses.balanced_binary_cross_entropy,
    "normals": losses.normals_l1,
    "depth": losses.depth_l1,
    "depth_reference": functools.partial(losses.depth_l1, mask_gradient=False),
    "albedo": losses.albedo_l1,
}
# Compiled once for all tests: the same logits (B, H, W, C) and labels everywhere.
VALUE_AND_GRAD = {name: jax.jit(jax.value_and_grad(loss)) for name, loss in ALL.items()}
GRAD_AND_SECOND = {
    name: jax.jit(
        lambda logits, labels, direction, loss=loss: jax.jvp(
            lambda x: jax.grad(loss)(x, labels), (logits,), (direction,)
        )
    )
    for name, loss in ALL.items()
}
CHANNELS = {"cross_entropy": CLASSES, "normals": 3, "albedo": 3}


@pytest.fixture
def x64():
    with jax.enable_x64():
        yield


def sample(name, seed=0, ignored=0.3):
    """Random logits and labels of a loss; a fraction `ignored` of the pixels is 255."""
    rng = np.random.default_rng(seed)
    channels = CHANNELS.get(name, 1)
    logits = rng.standard_normal((*SHAPE, channels))
    if name == "cross_entropy":
        labels = rng.integers(0, CLASSES, (*SHAPE, 1)).astype(np.uint8)
    elif name.endswith("bce"):
        labels = rng.integers(0, 2, (*SHAPE, 1)).astype(np.uint8)
    elif name == "normals":
        labels = rng.standard_normal((*SHAPE, 3))
        labels /= np.linalg.norm(labels, axis=-1, keepdims=True)
    else:
        labels = rng.uniform(0.5, 8, (*SHAPE, channels))
    labels[rng.random(SHAPE) < ignored] = IGNORE
    return logits, labels


def bce_by_definition(logits, labels, weight):
    logits, labels = logits[labels != IGNORE], labels[labels != IGNORE]
    weight = np.mean(labels == 0) if weight is None else weight
    positives = -np.log(special.expit(logits[labels == 1])).sum()
    negatives = -np.log(1 - special.expit(logits[labels == 0])).sum()
    return (weight * positives + (1 - weight) * negatives) / labels.size


def cross_entropy_by_definition(logits, labels):
    pairs = zip(logits.reshape(-1, CLASSES), labels.ravel(), strict=True)
    return np.mean([-np.log(special.softmax(z)[k]) for z, k in pairs if k != IGNORE])


def normals_by_definition(logits, labels):
    valid = labels != IGNORE
    unit = logits / np.linalg.norm(logits, axis=-1, keepdims=True)
    return np.abs(unit - labels)[valid].mean()


def depth_by_definition(logits, labels, mask_gradient):
    valid = labels != IGNORE
    error = np.abs(logits - labels)[valid].sum()
    kernel = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]])
    for output, label, is_valid in zip(logits[..., 0], labels[..., 0], valid[..., 0], strict=True):
        counted = ndimage.minimum_filter(is_valid, 3, mode="nearest") if mask_gradient else ...
        label = np.where(is_valid, label, 0)
        for k in (kernel, kernel.T):
            ours, theirs = (ndimage.correlate(x, k, mode="constant") for x in (output, label))
            error += np.abs(ours - theirs)[counted].sum()
    return error / valid.sum()


DEFINITIONS = {
    "cross_entropy": cross_entropy_by_definition,
    "fixed_bce": functools.partial(bce_by_definition, weight=0.9),
    "balanced_bce": functools.partial(bce_by_definition, weight=None),
    "normals": normals_by_definition,
    "depth": functools.partial(depth_by_definition, mask_gradient=True),
    "depth_reference": functools.partial(depth_by_definition, mask_gradient=False),
    "albedo": lambda logits, labels: np.abs(logits - labels)[labels != IGNORE].mean(),
}


@pytest.mark.parametrize("ignored", [0.0, 0.1, 0.6])
@pytest.mark.parametrize("name", ALL)
def test_agrees_with_its_definition(x64, name, ignored):
    logits, labels = sample(name, ignored=ignored)
    loss, _ = VALUE_AND_GRAD[name](logits, labels)
    np.testing.assert_allclose(loss, DEFINITIONS[name](logits, labels), rtol=1e-12)


@pytest.mark.parametrize("name", sorted(ALL.keys() - {"depth_reference"}))
def test_outputs_at_ignored_pixels_do_not_matter(x64, name):
    logits, labels = sample(name)
    ignored = labels[..., :1] == IGNORE
    loss, gradient = VALUE_AND_GRAD[name](logits, labels)
    other_loss, other_gradient = VALUE_AND_GRAD[name](np.where(ignored, 100, logits), labels)
    assert other_loss == loss
    np.testing.assert_array_equal(other_gradient, gradient)
    assert not np.where(ignored, gradient, 0).any()
    assert np.any(gradient)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("output", [0.0, 3.0])
def test_nothing_valid_means_zero_derivatives_of_both_orders(x64, name, output):
    logits, labels = sample(name)
    logits = np.full_like(logits, output)
    labels = np.full_like(labels, IGNORE)
    loss, _ = VALUE_AND_GRAD[name](logits, labels)
    first, second = GRAD_AND_SECOND[name](logits, labels, np.ones_like(logits))
    assert loss == 0
    np.testing.assert_array_equal(first, np.zeros_like(logits))
    np.testing.assert_array_equal(second, np.zeros_like(logits))


@pytest.mark.parametrize("length", [0.0, 1e-30, 1e-13, 1e-11])
def test_tiny_normals_have_finite_derivatives_of_both_orders(length):
    _, labels = sample("normals")
    logits = np.full((*SHAPE, 3), length)
    derivatives = GRAD_AND_SECOND["normals"](logits, labels, np.ones_like(logits))
    assert np.isfinite(derivatives).all()


@pytest.mark.parametrize("name", ALL)
def test_derivatives_agree_with_finite_differences(x64, name):
    logits, labels = sample(name)
    direction = np.random.default_rng(1).standard_normal(logits.shape)
    first, second = GRAD_AND_SECOND[name](logits, labels, direction)
    step = 1e-6
    (low, low_grad), (high, high_grad) = (
        VALUE_AND_GRAD[name](logits + s * direction, labels) for s in (-step, step)
    )
    np.testing.assert_allclose((first * direction).sum(), (high - low) / (2 * step), rtol=1e-6)
    numeric = (high_grad - low_grad) / (2 * step)
    np.testing.assert_allclose(second, numeric, atol=1e-6)


@pytest.mark.parametrize("name", ALL)
def test_under_jit_and_vmap(x64, name):
    pairs = [sample(name, seed) for seed in range(3)]
    logits, labels = (jnp.stack(x) for x in zip(*pairs, strict=True))
    batched = jax.jit(jax.vmap(ALL[name]))(logits, labels)
    one_by_one = [VALUE_AND_GRAD[name](*pair)[0] for pair in pairs]
    np.testing.assert_allclose(batched, one_by_one, rtol=1e-9)


@pytest.mark.parametrize("name", ALL)
def test_bfloat16_outputs_are_summed_in_float32(name):
    logits, labels = sample(name)
    logits = jnp.asarray(logits, jnp.bfloat16)
    loss, gradient = VALUE_AND_GRAD[name](logits, labels)
    assert (loss.dtype, gradient.dtype) == (jnp.float32, jnp.bfloat16)
    exact = DEFINITIONS[name](np.asarray(logits, np.float64), labels)
    np.testing.assert_allclose(loss, exact, rtol=1e-6)


def test_extreme_logits_stay_finite():
    logits = jnp.array([-1e4, -1e4, 1e4, 1e4]).reshape(1, 2, 2, 1)
    labels = jnp.array([0, 1, 0, 1]).reshape(1, 2, 2, 1)
    loss = losses.balanced_binary_cross_entropy(logits, labels, positive_weight=0.75)
    np.testing.assert_allclose(loss, (0.75 * 1e4 + 0.25 * 1e4) / 4)


@pytest.mark.parametrize("name", sorted(ALL.keys() - {"depth_reference"}))
def test_an_unlabelled_image_does_not_dilute_the_batch(x64, name):
    logits, labels = sample(name, ignored=0)
    labels[1] = labels[0]
    logits[1] = logits[0]
    half = labels.copy()  # JAX may still be reading `labels` itself
    half[1] = IGNORE
    expected, _ = VALUE_AND_GRAD[name](logits, labels)
    loss, _ = VALUE_AND_GRAD[name](logits, half)
    np.testing.assert_allclose(loss, expected, rtol=1e-9)


def test_both_depth_forms_are_equal_without_ignored_pixels(x64):
    pair = sample("depth", ignored=0)
    loss, gradient = VALUE_AND_GRAD["depth"](*pair)
    reference_loss, reference_gradient = VALUE_AND_GRAD["depth_reference"](*pair)
    np.testing.assert_allclose(loss, reference_loss, rtol=1e-9)
    np.testing.assert_allclose(gradient, reference_gradient, atol=1e-12)


@pytest.mark.parametrize("name", ALL)
def test_no_convolution_inside(name):
    jaxpr = jax.make_jaxpr(jax.grad(ALL[name]))(*(jnp.asarray(x) for x in sample(name)))
    assert "conv" not in str(jaxpr).replace("convert", "")


@pytest.mark.parametrize("name", ALL)
def test_labels_of_another_shape_are_refused(name):
    logits, labels = sample(name)
    with pytest.raises(ValueError, match="labels have shape"):
        ALL[name](jnp.asarray(logits), jnp.asarray(labels[:, :-1]))


def test_valid_pixels():
    labels = jnp.array([[[0.0, 1, 0], [255, 255, 255]]])
    np.testing.assert_array_equal(losses.valid_pixels(labels), [[True, False]])


@pytest.mark.parametrize("name", ALL)
def test_parts_add_up_to_the_batch(x64, name):
    """Losses and gradients of two parts, one with fewer labels, are those of the whole."""
    logits, labels = sample(name, seed=11)
    labels[1, :4] = IGNORE
    whole, gradient = VALUE_AND_GRAD[name](logits, labels)
    parts = [
        VALUE_AND_GRAD[name](logits[rows], labels[rows], labels)
        for rows in (slice(0, 1), slice(1, 2))
    ]
    np.testing.assert_allclose(sum(value for value, _ in parts), whole, rtol=1e-12)
    found = np.concatenate([part for _, part in parts])
    np.testing.assert_allclose(found, gradient, rtol=1e-9, atol=1e-14)
