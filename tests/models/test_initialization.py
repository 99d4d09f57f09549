"""Which initial values a key draws."""

import jax
import numpy as np
from networks import SMALL, network_of
from tiny_network import PAIR

from astmt_jax.config import DiscriminatorConfig


def test_order_of_the_noise():
    """One draw fills what is shared, the heads, the discriminator, then what each task owns.

    A run that starts anew from its seed depends on it.
    """
    network = network_of(PAIR, DiscriminatorConfig(), **SMALL)
    key = jax.random.key(3)
    params, _ = jax.jit(network.init)(key)
    kernels = [
        np.ravel(leaf)
        for part in (params.shared, params.heads, params.discriminator, params.task)
        for path, leaf in jax.tree.leaves_with_path(part)
        if path[-1].key.endswith("kernel") and path[-2].key != "adapter"
    ]
    sizes = [kernel.size for kernel in kernels]
    noise = np.split(np.asarray(jax.random.normal(key, sum(sizes))), np.cumsum(sizes)[:-1])
    for kernel, part in zip(kernels, noise, strict=True):
        deviation = (kernel @ part) / (part @ part)
        assert deviation > 0
        np.testing.assert_allclose(kernel, deviation * part, rtol=1e-4, atol=1e-6)
