"""The figures of a report, as SVG that holds its own letters."""

import io
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from astmt_jax.report.blocks import data_url
from astmt_jax.report.curves import Curve

if TYPE_CHECKING:
    from matplotlib.typing import RcKeyType  # not in every version that will do
from astmt_jax.report.details import ClassRow, PrecisionRecall

COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#999999")
"""Of the tasks in order: those of Okabe and Ito, which the colour-blind can tell apart."""
MARKERS = "osD^vP*X"
STYLE: "dict[RcKeyType, Any]" = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 9,
    "axes.grid": True,
    "grid.color": "0.9",
    "axes.axisbelow": True,
    "legend.frameon": False,
    "lines.linewidth": 1.4,
    "svg.hashsalt": "astmt_jax",  # else the same figure is another file every time
}
LABELLED_LAYERS = 16
"""At most so many layers have their names on an axis."""
styled = matplotlib.rc_context(STYLE)  # a decorator


def color(index: int) -> str:
    """The colour of task `index`."""
    return COLORS[index % len(COLORS)]


@styled
def svg_url(figure: Figure) -> str:
    """A figure as a data URL."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None}, bbox_inches="tight")
    return data_url(buffer.getvalue(), "image/svg+xml")


def grid(count: int, width: float, height: float, columns: int) -> tuple[Figure, list[Axes]]:
    """A figure of `count` plots, each `width` x `height` inches."""
    columns = min(columns, count)
    rows = math.ceil(count / columns)
    figure = Figure(figsize=(width * columns, height * rows), layout="constrained")
    axes = list(figure.subplots(rows, columns, squeeze=False).flat)
    for unused in axes[count:]:
        unused.set_axis_off()
    return figure, axes[:count]


@styled
def small_multiples(curves: Mapping[str, Curve]) -> Figure:
    """One plot a curve, as their scales differ."""
    figure, plots = grid(len(curves), 2.6, 1.7, columns=4)
    for plot, (name, curve) in zip(plots, curves.items(), strict=True):
        plot.plot(curve.steps, curve.values, color=COLORS[0])
        plot.set_title(name.replace("_", " "), loc="left")
        plot.xaxis.set_major_locator(MaxNLocator(4))
        if curve.values.min() >= 0:
            plot.set_ylim(bottom=0)
    figure.supxlabel("steps", fontsize=9)
    return figure


@styled
def accuracy_curves(curves: Mapping[str, Curve], chance: float) -> Figure:
    """All tasks' accuracies over training, beside that of guessing."""
    figure, (plot,) = grid(1, 6.4, 3.0, columns=1)
    for index, (name, curve) in enumerate(curves.items()):
        plot.plot(
            curve.steps,
            curve.values,
            color=color(index),
            marker=MARKERS[index % len(MARKERS)],
            markevery=0.1,
            markersize=4,
            label=name.replace("_", " "),
        )
    plot.axhline(chance, color="0.4", linestyle="--", label="guessing")
    plot.set(xlabel="steps", ylabel="share of positions recognised", ylim=(0, 1))
    plot.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


@styled
def precision_recall(curve: PrecisionRecall) -> Figure:
    """Precision over recall with the best F, on lines of equal F as boundary benchmarks have them.

    Args:
      curve: one value a threshold, 0..1.
    """
    precision, recall, f = map(np.array, (curve.precision, curve.recall, curve.f))
    figure, (plot,) = grid(1, 4.2, 3.8, columns=1)
    axis = np.linspace(0.01, 1, 200)
    for level in np.arange(0.1, 1, 0.1):
        with np.errstate(divide="ignore", invalid="ignore"):
            line = level * axis / (2 * axis - level)
        inside = (line > 0) & (line <= 1)
        plot.plot(axis[inside], line[inside], color="#b5d6b2", linewidth=0.8)
        plot.annotate(
            f"F={level:.1f}", (1, level / (2 - level)), color="#4c8a48", fontsize=7, va="center"
        )
    predicted = (precision > 0) | (recall > 0)
    plot.plot(recall[predicted], precision[predicted], color=COLORS[0], linewidth=2)
    best = int(np.argmax(f))
    plot.plot(recall[best], precision[best], "o", color=COLORS[1], label=f"best F = {f[best]:.3f}")
    plot.set(xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1), aspect="equal")
    plot.grid(False)
    plot.legend(loc="lower left")
    return figure


