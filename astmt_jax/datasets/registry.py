"""The datasets that configurations can name."""

from collections.abc import Mapping
from typing import Any

from astmt_jax.config import Config
from astmt_jax.datasets import bsds500, camvid, ccp, fsv, nyud, own_data, pascal_context, voc_sbd
from astmt_jax.datasets.dataset import NO_OPTIONS, Dataset
from astmt_jax.datasets.scenes import dataset as scenes
from astmt_jax.records import shown, shown_name
from astmt_jax.tasks.task import Task

MODULES = (scenes, pascal_context, nyud, fsv, voc_sbd, bsds500, ccp, camvid, own_data)

DATASETS: dict[str, Dataset] = {module.DATASET.name: module.DATASET for module in MODULES}
"""Name -> record."""


def find(name: str) -> Dataset:
    """The dataset called `name`.

    Raises:
      ValueError: there is none, listing those there are.
    """
    if name not in DATASETS:
        raise ValueError(
            f"config.dataset.name is {shown(name)}, but must be one of: {', '.join(DATASETS)}."
        )
    return DATASETS[name]


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
        raise ValueError(f"config.tasks names {named}, but {name} has: {', '.join(known)}.")
    return tuple(known[task] for task in task_names)
