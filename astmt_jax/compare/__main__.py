"""The paper's comparison in one command: single-task networks, multi-task learning, ASTMT.

    python -m astmt_jax.compare --config=configs/scenes.py:size=small --workdir=DIR [--seeds=3]

Trains and scores every method (`methods.py` says which) with several seeds. Each run has
a folder of its own in DIR, such as DIR/seed0/single-depth, as `astmt_jax.main` makes it. Finished
runs are never repeated, and an interrupted one goes on from its newest checkpoint: the same command
continues, with more seeds it adds them, and when everything is done it only shows the table.

After every run comparison.md, comparison.json and comparison.png in DIR are written anew with what
is finished: every metric, the average drop against the single-task networks of the same seed, mean
and spread over the seeds, parameters and multiply-adds.
"""

from astmt_jax.runtime import allocator

if __name__ == "__main__":
    allocator.use()

import functools
import pathlib

from absl import flags

from astmt_jax.command_line import config_flag
from astmt_jax.command_line.errors import resumable
from astmt_jax.compare.choice import DEFAULT, Ladder, ladder
from astmt_jax.compare.costs import network_costs
from astmt_jax.compare.execution import check_folders, check_training, execute, finished
from astmt_jax.compare.ladders import LADDERS
from astmt_jax.compare.methods import runs
from astmt_jax.compare.report import check_report, write_report
from astmt_jax.config import Config
from astmt_jax.runtime import compilation_cache
from astmt_jax.runtime.console import CONSOLE
from astmt_jax.training.errors import TRAINING_ERRORS
from astmt_jax.training.origin import settled

# Other commands have a folder, too; they meet in one process only in tests.
WORKDIR = config_flag.define_path("workdir", "Folder of the comparison.", allow_override=True)
SEEDS = flags.DEFINE_integer("seeds", 3, "How many seeds, from config.seed on.", lower_bound=1)
LADDER = flags.DEFINE_string(
    "ladder",
    DEFAULT,
    f"Which methods: {', '.join(LADDERS)}; backbones:NAME+NAME; or a file of rows, *.toml.",
)


def compare(config: Config, chosen: Ladder, num_seeds: int, workdir: pathlib.Path) -> None:
    """Does what is left to do, and shows the table.

    Args:
      config: what the methods have in common.
      chosen: which methods.
      num_seeds: how often each network is trained.
      workdir: the comparison's folder.

    Raises:
      ValueError: a network cannot be built, the dataset does not fit, a folder holds a run with
        other settings, or the report of other rows, or results cannot be read.
      FileNotFoundError: the dataset has to be prepared first, naming the command.
      FloatingPointError: a loss stopped being finite.
      WeightsError: weights to start from cannot be used.
    """
    if config.freeze is not None:
        raise ValueError(
            f"freeze is {config.freeze!r}, but a comparison trains whole networks: leave it out."
        )
    check_report(chosen, workdir)
    config = settled(config)
    compared = chosen.methods(config)
    planned = tuple(runs(compared, num_seeds))
    check_folders(planned, workdir)
    check_training(planned, workdir)
    costs = network_costs(compared)
    report = functools.partial(write_report, config, chosen, compared, costs)
    for _ in execute(planned, workdir, {n: cost.multiply_adds for n, cost in costs.items()}):
        report(finished(planned, workdir), len(planned), workdir)
    CONSOLE.print(report(finished(planned, workdir), len(planned), workdir))
    CONSOLE.print(f"Written: {workdir / chosen.report}.md, .json and .png")


def main(argv: list[str]) -> None:
    """Runs the command on parsed flags."""
    del argv
    compilation_cache.enable()
    errors = (ValueError, *TRAINING_ERRORS)
    with resumable(WORKDIR.value, *errors):
        compare(config_flag.settings(), ladder(LADDER.value), SEEDS.value, WORKDIR.value)


if __name__ == "__main__":
    config_flag.run(main, "workdir")
