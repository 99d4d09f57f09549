"""The datasets of a mixture: what a configuration says of each, checked and found."""

import contextlib
import dataclasses
from collections.abc import Callable, Generator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from astmt_jax.datasets.added_tasks import RESERVED
from astmt_jax.datasets.dataset import Dataset
from astmt_jax.plugins import NAME
from astmt_jax.records import build_record, check_range, shown, shown_name
from astmt_jax.tasks.task import Task

if TYPE_CHECKING:
    from astmt_jax.pipeline.mixture import Member
    from astmt_jax.pipeline.source import Source

WHERE = "config.dataset.options"
SPLITS = {"train": "train_split", "evaluation": "eval_split", "validation": "validation_split"}
"""Split of a mixture -> the setting of each of its datasets that says which of their own it is."""
MAX_DATASETS = 64
MAX_IMAGES = 64


@dataclasses.dataclass(frozen=True)
class MemberOptions:
    """What is said of one dataset of a mixture.

    Attributes:
      tasks: names of its tasks; 'street=semseg' is its task semseg, called street.
      dataset: its name; '' is what it is called in the mixture.
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
      datasets: what each is called -> fields of `MemberOptions`.
      groups_per_epoch: of how many groups of images an epoch is made, which has
        `groups_per_epoch // train.batch_size` batches; None for as many as the largest dataset
        fills. Smaller ones are gone through more often.
    """

    datasets: dict[str, Any] = dataclasses.field(default_factory=dict)
    groups_per_epoch: int | None = None

    def __post_init__(self):
        check_range(f"{WHERE}.groups_per_epoch", self.groups_per_epoch, 1, 2**40)
        check_range(f"The number of {WHERE}.datasets", len(self.datasets), 0, MAX_DATASETS)


class MemberDataset(NamedTuple):
    """One dataset of a mixture.

    Attributes:
      name: what it is called.
      dataset: its record.
      said: of it.
      tasks: its own name of each task -> the task's record, which has the name in the mixture.
    """

    name: str
    dataset: Dataset
    said: MemberOptions
    tasks: dict[str, Task]

    @property
    def names(self) -> tuple[str, ...]:
        """Of its tasks, in the mixture."""
        return tuple(task.name for task in self.tasks.values())

    def split(self, split: str) -> str:
        """What a split of the mixture is of the dataset; '' for nothing."""
        field = SPLITS[split]
        return getattr(self.said, field) or getattr(self.dataset, field, "")

    def of_source(self, source: "Source") -> "Member":
        """The dataset's examples, whose labels are called as in the mixture."""
        from astmt_jax.pipeline.mixture import Member  # imports TensorFlow

        own_keys = {task.name: own for own, task in self.tasks.items() if own != task.name}
        return Member(self.name, source, tuple(self.tasks.values()), self.said.images, own_keys)


def find_members(options: Options, find: Callable[[str], Dataset]) -> tuple[MemberDataset, ...]:
    """The datasets of a mixture, in the order of what they are called.

    Args:
      options: what is said of them.
      find: name of a dataset to its record; ValueError if there is none.

    Raises:
      ValueError: something unknown or impossible is said, naming the field.
    """
    members = tuple(
        _member(name, options.datasets[name], find) for name in sorted(options.datasets, key=str)
    )
    owners: dict[str, str] = {}
    for member in members:
        for task in member.names:
            if task in owners:
                raise ValueError(
                    f"{WHERE}.datasets.{member.name}.tasks names {task}, which {owners[task]} "
                    "has, too, but a task draws from one dataset: call it something else, such as "
                    f"{member.name}_{task}={task}."
                )
            owners[task] = member.name
    _check_truths(members)
    return members


def _check_truths(members: tuple[MemberDataset, ...]) -> None:
    """Raises ValueError where a task is called like the map that another is compared with."""
    tasks = [(member, own, task) for member in members for own, task in member.tasks.items()]
    compared = {task.truth: task for _, _, task in tasks if task.truth != task.name}
    for member, own, task in tasks:
        if task.name in compared:
            raise ValueError(
                f"{WHERE}.datasets.{member.name}.tasks names {task.name}, which is what "
                f"{compared[task.name].name} is compared with: call it something else, such as "
                f"{member.name}_{own}={own}."
            )


def _member(name: Any, fields: Any, find: Callable[[str], Dataset]) -> MemberDataset:
    where = f"{WHERE}.datasets.{shown_name(name)}"
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise ValueError(f"{where} must be called by a letter and then letters, digits and '_'.")
    said = build_record(MemberOptions, fields, where)
    check_range(f"{where}.images", said.images, 1, MAX_IMAGES)
    field = "dataset" if said.dataset else "dataset, left out,"
    with _said_of("config.dataset.name", f"{where}.{field}"):
        dataset = find(said.dataset or name)
    if dataset.options is Options:
        raise ValueError(f"{where} is a mixture, but a mixture has none in it.")
    with _said_of(WHERE, f"{where}.options"):
        known = dataset.tasks(said.options)
    return MemberDataset(name, dataset, said, _tasks(said.tasks, known, f"{where}.tasks"))


def _tasks(entries: tuple[str, ...], known: Mapping[str, Task], where: str) -> dict[str, Task]:
    """As `MemberDataset.tasks`."""
    tasks: dict[str, Task] = {}
    for entry in entries:
        called, _, own = entry.rpartition("=")
        if own not in known or own in tasks:
            raise ValueError(
                f"{where} names {shown(entry)}, but must name tasks of its dataset, each once: "
                f"{', '.join(known)}."
            )
        tasks[own] = _called(known[own], called or own, where)
    if not tasks:
        raise ValueError(f"{where} is empty, but must name at least one task.")
    return tasks


def _called(task: Task, name: str, where: str) -> Task:
    """A task by another name."""
    if not NAME.fullmatch(name) or name in RESERVED:
        raise ValueError(
            f"{where} calls {task.name} {shown(name)}, but a name is a letter and then letters, "
            f"digits and '_', and none of: {', '.join(RESERVED)}."
        )
    if name == task.truth != task.name:
        raise ValueError(
            f"{where} calls {task.name} {name}, which is what it is compared with: call it "
            "something else."
        )
    truth = name if task.truth == task.name else task.truth
    title = task.title if name == task.name else ""
    return dataclasses.replace(task, name=name, truth=truth, title=title)


@contextlib.contextmanager
def _said_of(field: str, member_field: str) -> Generator[None]:
    """Context in which a ValueError about a field names the member's instead."""
    try:
        yield
    except ValueError as error:
        raise ValueError(str(error).replace(field, member_field)) from error
