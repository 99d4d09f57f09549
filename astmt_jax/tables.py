"""Tables of results, for the terminal and as Markdown, with the metrics' usual units."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.table import Table

if TYPE_CHECKING:
    from astmt_jax.tasks import Task

Results = Mapping[str, Mapping[str, float]]


@dataclasses.dataclass(frozen=True)
class Metric:
    """How a metric is written.

    Attributes:
      label: its name in the field.
      better: '↑' if higher is better, '↓' if lower is.
      unit: what follows the number.
      scale: the number is the result times this (100 turns a fraction into percent).
      decimals: digits behind the point.
    """

    label: str
    better: str
    unit: str = ""
    scale: float = 1.0
    decimals: int = 3

    @property
    def title(self) -> str:
        """Label and direction."""
        return f"{self.label} {self.better}"

    def number(self, value: float) -> str:
        """The value in its unit, which is left out; 'n/a' for NaN, the mean over nothing."""
        return "n/a" if math.isnan(value) else f"{self.scale * value:.{self.decimals}f}"

    def write(self, value: float) -> str:
        """The value with its unit; 'n/a' for NaN."""
        return self.number(value) + ("" if math.isnan(value) else self.unit)


def _percent(label: str, scale: float = 100.0) -> Metric:
    return Metric(label, "↑", "%", scale, decimals=1)


def _degrees(label: str) -> Metric:
    return Metric(label, "↓", "°", decimals=1)


Notation = Mapping[str, Metric]
"""Key of a metric's `result()` -> how the number is written, in the order of tables."""

EDGE: Notation = {"odsF": _percent("odsF"), "oisF": _percent("oisF"), "AP": _percent("AP")}
SEGMENTATION: Notation = {"mIoU": _percent("mIoU")}
NORMALS: Notation = {
    "mean": _degrees("mean angle"),
    "median": _degrees("median angle"),
    "rmse": _degrees("RMSE"),
    "below_11.25": _percent("<11.25°", scale=1.0),  # percents already
    "below_22.5": _percent("<22.5°", scale=1.0),
    "below_30": _percent("<30°", scale=1.0),
}
SALIENCY: Notation = {
    "mIoU": _percent("max mIoU"),
    "maxF": _percent("maxF"),
    "maxF_pooled": _percent("maxF (pooled, β²=0.3)"),
}
DEPTH: Notation = {
    "rmse": Metric("RMSE", "↓", " m"),
    "log_rmse": Metric("log RMSE", "↓"),
    "mse": Metric("MSE", "↓", " m²"),
}
DISPARITY: Notation = {
    "rmse": Metric("disparity RMSE", "↓"),
    "log_rmse": Metric("log RMSE", "↓"),
    "mse": Metric("disparity MSE", "↓"),
}
ALBEDO: Notation = {"rmse": Metric("RMSE", "↓"), "mse": Metric("MSE", "↓", decimals=4)}


def _row(task: "Task", results: Results) -> tuple[str, str, str, list[str]]:
    """A task's name, its headline metric, the value, and the other metrics with their values."""
    values = results.get(task.name, {})
    if task.headline not in values:
        raise ValueError(
            f"the results of task {task.name!r} lack its headline metric {task.headline!r}"
        )
    known = task.notation
    unknown = [name for name in values if name not in known]
    if unknown:
        raise ValueError(
            f"unknown metric {unknown[0]!r} of task {task.name!r}, known are: {', '.join(known)}"
        )
    headline = known[task.headline]
    others = [
        f"{metric.label} {metric.write(values[name])} {metric.better}"
        for name, metric in known.items()
        if name in values and name != task.headline
    ]
    return task.name, headline.title, headline.write(values[task.headline]), others


HEADINGS = ("task", "metric", "value", "other metrics")


def result_table(results: Results, tasks: Sequence["Task"]) -> Table:
    """Results as a table for the terminal, one row a task (`rich.print` shows it).

    Args:
      results: task name -> metric name -> value, as the metrics compute them.
      tasks: records of the rows, in order; `name`, `headline` and `notation` are used.

    Raises:
      ValueError: a task has no headline value, or a metric is unknown.
    """
    table = Table(*HEADINGS)
    table.columns[2].justify = "right"
    table.columns[2].style = "bold"
    for name, metric, value, others in (_row(task, results) for task in tasks):
        table.add_row(name, metric, value, "\n".join(others))
    return table


def result_markdown(results: Results, tasks: Sequence["Task"]) -> str:
    """Results as a Markdown table; arguments and errors of `result_table`."""
    lines = [HEADINGS, ("---", "---", "---:", "---")]
    for name, metric, value, others in (_row(task, results) for task in tasks):
        lines.append((name, metric, value, ", ".join(others)))
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def class_tables(details: Mapping[str, Mapping[str, Any]], tasks: Sequence["Task"]) -> list[Table]:
    """A table of the IoU by class for each task that has classes.

    A class that is absent from the truth has an IoU only where the mean counts it.

    Args:
      details: task name -> `details()` of its metric.
      tasks: records of the tasks, in order; `name` is used.
    """
    return [
        _class_table(task.name, details[task.name])
        for task in tasks
        if "classes" in details[task.name]
    ]


def _class_table(title: str, details: Mapping[str, Any]) -> Table:
    table = Table(title, "IoU", "share of pixels")
    table.columns[1].justify = table.columns[2].justify = "right"
    total = max(1, sum(row["pixels"] for row in details["classes"].values()))
    for name, row in details["classes"].items():
        counted = row["pixels"] or details["mean_over"] == "all classes"
        iou = f"{100 * row['iou']:.1f}%" if counted else "absent"
        table.add_row(name, iou, f"{100 * row['pixels'] / total:.1f}%")
    return table
