"""How several predictions of one pixel become one, where several tasks do it alike.

They come from tiles that overlap, from a picture and its mirror image, and from several scales.
"""

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np


def _same(values: np.ndarray) -> np.ndarray:
    return values


@dataclasses.dataclass(frozen=True)
class Averaging:
    """What of a task is averaged.

    Attributes:
      values: `logits (..., H, W, channels) -> what is averaged, float32 (..., H, W, c)`.
      prediction: `mean (..., H, W, c) -> prediction (..., H, W[, c])`, as the task's `predict` has
        it: of the values of logits it is what `predict` makes of these.
      unmirrored: `values of a mirror image -> values of what it shows`, at the same pixels: what
        left and right mean for the values themselves.
    """

    values: Callable[[jax.Array], jax.Array]
    prediction: Callable[[np.ndarray], np.ndarray]
    unmirrored: Callable[[np.ndarray], np.ndarray] = _same


def as_they_are(logits: jax.Array) -> jax.Array:
    """Logits of any float dtype as float32."""
    return logits.astype(jnp.float32)


def only_channel(mean: np.ndarray) -> np.ndarray:
    """(..., H, W, 1) -> (..., H, W)."""
    return mean[..., 0]


def _class_probabilities(logits: jax.Array) -> jax.Array:
    return jax.nn.softmax(as_they_are(logits), axis=-1)


def _likeliest(mean: np.ndarray) -> np.ndarray:
    return mean.argmax(axis=-1).astype(np.uint8)


def _probability(logits: jax.Array) -> jax.Array:
    return jax.nn.sigmoid(as_they_are(logits))


NUMBER = Averaging(as_they_are, only_channel)
"""The mean of the only channel."""
CLASSES = Averaging(_class_probabilities, _likeliest)
"""The likeliest class by the mean of the classes' probabilities."""
PROBABILITY = Averaging(_probability, only_channel)
"""The mean probability of the only channel."""
