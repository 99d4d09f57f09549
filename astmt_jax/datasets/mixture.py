"""Several datasets in one run: each task draws from its own.

    config.dataset.name = "mixture"
    config.dataset.options = {
        "parts": {
            "bsds500": {"tasks": ("edge",)},
            "ccp": {"tasks": ("semseg", "sal")},
            "camvid": {"tasks": ("street=semseg",)},
        }
    }

Free of TensorFlow, which is imported where data are opened.
"""

import contextlib
import dataclasses
import pathlib
from collections.abc import Callable, Collection, Generator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from astmt_jax.datasets.dataset import Dataset
from astmt_jax.pipeline.derived import DerivedLabel
from astmt_jax.pipeline.geometries import label_form
from astmt_jax.pipeline.layout import ONE_DATASET, Layout
from astmt_jax.records import NAME, build_record, check_range, shown, shown_name
from astmt_jax.tasks.task import Task

if TYPE_CHECKING:
    from astmt_jax.pipeline.mixture import Member
    from astmt_jax.pipeline.source import Source

NAME_OF_ALL = "mixture"
WHERE = "config.dataset.options"
SPLITS = {"train": "train_split", "evaluation": "eval_split", "validation": "validation_split"}
"""Split of a mixture -> the setting of each of its datasets that says which of their own it is."""
MAX_PARTS = 64
MAX_IMAGES = 64


@dataclasses.dataclass(frozen=True)
class PartOptions:
    """One dataset of a mixture.

    Attributes:
      tasks: names of its tasks; 'street=semseg' is its task semseg, called street.
      dataset: its name; '' is what the part is called.
      images: of it in a group of a batch, which has `train.batch_size` groups.
      options: fields of the dataset's own options record.
      train_split: as `DatasetConfig.train_split`.
      eval_split: as `DatasetConfig.eval_split`.
      validation_split: as `DatasetConfig.validation_split`; '' leaves the dataset out of it.
    """

    tasks: tuple[str, ...]
    dataset: str = ""
    images: int = 1
    options: dict[str, Any] = dataclasses.field(default_factory=dict)
    train_split: str = ""
    eval_split: str = ""
    validation_split: str = ""


@dataclasses.dataclass(frozen=True)
class Options:
    """Options of a mixture.

    Attributes:
      parts: what each dataset is called -> fields of `PartOptions`.
      groups_per_epoch: of how many groups of images an epoch is made, which has
        `groups_per_epoch // train.batch_size` batches; None for as many as the largest dataset
        fills. Smaller ones are gone through more often.
    """

    parts: dict[str, Any] = dataclasses.field(default_factory=dict)
    groups_per_epoch: int | None = None

    def __post_init__(self):
        check_range(f"{WHERE}.groups_per_epoch", self.groups_per_epoch, 1, 2**40)
        check_range(f"The number of datasets in {WHERE}.parts", len(self.parts), 0, MAX_PARTS)


