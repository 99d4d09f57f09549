"""Training losses: pure functions of (logits, labels) that return one scalar.

Every loss leaves out the label elements that are `IGNORE` (255): from its numerator, from its
denominator and from its class weights, so that partly labelled data trains correctly. With no valid
element at all a loss is 0 and its derivatives of every order are 0, never NaN.

Every loss can be had in parts: with `whole_labels`, those of a whole batch, it is what a part of
that batch adds to the loss. Denominators and class weights are then those of all labels, so that
the losses and the gradients of the parts add up to those of the whole.

Shapes: `logits` (B, H, W, C) of any float dtype; `labels` (B, H, W, c) of any dtype, c = C except
for the class maps of `softmax_cross_entropy`, where c = 1; `whole_labels` the same, with any number
of images. The result is a scalar of the logits' dtype, at least float32. All of them can be used
under `jit`, `vmap` and repeated `grad`.

The Sobel gradients are shifted differences, not convolutions: XLA runs convolutions inside control
flow slowly on a CPU, and losses are called from `lax.switch`.
"""

import jax
import jax.numpy as jnp

from astmt_jax.labels import IGNORE


def valid_pixels(labels: jax.Array) -> jax.Array:
    """Mask of the labelled pixels: labels (..., H, W, c) -> bool (..., H, W), by first channel."""
    return labels[..., 0] != IGNORE


def softmax_cross_entropy(
    logits: jax.Array, labels: jax.Array, whole_labels: jax.Array | None = None
) -> jax.Array:
    """Mean over valid pixels of the cross-entropy between softmax(logits) and the class ids.

    Args:
      logits: (B, H, W, C) float.
      labels: (B, H, W, 1), class ids 0..C-1 or 255, of any integer or float dtype.
      whole_labels: of the batch that these are a part of; None where they are the whole.

    Raises:
      ValueError: the shapes do not fit each other.
    """
    _require_shape(labels, (*logits.shape[:-1], 1))
    valid = valid_pixels(labels)
    class_ids = jnp.where(valid, labels[..., 0], 0).astype(jnp.int32)
    # One-hot rather than picking by index, whose derivative is a scatter: slow on TPUs.
    logits = _promote(logits)
    targets = jax.nn.one_hot(class_ids, logits.shape[-1], dtype=logits.dtype)
    losses = jax.nn.logsumexp(logits, axis=-1) - jnp.sum(targets * logits, axis=-1)
    return _masked_mean(
        losses, valid, valid if whole_labels is None else valid_pixels(whole_labels)
    )


def balanced_binary_cross_entropy(
    logits: jax.Array,
    labels: jax.Array,
    whole_labels: jax.Array | None = None,
    positive_weight: float | None = None,
) -> jax.Array:
    """Class-balanced sigmoid cross-entropy, for rare positives such as boundaries.

    (w * sum over positives + (1 - w) * sum over negatives) / number of valid elements; a label of
    0.5 or more is positive.

    Args:
      logits: (B, H, W, C) float.
      labels: (B, H, W, C) in 0..1, or 255.
      whole_labels: of the batch that these are a part of; None where they are the whole.
      positive_weight: w in [0, 1]; None takes the fraction of negatives among the valid elements
        of the whole batch.

    Raises:
      ValueError: the shapes differ.
    """
    _require_shape(labels, logits.shape)
    logits = _promote(logits)
    valid = labels != IGNORE
    positive = valid & (labels >= 0.5)
    all_valid = _all_valid(valid, whole_labels)
    if positive_weight is None:
        negative = (labels if whole_labels is None else whole_labels) < 0.5
        weight = _masked_mean(negative.astype(logits.dtype), all_valid, all_valid)
    else:
        weight = positive_weight
    weights = jnp.where(positive, weight, 1 - weight)
    losses = jax.nn.softplus(logits) - positive * logits
    return _masked_mean(weights * losses, valid, all_valid)


def normals_l1(
    logits: jax.Array, labels: jax.Array, whole_labels: jax.Array | None = None
) -> jax.Array:
    """Mean absolute difference, per component, between normalised outputs and unit normals.

    Outputs are divided by (L2 norm + 1e-12). An output shorter than 1e-12 has no direction: it
    counts as the zero vector and gets no gradient.

    Args:
      logits: (B, H, W, 3) float, of any length.
      labels: (B, H, W, 3) unit vectors, or 255 in every channel.
      whole_labels: of the batch that these are a part of; None where they are the whole.

    Raises:
      ValueError: the shapes differ.
    """
    _require_shape(labels, logits.shape)
    logits = _promote(logits)
    valid = labels != IGNORE
    outputs = _normalize(jnp.where(valid, logits, 0))
    return _masked_l1(outputs, labels, valid, _all_valid(valid, whole_labels))


