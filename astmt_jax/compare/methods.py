"""What a comparison compares: methods, and the runs that each takes."""

import dataclasses
import pathlib
from collections.abc import Iterator, Sequence

from astmt_jax.config import Config


@dataclasses.dataclass(frozen=True)
class Method:
    """One row of a comparison.

    Attributes:
      name: identifier.
      label: what tables call it.
      configs: one for each of its networks, by what tells the networks apart in a folder's name:
        single-task learning has a network for every task, all other methods have one.
      single_task: name of the single-task method that its drop is relative to; its own for that.
      changed: name of the method that it is a change to, with which its results are compared seed
        by seed; None for the first.
    """

    name: str
    label: str
    configs: dict[str, Config]
    single_task: str
    changed: str | None = None

    @property
    def is_single_task(self) -> bool:
        """Whether others' drops are relative to it."""
        return self.name == self.single_task


@dataclasses.dataclass(frozen=True)
class Run:
    """One network to train with one seed.

    Attributes:
      method: name of the method that it belongs to.
      config: its settings.
      folder: its folder within the comparison's, such as seed0/single-depth.
    """

    method: str
    config: Config
    folder: pathlib.PurePath


def runs(compared: Sequence[Method], num_seeds: int) -> Iterator[Run]:
    """All runs, seed by seed, so that the first seed's comparison is complete early.

    The seeds are that of the configuration and those that follow it.
    """
    for offset in range(num_seeds):
        for method in compared:
            for name, config in method.configs.items():
                seed = config.seed + offset
                yield Run(
                    method.name,
                    dataclasses.replace(config, seed=seed),
                    pathlib.PurePath(f"seed{seed}", name),
                )
