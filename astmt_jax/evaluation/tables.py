"""Tables of results, with the metrics' usual units."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table

from astmt_jax.metrics.summary import Results
from astmt_jax.tasks.task import Task

HEADINGS = ("task", "metric", "value", "other metrics")


def result_row(task: Task, results: Results) -> tuple[str, str, str, list[str]]:
    """What stands under `HEADINGS` for a task.

    Args:
      task: its record; `name`, `headline` and `notation` are used.
      results: task name -> metric name -> value, as the metrics compute them.

    Returns:
      The task's name, its headline metric, the value, and the other metrics with their values.

    Raises:
      ValueError: there is no headline value, or a metric is unknown.
    """
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


def result_table(results: Results, tasks: Sequence[Task]) -> Table:
    """Results as a table for the terminal, one row a task (`rich.print` shows it).

    Args:
      results: task name -> metric name -> value, as the metrics compute them.
      tasks: records of the rows, in order.

    Raises:
      ValueError: as `result_row`.
    """
    table = Table(*HEADINGS)
    table.columns[2].justify = "right"
    table.columns[2].style = "bold"
    for name, metric, value, others in (result_row(task, results) for task in tasks):
        table.add_row(name, metric, value, "\n".join(others))
    return table


def class_tables(details: Mapping[str, Mapping[str, Any]], tasks: Sequence[Task]) -> list[Table]:
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
