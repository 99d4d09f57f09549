"""From logits to predictions, where several tasks do it alike."""

import jax
import jax.numpy as jnp


def probability(logits: jax.Array) -> jax.Array:
    """Logits (..., H, W, 1) of any float dtype -> probability (..., H, W) float32 in 0..1."""
    return jax.nn.sigmoid(jnp.squeeze(logits, -1).astype(jnp.float32))


def class_ids(logits: jax.Array) -> jax.Array:
    """Logits (..., H, W, C) -> the likeliest of C classes (..., H, W), uint8."""
    return jnp.argmax(logits, axis=-1).astype(jnp.uint8)
