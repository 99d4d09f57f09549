"""Published results beside ours: only those that mean the same as the numbers they stand beside."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from astmt_jax.config import Config
from astmt_jax.datasets import registry
from astmt_jax.records import shown
from astmt_jax.tasks.task import Task

DROP = "average drop, %"


@dataclasses.dataclass(frozen=True)
class Row:
    """What one method reaches.

    Attributes:
      method: its name, with its backbone.
      headlines: task -> value of the headline metric, in the unit in which `notation` writes it.
      source: where it was read.
      drop: average drop against single-task networks, in percent.
      parameters: in millions.
    """

    method: str
    headlines: Mapping[str, float]
    source: str = ""
    drop: float | None = None
    parameters: float | None = None


@dataclasses.dataclass(frozen=True)
class Published:
    """Results of several publications on one dataset that were computed in one way.

    Attributes:
      dataset: name.
      setting: what was trained and scored, in words.
      protocols: keys of `config.EVALUATION_PROTOCOLS`; several where they do not differ in it.
      split: that was scored.
      options: of the dataset, those without which numbers mean something else.
      choices: field of `EvaluationConfig` -> values with which numbers mean the same.
      headlines: task -> the number that was published, a key of its metric's `result()`.
      rows: the methods.
    """

    dataset: str
    setting: str
    protocols: Sequence[str]
    split: str
    choices: Mapping[str, Sequence[Any]]
    headlines: Mapping[str, str]
    rows: Sequence[Row]
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def departures(self, task: Task) -> list[str]:
        """The choices, such as 'edge_protocol=pascal_raw', for which a task cannot be compared."""
        values = {field: choice.value(task) for field, choice in task.choices.items()}
        return [
            f"{field}={value}"
            for field, value in values.items()
            if value not in self.choices.get(field, ())
        ]


class Beside(NamedTuple):
    """A published table for some tasks.

    Attributes:
      published: the table.
      tasks: those whose numbers mean the same, at least one.
      notes: sentences to print below the table: how its rows differ from ours, and why each of its
        other tasks is left out.
    """

    published: Published
    tasks: tuple[Task, ...]
    notes: tuple[str, ...]


def find(
    tables: Sequence[Published],
    config: Config,
    protocol: str,
    split: str,
    tasks: Sequence[Task],
) -> Beside | str:
    """The published table that may stand beside results; a sentence that says why there is none.

    Args:
      tables: all there are.
      config: what was scored: a dataset with its options, and a backbone.
      protocol: that results were scored by.
      split: that was scored; '' is the dataset's own.
      tasks: their records, with every choice that they were scored by.
    """
    dataset, own = config.dataset.name, registry.find(config.dataset.name)
    on_dataset = [table for table in tables if table.dataset == dataset]
    if not on_dataset:
        return f"There is no published figure to set beside these: none on {dataset} is at hand."
    alike = [table for table in on_dataset if protocol in table.protocols]
    if not alike:
        known = ", ".join(dict.fromkeys(name for table in on_dataset for name in table.protocols))
        return (
            f"The published figures on {dataset} that are at hand were scored by another protocol "
            f"({known}) than these ({protocol}), so they do not stand here."
        )
    (table,) = alike
    options = own.default_options() | config.dataset.options
    other = {name: value for name, value in table.options.items() if options.get(name) != value}
    if other:
        wanted = ", ".join(f"{name}={value}" for name, value in other.items())
        return f"The published figures on {dataset} are for {wanted}, so they do not stand here."
    scored = own.with_splits("", split).eval_split
    return _columns(table, tasks, _differences(table, config.model.backbone, scored))


def _differences(table: Published, backbone: str, split: str) -> tuple[str, ...]:
    """How the rows of a table differ from ours, in sentences."""
    networks = (
        f"Our backbone is {backbone}; backbones, weights that training starts from and sizes of "
        "images differ from row to row."
    )
    if split == table.split:
        return (networks,)
    return networks, f"We scored {shown(split)}, the others {shown(table.split)}."


def _columns(table: Published, tasks: Sequence[Task], differences: tuple[str, ...]) -> Beside | str:
    """The tasks of a table that can be compared."""
    known = [task for task in tasks if task.name in table.headlines]
    departures = {task.name: table.departures(task) for task in known}
    left_out = tuple(
        f"{name} is left out: it was scored with {' and '.join(reasons)}, the published ones not."
        for name, reasons in departures.items()
        if reasons
    )
    compared = tuple(task for task in known if not departures[task.name])
    if not compared:
        return " ".join(left_out) or (
            f"There is no published figure to set beside these: none on {table.dataset} is for "
            f"{', '.join(task.name for task in tasks)}."
        )
    return Beside(table, compared, (*differences, *left_out))


def our_row(method: str, tasks: Sequence[Task], results: Mapping[str, float], **known: Any) -> Row:
    """A row of ours.

    Args:
      method: what it is called.
      tasks: whose numbers to show.
      results: task -> value of its headline metric as it computes it; tasks may be missing.
      **known: other fields of `Row`.
    """
    values = {
        task.name: task.notation[task.headline].scale * results[task.name]
        for task in tasks
        if task.name in results
    }
    return Row(method, values, **known)


def written(beside: Beside, ours: Sequence[Row]) -> list[list[str]]:
    """Our rows above the published ones, as text, headings first.

    Drops are there where all tasks are that they are the average of.
    """
    rows = [*ours, *(row for row in beside.published.rows if _has_any(row, beside.tasks))]
    notation = {task.name: task.notation[task.headline] for task in beside.tasks}
    with_drop = notation.keys() == beside.published.headlines.keys() and any(
        row.drop is not None for row in rows
    )
    with_size = any(row.parameters is not None for row in rows)
    headings = [f"{name} ({metric.label} {metric.better})" for name, metric in notation.items()]
    lines = [["", *headings, *([DROP] * with_drop), *(["parameters"] * with_size), "source"]]
    for row in rows:
        values = [
            _number(row.headlines.get(name), metric.decimals + 1)
            for name, metric in notation.items()
        ]
        drop = [_number(row.drop, 2)] if with_drop else []
        size = [_number(row.parameters, 1, " M")] if with_size else []
        lines.append([row.method, *values, *drop, *size, row.source])
    return lines


def _has_any(row: Row, tasks: Sequence[Task]) -> bool:
    return any(task.name in row.headlines for task in tasks)


def _number(value: float | None, decimals: int, unit: str = "") -> str:
    return "" if value is None else f"{value:.{decimals}f}{unit}"
