"""Size and cost of a configuration's network, beside single-task networks for the same tasks.

    python -m astmt_jax.summary --config=configs/scenes.py

Prints the parameters (shared, owned by each task, prediction layers, discriminator) and the
multiply-adds (GMAC: 10^9 of them) for one image at the configuration's resolution: of each task
alone and of all tasks at once, which compute only once what does not depend on the task. Beside it
is one plain network (method `single`) for each task. No weights are allocated.
"""

import dataclasses
from collections.abc import Mapping

from rich.table import Table

from astmt_jax.command_line import config_flag
from astmt_jax.command_line.errors import told
from astmt_jax.config import Config
from astmt_jax.datasets import registry
from astmt_jax.models.cost import Cost, network_cost, single_task_costs
from astmt_jax.models.network import Network
from astmt_jax.paper import method_settings
from astmt_jax.runtime.console import CONSOLE
from astmt_jax.tasks.task import channels_by_name
from astmt_jax.training.origin import settled

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
    config = settled(config)
    channels = channels_by_name(registry.tasks_of(config))
    size = config.train.image_size
    cost = network_cost(Network(config.model, channels, config.discriminator), size)
    modulation, _ = method_settings("single", config.tasks[:1], config.model.backbone)
    plain = dataclasses.replace(config.model, **modulation)
    table = cost_table(cost, single_task_costs(plain, channels, size))
    table.title = f"{config.model.backbone}, {len(channels)} tasks, one image of {size} x {size}"
    return table


def main(argv: list[str]) -> None:
    """Runs the command on parsed flags."""
    del argv
    with told():
        CONSOLE.print(summarize(config_flag.settings()))


if __name__ == "__main__":
    config_flag.run(main)