def depth_l1(
    logits: jax.Array,
    labels: jax.Array,
    whole_labels: jax.Array | None = None,
    mask_gradient: bool = True,
) -> jax.Array:
    """L1 on depth plus L1 between the 3x3 Sobel gradients of output and label.

    Both terms are sums divided by the number of valid elements. The Sobel filters are the
    unnormalised [1, 2, 1] x [-1, 0, 1], zero-padded.

    Args:
      logits: (B, H, W, 1) float, metres.
      labels: (B, H, W, 1), metres, or 255.
      whole_labels: of the batch that these are a part of; None where they are the whole.
      mask_gradient: leave out the gradient term wherever an ignored pixel lies in the 3x3 window.
        False gives the reference implementation's form, which takes ignored labels as 0 metres
        and so pulls the outputs around and inside unlabelled regions towards 0. Without ignored
        pixels the two forms are equal.

    Raises:
      ValueError: the shapes differ.
    """
    _require_shape(labels, logits.shape)
    logits = _promote(logits)
    valid = labels != IGNORE
    all_valid = _all_valid(valid, whole_labels)
    targets = jnp.where(valid, labels, 0).astype(logits.dtype)
    if mask_gradient:
        counted = _all_valid_3x3(valid)
        logits = jnp.where(valid, logits, 0)
    else:
        # Nothing valid must still mean no loss.
        counted = jnp.broadcast_to(all_valid.any(), valid.shape)
    # The filters are linear: the difference of gradients is the gradient of the difference.
    horizontal, vertical = _sobel(logits - targets)
    gradient_sum = jnp.where(counted, jnp.abs(horizontal) + jnp.abs(vertical), 0).sum()
    absolute = _masked_l1(logits, labels, valid, all_valid)
    return absolute + gradient_sum / _count(all_valid, logits.dtype)


def albedo_l1(
    logits: jax.Array, labels: jax.Array, whole_labels: jax.Array | None = None
) -> jax.Array:
    """Mean absolute difference over the valid elements.

    Args:
      logits: (B, H, W, C) float.
      labels: (B, H, W, C) in 0..1, or 255.
      whole_labels: of the batch that these are a part of; None where they are the whole.

    Raises:
      ValueError: the shapes differ.
    """
    _require_shape(labels, logits.shape)
    valid = labels != IGNORE
    return _masked_l1(_promote(logits), labels, valid, _all_valid(valid, whole_labels))


def _require_shape(labels: jax.Array, expected: tuple[int, ...]) -> None:
    """Broadcasting would hide a mix-up of labels, so it is refused."""
    if labels.shape != expected:
        raise ValueError(f"labels have shape {labels.shape}; these logits need {expected}")


def _promote(logits: jax.Array) -> jax.Array:
    return logits.astype(jnp.promote_types(logits.dtype, jnp.float32))


def _count(valid: jax.Array, dtype: jnp.dtype) -> jax.Array:
    """Number of valid elements, at least 1 so that it can be divided by."""
    return jnp.maximum(valid.sum(), 1).astype(dtype)


def _all_valid(valid: jax.Array, whole_labels: jax.Array | None) -> jax.Array:
    """Which elements of the whole batch are valid."""
    return valid if whole_labels is None else whole_labels != IGNORE


def _masked_mean(values: jax.Array, valid: jax.Array, all_valid: jax.Array) -> jax.Array:
    """Sum of the valid values, divided by the number of all valid elements of the batch."""
    return jnp.where(valid, values, 0).sum() / _count(all_valid, values.dtype)


def _masked_l1(
    outputs: jax.Array, labels: jax.Array, valid: jax.Array, all_valid: jax.Array
) -> jax.Array:
    return _masked_mean(jnp.abs(outputs - labels.astype(outputs.dtype)), valid, all_valid)


def _normalize(vectors: jax.Array) -> jax.Array:
    """Vectors (..., 3) divided by (L2 norm + 1e-12); vectors shorter than 1e-12 become constant 0.

    Both `where`s are needed: a derivative that is selected away but infinite would still give NaN.
    """
    has_direction = (vectors**2).sum(axis=-1, keepdims=True) > 1e-24
    safe = jnp.where(has_direction, vectors, 1)
    norm = jnp.sqrt((safe**2).sum(axis=-1, keepdims=True))
    return jnp.where(has_direction, safe / (norm + 1e-12), 0)


def _sobel(images: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Horizontal and vertical 3x3 Sobel responses of (B, H, W, C), of the same shape."""
    padded = jnp.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)))
    rows = padded[:, :-2] + 2 * padded[:, 1:-1] + padded[:, 2:]
    columns = padded[:, :, :-2] + 2 * padded[:, :, 1:-1] + padded[:, :, 2:]
    return rows[:, :, 2:] - rows[:, :, :-2], columns[:, 2:] - columns[:, :-2]


def _all_valid_3x3(valid: jax.Array) -> jax.Array:
    """Where the whole 3x3 window, as far as it lies inside the image, is valid."""
    padded = jnp.pad(valid, ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=True)
    rows = padded[:, :-2] & padded[:, 1:-1] & padded[:, 2:]
    return rows[:, :, :-2] & rows[:, :, 1:-1] & rows[:, :, 2:]
