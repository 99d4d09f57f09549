"""What a dataset offers, in one record: all that tells one dataset from another.

A dataset is one module, with one record called `DATASET`, which `registry` lists. Free of
TensorFlow, which is imported where data are opened.
"""

import abc
import dataclasses
import functools
import pathlib
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

from astmt_jax.datasets.contents import Archive
from astmt_jax.pipeline.layout import ONE_DATASET, Layout
from astmt_jax.records import Record, build_record
from astmt_jax.tasks.task import Task

if TYPE_CHECKING:
    from astmt_jax.datasets.stored import Prepared
    from astmt_jax.pipeline.source import Source

Options = TypeVar("Options", bound=Record)

NO_OPTIONS: Mapping[str, Any] = {}


@dataclasses.dataclass(frozen=True)
class NoOptions:
    """Options of a dataset that has none."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Dataset(abc.ABC, Generic[Options]):
    """What a dataset offers; the subclasses say where its data come from.

    Attributes:
      name: in configurations and on command lines.
      options: record of its options, whose defaults are the dataset's.
      make_tasks: the options to its tasks, in the order in which `tasks=all` trains them.
      train_split: split to train on.
      eval_split: split to evaluate on.
      licence: of what is learnt from it, as model hubs name it ('apache-2.0'); 'other' where the
        dataset's own terms have to be looked up.
      named_by_options: tasks whose classes only the options name, so that preparing the data cannot
        check the class ids in it.
    """

    name: str
    options: type[Options]
    make_tasks: Callable[[Options], Iterable[Task]]
    train_split: str = "train"
    eval_split: str = "val"
    licence: str = "other"
    named_by_options: tuple[str, ...] = ()

    @property
    @abc.abstractmethod
    def description(self) -> str:
        """What it is, in a sentence."""

    def open(self, data_dir: pathlib.Path, options: Mapping[str, Any], split: str) -> "Source":
        """As `open_prepared`, but prepares the dataset first where that needs no download."""
        return self.open_prepared(data_dir, options, split)

    @abc.abstractmethod
    def open_prepared(
        self, data_dir: pathlib.Path, options: Mapping[str, Any], split: str
    ) -> "Source":
        """Opens a split, or a slice such as 'val[:100]'; writes nothing.

        Args:
          data_dir: folder of prepared datasets.
          options: fields of `self.options`.
          split: which one.

        Raises:
          ValueError: an option is unknown or impossible, or there is no such split.
          FileNotFoundError: the dataset is not prepared; says how it is.
        """

    def names(self, options: Mapping[str, Any]) -> tuple[str, ...]:
        """Of the datasets that it is with these options: its own, but of a mixture."""
        del options
        return (self.name,)

    def describe(self, options: Mapping[str, Any]) -> str:
        """What it is with these options, in sentences."""
        del options
        return self.description

    def layout(self, options: Mapping[str, Any], tasks: Collection[str]) -> Layout:
        """Which images of a batch that is drawn for these tasks have labels for which of them."""
        del options, tasks
        return ONE_DATASET

    def tasks_named_by(self, options: Mapping[str, Any]) -> tuple[str, ...]:
        """The tasks of `named_by_options`, of a dataset with these options."""
        del options
        return self.named_by_options

    def tasks(self, options: Mapping[str, Any] = NO_OPTIONS) -> dict[str, Task]:
        """The records of its tasks, by name; ValueError for an unknown or impossible option."""
        return {task.name: task for task in self.make_tasks(self.read_options(options))}

    def read_options(self, options: Mapping[str, Any]) -> Options:
        """The record of some options; ValueError if one is unknown or impossible."""
        return build_record(self.options, options, "config.dataset.options")

    def default_options(self) -> dict[str, Any]:
        """Every option with its default."""
        return dataclasses.asdict(self.options())

    def with_splits(self, train: str, evaluation: str) -> Self:
        """The same with other splits, or slices of them; '' leaves a split as it is."""
        return dataclasses.replace(
            self,
            train_split=train or self.train_split,
            eval_split=evaluation or self.eval_split,
        )


def _no_configuration(options: object) -> None:
    """`ArchiveDataset.configuration` of what is prepared in one way only."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ArchiveDataset(Dataset[Options]):
    """A dataset that a user prepares from an archive or a folder.

    Attributes:
      archive: what is prepared.
      configuration: the options to the name under which the data are prepared; None if there is
        none.
      prepared_by: names of the options that decide what is prepared.
      read_by: those among them that are arguments of `archive.contents`.
    """

    archive: Archive
    configuration: Callable[[Options], str | None] = _no_configuration
    prepared_by: tuple[str, ...] = ()
    read_by: tuple[str, ...] = ()

    @property
    def description(self) -> str:
        return self.archive.description

    def open_prepared(
        self, data_dir: pathlib.Path, options: Mapping[str, Any], split: str
    ) -> "Source":
        return self.prepared(options, data_dir).open_split(split)

    def prepared(self, options: Mapping[str, Any], data_dir: pathlib.Path) -> "Prepared":
        """Where the data are, or are to be; ValueError for an unknown or impossible option."""
        from astmt_jax.datasets import stored  # imports TensorFlow

        chosen = self.read_options(options)
        written = {name: getattr(chosen, name) for name in self.prepared_by}
        default = self.default_options()
        said = [f"{name}={value}" for name, value in written.items() if value != default[name]]
        arguments = {name: written[name] for name in self.read_by}
        archive = dataclasses.replace(
            self.archive, contents=functools.partial(self.archive.contents, **arguments)
        )
        return stored.Prepared(
            self.name, archive, self.configuration(chosen), data_dir, ",".join(said)
        )
