"""Tasks that plugins add to a dataset, whose labels are made of what the dataset stores."""

import dataclasses
import pathlib
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp

from astmt_jax.datasets.dataset import Dataset
from astmt_jax.pipeline.derived import DerivedLabel
from astmt_jax.pipeline.geometries import GEOMETRIES, label_form
from astmt_jax.plugins import PluginError, check_kind
from astmt_jax.records import shown
from astmt_jax.tasks.task import Task

if TYPE_CHECKING:
    from astmt_jax.pipeline.source import Source

RESERVED = ("all", "average", "image", "input", "name")
"""What no task can be called: it stands beside tasks on command lines, in tables or in examples."""
SIDE = 8
"""Of the map with which a task is tried."""


@dataclasses.dataclass(frozen=True)
class AddedTask:
    """A task of a plugin.

    Attributes:
      task: its record.
      label: what makes its label.
    """

    task: Task
    label: DerivedLabel


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExtendedDataset(Dataset):
    """A dataset with more tasks than its own.

    Attributes:
      base: the dataset.
      added: the tasks.
    """

    base: Dataset
    added: tuple[AddedTask, ...]

    @property
    def description(self) -> str:
        return self.base.description

    def open(self, data_dir: pathlib.Path, options: Mapping[str, Any], split: str) -> "Source":
        return self.base.open(data_dir, options, split).deriving(self._labels())

    def open_prepared(
        self, data_dir: pathlib.Path, options: Mapping[str, Any], split: str
    ) -> "Source":
        return self.base.open_prepared(data_dir, options, split).deriving(self._labels())

    def _labels(self) -> dict[str, DerivedLabel]:
        return {it.task.name: it.label for it in self.added}


def extended(base: Dataset, added: Iterable[AddedTask]) -> Dataset:
    """The dataset with more tasks; itself where there are none."""
    tasks = tuple(added)
    if not tasks:
        return base

    def make_tasks(options: Any) -> tuple[Task, ...]:
        return (*base.make_tasks(options), *(it.task for it in tasks))

    fields: dict[str, Any] = {it.name: getattr(base, it.name) for it in dataclasses.fields(Dataset)}
    fields["make_tasks"] = make_tasks
    return ExtendedDataset(**fields, base=base, added=tasks)


def check_task(task: Any) -> None:
    """Checks that a record of a plugin can be trained, scored and told from others.

    Raises:
      PluginError: it cannot, saying which field is wrong.
    """
    check_kind("A task", task, Task)
    if task.name in RESERVED:
        raise PluginError(f"A task is called {task.name}, which means something else: rename it.")
    where = f"The task {task.name}"
    if task.geometry not in GEOMETRIES:
        known = ", ".join(GEOMETRIES)
        raise PluginError(f"{where} has the geometry {task.geometry!r}, but it must be: {known}.")
    result = set(task.metric().result())
    if task.headline not in result or not result <= set(task.notation):
        raise PluginError(
            f"{where} is scored by {', '.join(sorted(result))}: its headline, {task.headline}, "
            "must be one of these, and its notation must have all of them."
        )
    _check_functions(task, where)


def _check_functions(task: Task, where: str) -> None:
    """Checks the shapes of what loss and predictions return, without computing them."""
    channels, dtype = label_form(task.geometry, task.channels)
    logits = jax.ShapeDtypeStruct((1, SIDE, SIDE, task.channels), jnp.float32)
    labels = jax.ShapeDtypeStruct((1, SIDE, SIDE, channels), dtype)
    loss = jax.eval_shape(task.loss, logits, labels)
    if getattr(loss, "shape", None) != ():
        raise PluginError(f"{where} has a loss that is {shown(loss)}, but must be one number.")
    predicted = jax.eval_shape(task.predict, logits).shape
    wanted = (1, SIDE, SIDE, *((task.file.channels,) if task.file.channels > 1 else ()))
    if predicted != wanted:
        raise PluginError(
            f"{where} predicts {predicted} of logits {logits.shape}, but its files hold {wanted}."
        )
