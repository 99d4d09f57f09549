"""A comparison as a figure: what every method loses on every task, over what it costs."""

import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from astmt_jax.compare.scores import MethodScores
from astmt_jax.files import storage
from astmt_jax.metrics.summary import AVERAGE
from astmt_jax.models.cost import TotalCost
from astmt_jax.tasks.task import Task

COLORS = matplotlib.colormaps["viridis_r"]
POINT: dict[str, Any] = {
    "linestyle": "",
    "marker": "o",
    "color": "black",
    "markersize": 4,
    "mec": "white",
}
COSTS: dict[str, Callable[[TotalCost], float]] = {
    "parameters of all networks [10$^6$]": lambda cost: cost.parameters / 1e6,
    "multiply-adds, all tasks [10$^9$]": lambda cost: cost.multiply_adds / 1e9,
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
    figure = Figure(figsize=(15, 5), layout="constrained")
    FigureCanvasAgg(figure)
    bars, *costs = figure.subplots(1, 1 + len(COSTS), width_ratios=(5, *(2 for _ in COSTS)))
    _drops(bars, shown, tasks, colors)
    for axes, (label, cost) in zip(costs, COSTS.items(), strict=True):
        _trade_off(axes, scores, colors, cost)
        axes.set_xlabel(label)
    if shown:
        figure.legend(*bars.get_legend_handles_labels(), loc="outside lower center", ncols=5)
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


def _trade_off(
    axes: Axes,
    scores: Sequence[MethodScores],
    colors: np.ndarray,
    cost: Callable[[TotalCost], float],
) -> None:
    """Average drop over a cost; single-task networks lie on the zero line."""
    left = iter(colors)
    for row in scores:
        x = cost(row.cost)
        if row.method.is_single_task:
            axes.plot(x, 0, "s", color="0.4")
            axes.annotate(row.method.label, (x, 0), (-6, 6), textcoords="offset points", ha="right")
        elif row.drop:
            average = row.drop[AVERAGE]
            error = np.nan_to_num(average.spread)
            axes.errorbar(x, average.mean, error, fmt="o", color=next(left), capsize=3)
    axes.axhline(0, **ZERO)
    axes.margins(0.1)
    axes.set_ylabel("average drop [%]")
    axes.set_title("Mean and standard deviation")
