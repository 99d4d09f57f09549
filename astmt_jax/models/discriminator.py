"""The discriminator of the tasks' gradients and the gradient reversal before it (section 3.2)."""

import jax
import jax.numpy as jnp
from flax import nnx

from astmt_jax.config import DiscriminatorConfig
from astmt_jax.models import layers


class Discriminator(nnx.Module):
    """Fully convolutional classifier: which task did the gradient at this position come from?"""

    def __init__(self, channels: int, num_tasks: int, config: DiscriminatorConfig, dtype):
        hidden = [
            layers.Conv(channels, channels, config.kernel, dtype=dtype)
            for _ in range(config.depth - 1)
        ]
        classify = layers.Conv(channels, num_tasks, config.kernel, use_bias=True, dtype=dtype)
        self.convs = nnx.List([*hidden, classify])

    def __call__(self, gradients: jax.Array) -> jax.Array:
        """Unit-length gradients (B, h, w, channels) -> logits (B, h, w, num_tasks)."""
        *hidden, classify = self.convs
        for conv in hidden:
            gradients = jax.nn.relu(conv(gradients))
        return classify(gradients)


@jax.custom_vjp
def reverse_gradient(x: jax.Array, alpha: jax.Array) -> jax.Array:
    """Identity whose gradient with respect to `x` is multiplied by `-alpha`."""
    return x


def _reverse_forward(x, alpha):
    return x, alpha


def _reverse_backward(alpha, cotangent):
    return (cotangent * -jnp.asarray(alpha)).astype(cotangent.dtype), jnp.zeros_like(alpha)


reverse_gradient.defvjp(_reverse_forward, _reverse_backward)


def unit_length(gradients: jax.Array) -> jax.Array:
    """Divides each position's gradient (..., C) by its L2 norm + 1e-10.

    Positions whose gradient is exactly 0 (ignored labels) stay 0, with a zero derivative.
    """
    squared = jnp.sum(jnp.square(gradients), axis=-1, keepdims=True)
    nonzero = squared > 0
    norm = jnp.where(nonzero, jnp.sqrt(jnp.where(nonzero, squared, 1.0)), 0.0)
    return jnp.where(nonzero, gradients / (norm + 1e-10), 0.0)
