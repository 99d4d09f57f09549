"""The datasets that configurations can name, one record each."""

import dataclasses
import functools
import pathlib
import types
from collections.abc import Callable, Collection, Mapping
from typing import Any

from astmt_jax.config import Config
from astmt_jax.datasets import builder
from astmt_jax.datasets.maps import complete, packing
from astmt_jax.datasets.scenes import builder as scenes
from astmt_jax.datasets.scenes.config import ScenesConfig
from astmt_jax.pipeline.source import Source
from astmt_jax.records import build_record
from astmt_jax.tasks import task as tasks
from astmt_jax.tasks.task import Task

Options = Mapping[str, Any]

PREPARED_BY = ("classes", "config")
"""Options that decide the form in which a dataset is prepared."""


@dataclasses.dataclass(frozen=True)
class Dataset:
    """What a dataset offers.

    Attributes:
      tasks: options to the records of its tasks, by name.
      open: `(data_dir, options, split) -> Source`; prepares the dataset first where that needs no
        download, else raises FileNotFoundError naming the command that does.
      train_split: split to train on.
      eval_split: split to evaluate on.
      configuration: options to the name of the configuration in which the dataset is prepared; None
        where it has one form only.
      named_by_options: tasks whose classes only the options name, so that preparing the data cannot
        check the class ids in it.
    """

    tasks: Callable[[Options], Mapping[str, Task]]
    open: Callable[[pathlib.Path, Options, str], Source]
    train_split: str = "train"
    eval_split: str = "val"
    configuration: Callable[[Options], str | None] = lambda options: None
    named_by_options: tuple[str, ...] = ()

    def with_splits(self, train: str, evaluation: str) -> "Dataset":
        """The same with other splits, or slices of them; '' leaves a split as it is."""
        return dataclasses.replace(
            self,
            train_split=train or self.train_split,
            eval_split=evaluation or self.eval_split,
        )


@dataclasses.dataclass(frozen=True)
class NoOptions:
    """Options of a dataset that has none."""


@dataclasses.dataclass(frozen=True)
class NyudOptions:
    """Options of NYUD.

    Attributes:
      classes: of semantic segmentation: 41 (with the background) or 40 (background ignored).

    Raises:
      ValueError: another number of classes.
    """

    classes: int = 41

    def __post_init__(self):
        if self.classes not in (40, 41):
            raise ValueError(
                f"config.dataset.options.classes is {self.classes}, but must be 40 or 41."
            )


@dataclasses.dataclass(frozen=True)
class OwnDataOptions:
    """Options of your own data.

    Attributes:
      config: the name under which it was prepared; '' if there was none.
      semseg_classes: names of the classes of semantic segmentation.
      edge_positive_weight: weight of edge pixels in the balanced loss.
    """

    config: str = ""
    semseg_classes: tuple[str, ...] = tasks.VOC_CLASSES
    edge_positive_weight: float = 0.95


def _by_name(*records: Task) -> dict[str, Task]:
    return {record.name: record for record in records}


def _read_options(record: type, options: Options) -> Any:
    return build_record(record, options, "config.dataset.options")


def _open_scenes(data_dir: pathlib.Path, options: Options, split: str) -> Source:
    config = _read_options(ScenesConfig, options)
    return Source.from_builder(scenes.prepare(config, data_dir), split, scenes.decode)


def _said(options: Any, names: Collection[str]) -> str:
    """Those of the options called `names` that are not their defaults, as --options has them."""
    values = {
        field.name: getattr(options, field.name)
        for field in dataclasses.fields(options)
        if field.name in names and getattr(options, field.name) != field.default
    }
    return ",".join(f"{name}={value}" for name, value in values.items())


def _open_prepared(
    dataset: str,
    record: type,
    config_of: Callable[[Any], str | None],
    data_dir: pathlib.Path,
    options: Options,
    split: str,
) -> Source:
    chosen = _read_options(record, options)
    config, said = config_of(chosen), _said(chosen, PREPARED_BY)
    prepared = builder.open_builder(dataset, config, data_dir, said)
    features = prepared.info.features
    return Source.from_builder(prepared, split, complete(features), packing(features))


