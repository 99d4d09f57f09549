"""Parameters and multiply-adds of networks, whose weights are not allocated."""

import dataclasses
from collections.abc import Mapping

import jax
import jax.numpy as jnp

from astmt_jax.config import ModelConfig
from astmt_jax.models.network import Network
from astmt_jax.models.variables import Params, Stats, parameter_count
from astmt_jax.multiply_adds import multiply_adds


@dataclasses.dataclass(frozen=True)
class TotalCost:
    """What one or several networks cost.

    Attributes:
      parameters: their number.
      multiply_adds: for one image of all tasks at once.
    """

    parameters: int
    multiply_adds: int


@dataclasses.dataclass(frozen=True)
class Cost:
    """What a network costs, part by part.

    Attributes:
      shared: number of parameters that every task uses, those that are never trained included.
      owned: number of parameters that each task owns, without its prediction layer.
      heads: number of parameters of the prediction layers, by task.
      discriminator: number of its parameters; 0 without one. It is used in training only.
      one_task: multiply-adds for one image, by task.
      all_tasks: multiply-adds for one image of all tasks at once.
    """

    shared: int
    owned: int
    heads: dict[str, int]
    discriminator: int
    one_task: dict[str, int]
    all_tasks: int

    @property
    def parameters(self) -> int:
        """Number of all parameters."""
        own = len(self.heads) * self.owned + sum(self.heads.values())
        return self.shared + own + self.discriminator


def total_cost(network: Network, image_size: int) -> TotalCost:
    """Of a network for images of `image_size` x `image_size`; quicker than part by part."""
    variables, images = _descriptions(network, image_size)
    params, stats = variables
    return TotalCost(
        parameters=parameter_count(params) + parameter_count(stats.frozen),
        multiply_adds=_all_tasks(network, variables, images),
    )


def network_cost(network: Network, image_size: int) -> Cost:
    """Parameters and multiply-adds of a network for images of `image_size` x `image_size`."""
    variables, images = _descriptions(network, image_size)
    params, stats = variables

    def one_task(name: str) -> int:
        return multiply_adds(lambda v, x: network.task_logits(*v, x, name), variables, images)

    return Cost(
        shared=parameter_count(params.shared) + parameter_count(stats.frozen),
        owned=parameter_count(params.task) // len(network.names),
        heads={name: parameter_count(params.heads[name]) for name in network.names},
        discriminator=parameter_count(params.discriminator),
        one_task={name: one_task(name) for name in network.names},
        all_tasks=_all_tasks(network, variables, images),
    )


def _all_tasks(
    network: Network, variables: tuple[Params, Stats], images: jax.ShapeDtypeStruct
) -> int:
    return multiply_adds(lambda v, x: network.all_logits(*v, x), variables, images)


def _descriptions(
    network: Network, image_size: int
) -> tuple[tuple[Params, Stats], jax.ShapeDtypeStruct]:
    """Shapes and dtypes of the variables and of a batch of one image."""
    variables = jax.eval_shape(network.init, jax.random.key(0))
    return variables, jax.ShapeDtypeStruct((1, image_size, image_size, 3), jnp.float32)


def single_task_costs(
    config: ModelConfig, channels: Mapping[str, int], image_size: int
) -> dict[str, Cost]:
    """Costs, by task, of networks for one task each.

    Args:
      config: of every one of them.
      channels: task name -> number of logits a pixel.
      image_size: side of the images, in pixels.
    """
    # Their trunks are alike, so that one network with all heads tells the costs of all.
    together = network_cost(Network(config, channels), image_size)
    return {
        name: dataclasses.replace(
            together,
            heads={name: together.heads[name]},
            one_task={name: together.one_task[name]},
            all_tasks=together.one_task[name],
        )
        for name in together.heads
    }