@styled
def class_bars(there: Mapping[str, ClassRow]) -> Figure:
    """IoU of the classes that occur in the truth, with their shares of its pixels."""
    total = sum(row.pixels for row in there.values())
    figure, (plot,) = grid(1, 4.6, 0.5 + 0.24 * len(there), columns=1)
    ious = [row.iou for row in there.values()]
    bars = plot.barh(list(there), ious, color=COLORS[0])
    shares = [
        f" {100 * row.iou:.0f}%  ({100 * row.pixels / total:.1f}% of pixels)"
        for row in there.values()
    ]
    plot.bar_label(bars, shares, fontsize=8)
    plot.set(xlim=(0, 1.45), xlabel="IoU", xticks=np.arange(0, 1.1, 0.2))
    plot.invert_yaxis()
    plot.grid(False, axis="y")
    return figure


@styled
def over_layers(
    lines: Mapping[str, Mapping[str, float]],
    ylabel: str,
    bands: Mapping[str, Mapping[str, tuple[float, float]]] | None = None,
) -> Figure:
    """Numbers over the layers of the network, from the image to the prediction.

    Args:
      lines: by label, a number for each layer, by its path in the order of the layers; labels that
        have the same layers.
      ylabel: what the numbers are.
      bands: by label, the least and the greatest of the values that each number is the mean of.
    """
    layers = list(next(iter(lines.values())))
    positions = np.arange(len(layers))
    figure, (plot,) = grid(1, 7.6, 3.4, columns=1)
    for index, (label, values) in enumerate(lines.items()):
        numbers = [values.get(layer, math.nan) for layer in layers]
        style: dict[str, Any] = {"color": color(index), "marker": MARKERS[index], "markersize": 4}
        plot.plot(positions, numbers, label=label, **style)
        if bands and label in bands:
            low, high = zip(*(bands[label][layer] for layer in layers), strict=True)
            plot.fill_between(positions, low, high, color=color(index), alpha=0.15, linewidth=0)
    every = math.ceil(len(layers) / LABELLED_LAYERS)
    plot.set_xticks(positions[::every], layers[::every], rotation=40, ha="right", fontsize=7)
    plot.set_ylabel(ylabel)
    plot.legend(loc="upper center", bbox_to_anchor=(0.5, 1.16), ncols=3)
    return figure


@styled
def matrices(
    values: Mapping[str, np.ndarray],
    names: Sequence[str],
    *,
    limits: tuple[float, float],
    cmap: str,
    ylabel: str = "",
    xlabel: str = "",
) -> Figure:
    """Matrices (T, T) side by side, with their numbers, on one scale of colours.

    Args:
      values: by title.
      names: of rows and columns.
      limits: ends of the scale.
      cmap: one of matplotlib's colour maps.
      ylabel: what the rows are.
      xlabel: what the columns are.
    """
    labels = [name.replace("_", " ") for name in names]
    side = 1.1 + 0.42 * len(names)
    figure, plots = grid(len(values), side, side, columns=3)
    for plot, (title, matrix) in zip(plots, values.items(), strict=True):
        shown = plot.imshow(matrix, cmap=cmap, vmin=limits[0], vmax=limits[1])
        plot.set_xticks(range(len(labels)), labels, rotation=45, ha="right")
        plot.set_yticks(range(len(labels)), labels)
        plot.set(title=title, xlabel=xlabel, ylabel=ylabel)
        plot.grid(False)
        for (row, column), value in np.ndenumerate(matrix):
            red, green, blue, _ = shown.to_rgba(value)
            dark = 0.3 * red + 0.6 * green + 0.1 * blue < 0.5
            text = "n/a" if math.isnan(value) else f"{round(float(value), 2) + 0.0:.2f}"
            plot.text(
                column, row, text, ha="center", va="center", fontsize=7,
                color="white" if dark else "black",
            )  # fmt: skip
    return figure


@styled
def scatter(points: Mapping[str, np.ndarray], names: Sequence[str]) -> Figure:
    """Embeddings (T, N, 2), one plot each by title, one colour a task."""
    figure, plots = grid(len(points), 2.5, 2.6, columns=3)
    for plot, (title, embedding) in zip(plots, points.items(), strict=True):
        for index, name in enumerate(names):
            plot.plot(
                *embedding[index].T,
                MARKERS[index % len(MARKERS)],
                color=color(index),
                markersize=3,
                label=name.replace("_", " "),
            )
        plot.set_title(title, fontsize=7)
        plot.set(xticks=[], yticks=[])
        plot.grid(False)
    handles, labels = plots[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right center", markerscale=2)
    return figure
