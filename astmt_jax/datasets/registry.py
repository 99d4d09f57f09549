"""The datasets that configurations can name, and what plugins add to them."""

import collections
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from astmt_jax.config import Config
from astmt_jax.datasets import (
    bsds500,
    camvid,
    ccp,
    fsv,
    mixture,
    nyud,
    own_data,
    pascal_context,
    voc_sbd,
)
from astmt_jax.datasets.added_tasks import AddedTask, check_task, extended
from astmt_jax.datasets.dataset import NO_OPTIONS, Dataset
from astmt_jax.datasets.scenes import dataset as scenes
from astmt_jax.pipeline.derived import DerivedLabel
from astmt_jax.pipeline.geometries import label_form
from astmt_jax.plugins import PluginError, Registry, check_kind
from astmt_jax.records import shown, shown_name
from astmt_jax.tasks.task import Task

MODULES = (scenes, pascal_context, nyud, fsv, voc_sbd, bsds500, ccp, camvid, own_data)

OWN = (*(module.DATASET for module in MODULES), mixture.mixture(lambda name: find(name)))

DATASETS: Registry[Dataset] = Registry("dataset", Dataset, {it.name: it for it in OWN})
"""Name -> record, without the tasks that plugins add: see `find`."""

_ADDED_TASKS: dict[str, Registry[AddedTask]] = collections.defaultdict(
    lambda: Registry("task", AddedTask, {})
)
"""Name of a dataset -> tasks that plugins add to it, by name."""


def add_dataset(dataset: Dataset) -> None:
    """Adds a dataset, for plugins.

    Raises:
      PluginError: it is none, or its name is taken.
    """
    check_kind("A dataset", dataset, Dataset)
    DATASETS.add(dataset.name, dataset)


def add_task(
    dataset: str, task: Task, inputs: tuple[str, ...], label: Callable[..., np.ndarray]
) -> None:
    """Adds a task to a dataset, for plugins.

    Args:
      dataset: name of the dataset.
      task: the task's record; `truth` is its own name, or a stored map that is no task's label.
      inputs: what the label is made of: names of maps that the dataset stores, such as 'depth',
        or 'image'.
      label: these maps (H, W, c) of one image, in that order, to the label: uint8 (H, W, 1) where
        `task.geometry` is one of classes, else float32 (H, W, task.channels); 255 where unknown (0
        for the geometries of depth and normals). Maps of the dataset are unknown in the same way.

    Raises:
      PluginError: there is no such dataset, it has a task of that name, or the record cannot be
        used, saying which field is wrong.
    """
    check_task(task)
    named = isinstance(inputs, tuple) and all(isinstance(it, str) and it != "name" for it in inputs)
    if not named or not inputs:
        raise PluginError(
            f"The task {task.name} has the inputs {shown(inputs)}, but they must be a tuple of "
            "names of maps, such as ('depth',)."
        )
    check_kind(f"What makes the label of {task.name}", label, Callable)
    if dataset not in DATASETS:
        raise PluginError(
            f"The task {task.name} is for the dataset {shown_name(dataset)}, but there are: "
            f"{', '.join(DATASETS)}."
        )
    if isinstance(DATASETS[dataset], mixture.MixtureDataset):
        raise PluginError(
            f"The task {task.name} is for {dataset}, whose tasks are those of its datasets: add it "
            "to one of these."
        )
    own = DATASETS[dataset].tasks()
    if task.name in own:
        raise PluginError(f"{dataset} has a task {task.name} already: choose another name.")
    if task.truth in own:
        raise PluginError(
            f"The task {task.name} would be compared with {task.truth}, another task's label: "
            "give its truth its own name."
        )
    made = DerivedLabel(inputs, label, *label_form(task.geometry, task.channels))
    _ADDED_TASKS[dataset].add(task.name, AddedTask(task, made))


def find(name: str) -> Dataset:
    """The dataset called `name`, with the tasks that plugins add to it.

    Raises:
      ValueError: there is none, listing those there are.
    """
    if name not in DATASETS:
        raise ValueError(
            f"config.dataset.name is {shown(name)}, but must be one of: {', '.join(DATASETS)}."
        )
    return extended(DATASETS[name], _ADDED_TASKS[name].values())


def tasks_of(config: Config) -> tuple[Task, ...]:
    """The records of the tasks that an experiment trains; errors of `select_tasks`."""
    return select_tasks(config.dataset.name, config.tasks, config.dataset.options)


def select_tasks(
    name: str, task_names: tuple[str, ...], options: Mapping[str, Any] = NO_OPTIONS
) -> tuple[Task, ...]:
    """The records of a dataset's tasks, in the order of `task_names`.

    Raises:
      ValueError: the dataset has no such task, listing those it has.
    """
    known = find(name).tasks(options)
    unknown = [task for task in task_names if task not in known]
    if unknown:
        named = ", ".join(map(shown_name, unknown[:5]))
        raise ValueError(
            f"config.tasks names {named}, but {name} has: {', '.join(known) or 'none'}."
        )
    return tuple(known[task] for task in task_names)
