"""Several datasets in one run: each task draws from its own.

    config.dataset.name = "mixture"
    config.dataset.options = {
        "datasets": {
            "bsds500": {"tasks": ("edge",)},
            "ccp": {"tasks": ("semseg", "sal")},
            "camvid": {"tasks": ("street=semseg",)},
        }
    }

Free of TensorFlow, which is imported where data are opened.
"""

import dataclasses
import pathlib
from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any

from astmt_jax.datasets.dataset import NO_OPTIONS, Dataset
from astmt_jax.datasets.members import SPLITS, WHERE, MemberDataset, Options, find_members
from astmt_jax.pipeline.layout import ONE_DATASET, Layout
from astmt_jax.records import shown
from astmt_jax.tasks.task import Task

if TYPE_CHECKING:
    from astmt_jax.pipeline.source import Source

MIXTURE = "mixture"


@dataclasses.dataclass(frozen=True, kw_only=True)
class MixtureDataset(Dataset[Options]):
    """Several datasets at once.

    Attributes:
      find: the name of a dataset to its record; ValueError if there is none.
    """

    find: Callable[[str], Dataset]

    @property
    def description(self) -> str:
        return "Several datasets at once, each for tasks of its own."

    def open(self, data_dir: pathlib.Path, options: Mapping[str, Any], split: str) -> "Source":
        return self._open(options, split, lambda dataset, *what: dataset.open(data_dir, *what))

    def open_prepared(
        self, data_dir: pathlib.Path, options: Mapping[str, Any], split: str
    ) -> "Source":
        return self._open(
            options, split, lambda dataset, *what: dataset.open_prepared(data_dir, *what)
        )

    def names(self, options: Mapping[str, Any]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(member.dataset.name for member in self.members(options)))

    def describe(self, options: Mapping[str, Any]) -> str:
        return " ".join(
            f"{', '.join(member.names)}: {member.dataset.describe(member.said.options)}"
            for member in self.members(options)
        )

    def layout(self, options: Mapping[str, Any], tasks: Collection[str]) -> Layout:
        members = [member for member in self.members(options) if set(member.names) & set(tasks)]
        places, start = {}, 0
        for member in members:
            stop = start + member.said.images
            places |= dict.fromkeys(member.names, (start, stop))
            start = stop
        return Layout(start, places) if start > 1 else ONE_DATASET

    def tasks_named_by(self, options: Mapping[str, Any]) -> tuple[str, ...]:
        return tuple(
            task.name
            for member in self.members(options)
            for own, task in member.tasks.items()
            if own in member.dataset.tasks_named_by(member.said.options)
        )

    def tasks(self, options: Mapping[str, Any] = NO_OPTIONS) -> dict[str, Task]:
        members = self.members(options)
        return {task.name: task for member in members for task in member.tasks.values()}

    def members(self, options: Mapping[str, Any]) -> tuple[MemberDataset, ...]:
        """The datasets; ValueError for an unknown or impossible option."""
        return find_members(self.read_options(options), self.find)

    def _open(
        self,
        options: Mapping[str, Any],
        split: str,
        open_split: Callable[[Dataset, Mapping[str, Any], str], "Source"],
    ) -> "Source":
        from astmt_jax.pipeline.mixture import mixed  # imports TensorFlow

        if split not in SPLITS:
            raise ValueError(
                f"A mixture has the splits {', '.join(SPLITS)}, not {shown(split)}: what they are "
                f"is said for each of its datasets, as {WHERE}.datasets.NAME.train_split."
            )
        members = self.members(options)
        if not members:
            raise ValueError(f"{WHERE}.datasets is empty, but must name at least one dataset.")
        opened = [
            member.of_source(open_split(member.dataset, member.said.options, own))
            for member in members
            if (own := member.split(split))
        ]
        if not opened:
            raise ValueError(
                f"No dataset of the mixture has a split for {split}: set "
                f"{WHERE}.datasets.NAME.{SPLITS[split]}."
            )
        groups = self.read_options(options).groups_per_epoch
        if groups is None and len(opened) > 1:
            groups = max(it.source.length // it.images for it in opened)
        return mixed(" + ".join(it.source.name for it in opened), opened, groups)


def mixture(find: Callable[[str], Dataset]) -> MixtureDataset:
    """The dataset that is made of those that `find` finds."""
    return MixtureDataset(
        name=MIXTURE,
        options=Options,
        make_tasks=lambda options: (),
        train_split="train",
        eval_split="evaluation",
        find=find,
    )