def _prepared(
    dataset: str, record: type, config_of: Callable[[Any], str | None] = lambda options: None
) -> dict[str, Callable]:
    """`open` and `configuration` of a dataset that the user prepares."""
    return {
        "open": functools.partial(_open_prepared, dataset, record, config_of),
        "configuration": lambda options: config_of(_read_options(record, options)),
    }


def _scenes_tasks(options: Options) -> dict[str, Task]:
    del options
    return _by_name(
        tasks.edge(),
        tasks.semseg(classes="present"),
        tasks.human_parts(),
        tasks.normals(),
        tasks.sal(),
        tasks.depth(loss_weight=0.2),  # up to 30 m, three times the rooms of NYUD
        tasks.albedo(),
    )


def _pascal_tasks(options: Options) -> dict[str, Task]:
    _read_options(NoOptions, options)
    return _by_name(tasks.edge(), tasks.semseg(), tasks.human_parts(), tasks.normals(), tasks.sal())


def _nyud_tasks(options: Options) -> dict[str, Task]:
    classes = _read_options(NyudOptions, options).classes
    return _by_name(
        tasks.edge(positive_weight=0.8, protocol="nyud", truth="edge"),
        tasks.semseg(tasks.NYUD_CLASSES[-classes:]),
        tasks.normals(),
        tasks.depth(),
    )


def _fsv_tasks(options: Options) -> dict[str, Task]:
    _read_options(NoOptions, options)
    return _by_name(tasks.semseg(tasks.FSV_CLASSES), tasks.albedo(), tasks.disparity())


def _voc_sbd_tasks(options: Options) -> dict[str, Task]:
    _read_options(NoOptions, options)
    return _by_name(tasks.semseg())


def _own_data_tasks(options: Options) -> dict[str, Task]:
    chosen = _read_options(OwnDataOptions, options)
    return _by_name(
        tasks.edge(chosen.edge_positive_weight, protocol="edge_map", truth="edge"),
        tasks.semseg(chosen.semseg_classes),
        tasks.human_parts(),
        tasks.normals(),
        tasks.sal(),
        tasks.depth(),
        tasks.albedo(),
    )


DATASETS = {
    "scenes": Dataset(_scenes_tasks, _open_scenes),
    "pascal_context": Dataset(_pascal_tasks, **_prepared("pascal_context", NoOptions)),
    "nyud": Dataset(
        _nyud_tasks, **_prepared("nyud", NyudOptions, lambda options: f"classes{options.classes}")
    ),
    "fsv": Dataset(_fsv_tasks, **_prepared("fsv", NoOptions), eval_split="test"),
    "voc_sbd": Dataset(_voc_sbd_tasks, **_prepared("voc_sbd", NoOptions)),
    "own_data": Dataset(
        _own_data_tasks,
        **_prepared("own_data", OwnDataOptions, lambda options: options.config or None),
        named_by_options=("semseg",),
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


def tasks_of(config: Config) -> tuple[Task, ...]:
    """The records of the tasks that an experiment trains; errors of `select_tasks`."""
    return select_tasks(config.dataset.name, config.tasks, config.dataset.options)


def select_tasks(
    name: str, task_names: tuple[str, ...], options: Options = types.MappingProxyType({})
) -> tuple[Task, ...]:
    """The records of a dataset's tasks, in the order of `task_names`.

    Raises:
      ValueError: the dataset has no such task, listing those it has.
    """
    known = find(name).tasks(options)
    unknown = [task for task in task_names if task not in known]
    if unknown:
        raise ValueError(
            f"config.tasks names {', '.join(unknown)}, but {name} has: {', '.join(known)}."
        )
    return tuple(known[task] for task in task_names)
