"""Size and cost of a configuration's network, beside single-task networks for the same tasks.

    python -m astmt_jax.summary --config=configs/scenes.py

Prints the parameters (shared, owned by each task, prediction layers, discriminator) and the
multiply-adds (GMAC: 10^9 of them) for one image at the configuration's resolution: of each task
alone and of all tasks at once, which compute only once what does not depend on the task. Beside it
is one plain network (method `single`) for each task. No weights are allocated.
"""

import dataclasses
from collections.abc import Mapping

import jax
import jax.numpy as jnp
from rich.table import Table

from astmt_jax.command_line import config_flag
from astmt_jax.command_line.errors import told
from astmt_jax.config import Config
from astmt_jax.datasets import registry
from astmt_jax.models.config import ModelConfig
from astmt_jax.models.network import Network, Params, Stats, parameter_count
from astmt_jax.multiply_adds import multiply_adds
from astmt_jax.paper import method_settings
from astmt_jax.runtime.console import CONSOLE
from astmt_jax.tasks.task import channels_by_name


@dataclasses.dataclass(frozen=True)
class Cost:
    """What a network costs.

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


def overall_cost(network: Network, image_size: int) -> tuple[int, int]:
    """Number of all parameters, and multiply-adds of all tasks at once for one image."""
    variables, images = _descriptions(network, image_size)
    params, stats = variables
    return (
        parameter_count(params) + parameter_count(stats.frozen),
        _all_tasks(network, variables, images),
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
    model: ModelConfig, channels: Mapping[str, int], image_size: int
) -> dict[str, Cost]:
    """Costs, by task, of the plain networks for one task each, with `model`'s backbone."""
    modulation, _ = method_settings("single", tuple(channels)[:1], model.backbone)
    plain = dataclasses.replace(model, **modulation)
    # Their trunks are alike, so that one network with all heads tells the costs of all.
    together = network_cost(Network(plain, channels), image_size)
    return {
        name: dataclasses.replace(
            together,
            heads={name: together.heads[name]},
            one_task={name: together.one_task[name]},
            all_tasks=together.one_task[name],
        )
        for name in together.heads
    }


HEADINGS = ("", "\nparameters", "\nhead", "\nGMAC", "single task\nparameters", "\nGMAC")


def cost_table(cost: Cost, singles: Mapping[str, Cost]) -> Table:
    """One row each for what is shared, for every task, for the discriminator and for everything.

    Args:
      cost: of the network of all tasks.
      singles: of the network for each task alone, by task.
    """
    table = Table(*HEADINGS)
    for column in table.columns[1:]:
        column.justify = "right"
    table.add_row("shared", f"{cost.shared:,}")
    for name, single in singles.items():
        table.add_row(
            name,
            f"{cost.owned:,}",
            f"{cost.heads[name]:,}",
            _giga(cost.one_task[name]),
            f"{single.parameters:,}",
            _giga(single.all_tasks),
        )
    if cost.discriminator:
        table.add_row("discriminator", f"{cost.discriminator:,}")
    table.add_section()
    table.add_row(
        "all",
        f"{cost.parameters:,}",
        "",
        _giga(cost.all_tasks),
        f"{sum(single.parameters for single in singles.values()):,}",
        _giga(sum(single.all_tasks for single in singles.values())),
        style="bold",
    )
    return table


def _giga(count: int) -> str:
    return f"{count / 1e9:.3f}"


def summarize(config: Config) -> Table:
    """The table of a configuration; ValueError if it cannot be built."""
    channels = channels_by_name(registry.tasks_of(config))
    network = Network(config.model, channels, config.discriminator)
    size = config.train.image_size
    table = cost_table(network_cost(network, size), single_task_costs(config.model, channels, size))
    table.title = f"{config.model.backbone}, {len(channels)} tasks, one image of {size} x {size}"
    return table


def main(argv: list[str]) -> None:
    """Runs the command on parsed flags."""
    del argv
    with told():
        CONSOLE.print(summarize(config_flag.settings()))


if __name__ == "__main__":
    config_flag.run(main)
