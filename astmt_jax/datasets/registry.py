"""The datasets that configurations can name, one record each."""

import dataclasses
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

from astmt_jax import tasks
from astmt_jax.config import build_record
from astmt_jax.datasets.scenes import builder as scenes
from astmt_jax.datasets.scenes.config import ScenesConfig
from astmt_jax.source import Source
from astmt_jax.tasks import Task


@dataclasses.dataclass(frozen=True)
class Dataset:
    """What a dataset offers.

    Attributes:
      tasks: the records of its tasks, by name.
      open: `(data_dir, options, split) -> Source`; prepares the dataset first where that needs no
        download, else raises FileNotFoundError naming the command that does.
      train_split: split to train on.
      eval_split: split to evaluate on.
    """

    tasks: Mapping[str, Task]
    open: Callable[[pathlib.Path, Mapping[str, Any], str], Source]
    train_split: str = "train"
    eval_split: str = "val"


def _by_name(*records: Task) -> dict[str, Task]:
    return {record.name: record for record in records}


def _open_scenes(data_dir: pathlib.Path, options: Mapping[str, Any], split: str) -> Source:
    config = build_record(ScenesConfig, options, "config.dataset.options")
    return Source.from_builder(scenes.prepare(config, data_dir), split, scenes.decode)


DATASETS = {
    "scenes": Dataset(
        tasks=_by_name(
            tasks.edge(),
            tasks.semseg(classes="present"),
            tasks.human_parts(),
            tasks.normals(),
            tasks.sal(),
            tasks.depth(loss_weight=0.2),  # up to 30 m, three times the rooms of NYUD
            tasks.albedo(),
        ),
        open=_open_scenes,
    ),
}


def find(name: str) -> Dataset:
    """The dataset called `name`.

    Raises:
      ValueError: there is none, listing those there are.
    """
    if name not in DATASETS:
        raise ValueError(
            f"config.dataset.name is {name!r}, but must be one of: {', '.join(DATASETS)}."
        )
    return DATASETS[name]


def select_tasks(name: str, task_names: tuple[str, ...]) -> tuple[Task, ...]:
    """The records of a dataset's tasks, in the order of `task_names`.

    Raises:
      ValueError: the dataset has no such task, listing those it has.
    """
    known = find(name).tasks
    unknown = [task for task in task_names if task not in known]
    if unknown:
        raise ValueError(
            f"config.tasks names {', '.join(unknown)}, but {name} has: {', '.join(known)}."
        )
    return tuple(known[task] for task in task_names)
