"""A comparison as a figure: what every method loses on every task, and what it costs."""

import pathlib
from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from astmt_jax.compare.scores import AVERAGE, MethodScores
from astmt_jax.files import storage
from astmt_jax.tasks.task import Task

COLORS = matplotlib.colormaps["viridis_r"]
POINT: dict[str, Any] = {
    "linestyle": "",
    "marker": "o",
    "color": "black",
    "markersize": 4,
    "mec": "white",
}
ZERO: dict[str, Any] = {"color": "0.4", "linewidth": 1, "zorder": 0}


def draw(scores: Sequence[MethodScores], tasks: Sequence[Task], path: pathlib.Path) -> None:
    """Writes a PNG file, all or nothing.

    Args:
      scores: the methods; single-task networks are the zero line.
      tasks: in order.
      path: of the file.
    """
    shown = [row for row in scores if row.drop]
    colors = COLORS(np.linspace(0.1, 1, len(shown)))
    figure = Figure(figsize=(13, 5), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2, width_ratios=(5, 2))
    _drops(left, shown, tasks, colors)
    _costs(right, scores, shown, colors)
    if shown:
        figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=6)
    with storage.whole_file(path) as partial:
        figure.savefig(partial, format="png", dpi=110)


def _drops(
    axes: Axes, shown: Sequence[MethodScores], tasks: Sequence[Task], colors: np.ndarray
) -> None:
    """Groups of bars, one group a task, with a point for every seed."""
    names = [AVERAGE, *(task.name for task in tasks)]
    width = 0.8 / max(1, len(shown))
    for index, (row, color) in enumerate(zip(shown, colors, strict=True)):
        offset = (index - (len(shown) - 1) / 2) * width
        positions = np.arange(len(names)) + offset
        means = [row.drop[name].mean for name in names]
        axes.bar(positions, means, width * 0.9, color=color, label=row.method.label)
        for position, name in zip(positions, names, strict=True):
            values = list(row.drop[name].by_seed.values())
            axes.plot([position] * len(values), values, **POINT)
    axes.axhline(0, **ZERO)
    axes.axvline(0.5, color="0.8", linewidth=1)
    axes.set_xticks(range(len(names)), names)
    axes.set_ylabel("drop against single-task networks of the same seed [%]")
    axes.set_title("Lower is better; points are seeds")


def _costs(
    axes: Axes, scores: Sequence[MethodScores], shown: Sequence[MethodScores], colors: np.ndarray
) -> None:
    """Average drop over the number of parameters."""
    for row in scores:
        if row not in shown:
            point = (row.cost.parameters / 1e6, 0)
            axes.plot(*point, "s", color="0.4")
            axes.annotate(row.method.label, point, (-8, 6), textcoords="offset points", ha="right")
    for row, color in zip(shown, colors, strict=True):
        average = row.drop[AVERAGE]
        axes.errorbar(
            row.cost.parameters / 1e6,
            average.mean,
            np.nan_to_num(average.spread),
            fmt="o",
            color=color,
            capsize=3,
        )
    axes.axhline(0, **ZERO)
    axes.margins(0.1)
    axes.set_xlabel("parameters of all networks [10$^6$]")
    axes.set_ylabel("average drop [%]")
    axes.set_title("Mean and standard deviation")
