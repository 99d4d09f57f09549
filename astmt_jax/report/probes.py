"""Observing the layers of a network while it runs, in the order in which it runs them."""

from collections.abc import Callable
from typing import Any

import jax
from flax import nnx

from astmt_jax.models.layers import Conv, SqueezeExcite
from astmt_jax.models.network import Network, Trunk
from astmt_jax.models.normalization import BatchNorm
from astmt_jax.models.variables import Params, Stats, one_task

Record = Callable[[str, nnx.Module, jax.Array], None]
"""Called with a layer's path, such as 'encoder.stages.0.1.se', the layer, and what goes into it."""

OBSERVED = (BatchNorm, Conv, SqueezeExcite)


class Probe(nnx.Module):
    """Stands in for a layer, and tells what goes into it."""

    def __init__(self, path: str, layer: nnx.Module, record: Record):
        self.path = path
        self.layer = layer
        self.record = record

    def __call__(self, x: jax.Array, **settings: Any) -> jax.Array:
        self.record(self.path, self.layer, x)
        return self.layer(x, **settings)


def observe(trunk: Trunk, images: jax.Array, record: Record) -> None:
    """Runs a trunk, without training it, and has every convolution, norm and gate recorded.

    Args:
      trunk: one task's; it is changed.
      images: (B, H, W, 3) float32.
      record: called once a layer, in the order of the forward pass.
    """
    modules = dict(nnx.iter_modules(trunk))
    for path, module in modules.items():
        if isinstance(module, OBSERVED):
            name = ".".join(str(part) for part in path)
            setattr(modules[path[:-1]], str(path[-1]), Probe(name, module, record))
    trunk(images, train=False)


def layer_order(network: Network, params: Params, stats: Stats, image_size: int) -> list[str]:
    """Paths of the layers of a network's trunk, in the order of the forward pass."""
    order = []

    def run(params, stats, images):
        observe(network.trunk(params, stats), images, lambda path, *_: order.append(path))

    images = jax.ShapeDtypeStruct((1, image_size, image_size, 3), network.config.compute_dtype)
    jax.eval_shape(run, one_task(params, 0), one_task(stats, 0), images)
    return order