class Part(NamedTuple):
    """One dataset of a mixture, found.

    Attributes:
      name: what it is called.
      dataset: its record.
      options: what was said about it.
      tasks: its own name of each task -> the task's record, which has the name in the mixture.
    """

    name: str
    dataset: Dataset
    options: PartOptions
    tasks: dict[str, Task]

    @property
    def names(self) -> tuple[str, ...]:
        """Of its tasks, in the mixture."""
        return tuple(task.name for task in self.tasks.values())

    def split(self, split: str) -> str:
        """What a split of the mixture is of the dataset; '' for nothing."""
        said = getattr(self.options, SPLITS[split])
        return said or getattr(self.dataset, SPLITS[split], "")

    def member(self, source: "Source") -> "Member":
        """Its examples in the mixture, with labels called as there."""
        from astmt_jax.pipeline.mixture import Member  # imports TensorFlow

        renamed = {
            task.name: _copy_of(own, task) for own, task in self.tasks.items() if own != task.name
        }
        return Member(
            self.name, source.deriving(renamed), tuple(self.tasks.values()), self.options.images
        )


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
        return self._open(
            options, split, lambda part, own: part.dataset.open(data_dir, part.options.options, own)
        )

    def open_prepared(
        self, data_dir: pathlib.Path, options: Mapping[str, Any], split: str
    ) -> "Source":
        return self._open(
            options,
            split,
            lambda part, own: part.dataset.open_prepared(data_dir, part.options.options, own),
        )

    def describe(self, options: Mapping[str, Any]) -> str:
        return " ".join(
            f"{', '.join(part.names)}: {part.dataset.describe(part.options.options)}"
            for part in self.parts(options)
        )

    def layout(self, options: Mapping[str, Any], tasks: Collection[str]) -> Layout:
        parts = [part for part in self.parts(options) if set(part.names) & set(tasks)]
        if len(parts) < 2:
            return ONE_DATASET
        places, start = {}, 0
        for part in parts:
            stop = start + part.options.images
            places |= dict.fromkeys(part.names, (start, stop))
            start = stop
        return Layout(start, places)

    def tasks_named_by(self, options: Mapping[str, Any]) -> tuple[str, ...]:
        return tuple(
            task.name
            for part in self.parts(options)
            for own, task in part.tasks.items()
            if own in part.dataset.tasks_named_by(part.options.options)
        )

    def tasks(self, options: Mapping[str, Any] = {}) -> dict[str, Task]:
        return {task.name: task for part in self.parts(options) for task in part.tasks.values()}

    def parts(self, options: Mapping[str, Any]) -> tuple[Part, ...]:
        """The datasets of a mixture; ValueError for an unknown or impossible one."""
        said = self.read_options(options).parts
        parts = tuple(self._part(name, fields) for name, fields in sorted(said.items()))
        owners: dict[str, str] = {}
        for part in parts:
            for task in part.names:
                if task in owners:
                    raise ValueError(
                        f"{WHERE}.parts.{part.name}.tasks names {task}, which {owners[task]} has, "
                        f"too, but a task draws from one dataset: call it something else, such as "
                        f"{part.name}_{task}={task}."
                    )
                owners[task] = part.name
        return parts

    def _part(self, name: str, fields: Any) -> Part:
        where = f"{WHERE}.parts.{shown_name(name)}"
        if not (isinstance(name, str) and NAME.fullmatch(name)) or set(name) == {"."}:
            raise ValueError(f"{where} must be called by letters, digits, -, _ and dots.")
        options = build_record(PartOptions, fields, where)
        check_range(f"{where}.images", options.images, 1, MAX_IMAGES)
        wanted = options.dataset or name
        if wanted == self.name:
            raise ValueError(f"{where} is a mixture, but a mixture has none in it.")
        field = "dataset" if options.dataset else "dataset, left out,"
        with _said_of("config.dataset.name", f"{where}.{field}"):
            dataset = self.find(wanted)
        with _said_of(WHERE, f"{where}.options"):
            known = dataset.tasks(options.options)
        tasks: dict[str, Task] = {}
        for entry in options.tasks:
            called, _, own = entry.rpartition("=")
            if own not in known or own in tasks:
                raise ValueError(
                    f"{where}.tasks names {shown(entry)}, but must name tasks of {wanted}, each "
                    f"once: {', '.join(known)}."
                )
            tasks[own] = _called(known[own], called or own, where)
        if not tasks:
            raise ValueError(f"{where}.tasks is empty, but must name at least one task.")
        return Part(name, dataset, options, tasks)

    def _open(
        self,
        options: Mapping[str, Any],
        split: str,
        open_part: Callable[[Part, str], "Source"],
    ) -> "Source":
        from astmt_jax.pipeline.mixture import mixed  # imports TensorFlow

        if split not in SPLITS:
            raise ValueError(
                f"A mixture has the splits {', '.join(SPLITS)}, not {shown(split)}: what they are "
                f"is said for each of its datasets, as {WHERE}.parts.NAME.train_split."
            )
        parts = self.parts(options)
        if not parts:
            raise ValueError(f"{WHERE}.parts is empty, but must name at least one dataset.")
        members = [
            part.member(open_part(part, own)) for part in parts if (own := part.split(split))
        ]
        if not members:
            raise ValueError(
                f"No dataset of the mixture has a split for {split}: set "
                f"{WHERE}.parts.NAME.{SPLITS[split]}."
            )
        said = self.read_options(options).groups_per_epoch
        name = " + ".join(member.source.name for member in members)
        groups = said or max(it.source.length // it.images for it in members)
        return mixed(name, members, groups if said or len(members) > 1 else None)


@contextlib.contextmanager
def _said_of(field: str, part_field: str) -> Generator[None]:
    """Context in which a ValueError about a field names the part's instead."""
    try:
        yield
    except ValueError as error:
        raise ValueError(str(error).replace(field, part_field)) from error


def _called(task: Task, name: str, where: str) -> Task:
    """A task by another name."""
    if not NAME.fullmatch(name):
        raise ValueError(
            f"{where}.tasks calls {task.name} {shown(name)}, but a name has letters, digits, -, _ "
            "and dots."
        )
    truth = name if task.truth == task.name else task.truth
    return dataclasses.replace(task, name=name, truth=truth)


def _copy_of(own: str, task: Task) -> DerivedLabel:
    """The label of a task that the dataset calls otherwise."""
    return DerivedLabel((own,), lambda label: label, *label_form(task.geometry, task.channels))


def mixture(find: Callable[[str], Dataset]) -> MixtureDataset:
    """The dataset that is made of those that `find` finds."""
    return MixtureDataset(
        name=NAME_OF_ALL,
        options=Options,
        make_tasks=lambda options: (),
        train_split="train",
        eval_split="evaluation",
        find=find,
    )
