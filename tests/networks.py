"""Networks of several architectures and sizes, and random variables for them."""

import jax
import numpy as np

from astmt_jax.config import ModelConfig
from astmt_jax.models.network import Network

PASCAL = {"edge": 1, "semseg": 21, "human_parts": 7, "normals": 3, "sal": 1}
NYUD = {"edge": 1, "semseg": 41, "normals": 3, "depth": 1}
SHARED = {
    "encoder_norm": "shared",
    "encoder_se": "shared",
    "encoder_adapters": False,
    "decoder_adapters": False,
    "decoder_norm": "shared",
    "decoder_se": False,
}
MOBILENET = {"backbone": "mobilenetv2", "encoder_adapters": False, "decoder_adapters": False}
SMALL = {"backbone": "resnet14", "width_multiplier": 0.0625, "decoder_width": 32}
SMALL_LITE = {"backbone": "efficientnet_lite0", "width_multiplier": 0.25, "decoder_width": 32}
SMALL_MOBILENET = MOBILENET | {"width_multiplier": 0.25, "decoder_width": 32}


def on_device(values, dtype):
    """JAX's array of NumPy's, for which `jnp.asarray` would compile a program for every shape."""
    return jax.device_put(np.asarray(values, dtype))


def network_of(channels, discriminator=None, **model):
    return Network(ModelConfig(**model), channels, discriminator)


def shapes_of(network):
    """Shapes of parameters and statistics; nothing is computed."""
    return jax.eval_shape(network.init, jax.random.key(0))


def random_variables(network):
    """Random values for everything: adapters are not 0 and no two tasks are alike."""
    random = np.random.default_rng(0)

    def draw(path, leaf):
        if path[-1].key in ("scale", "var"):
            return on_device(random.uniform(0.5, 1.5, leaf.shape), leaf.dtype)
        return on_device(0.2 * random.standard_normal(leaf.shape), leaf.dtype)

    return jax.tree.map_with_path(draw, shapes_of(network))
