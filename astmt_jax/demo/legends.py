"""What a visitor reads at a task's panel, as HTML: what it shows, and what its colours mean."""

import html
from collections.abc import Iterable

import numpy as np

from astmt_jax.runtime.console import legible
from astmt_jax.tasks.colormaps import depth_range, plane, scale_ends
from astmt_jax.tasks.task import Task

COLORS_OF_A_BAR = 32
MOST_CLASSES = 10
"""Classes that are listed one by one; the others are counted."""

Entry = tuple[np.ndarray, str]
"""A colour, uint8 (3,), and what it means."""


def as_text(name: str) -> str:
    """HTML that shows a text, such as the name of a file, as it is written."""
    return html.escape(legible(name))


def title(task: Task) -> str:
    """What a task is called in headings and lists."""
    return task.title or task.name.replace("_", " ")


def heading(task: Task) -> str:
    """Above a task's picture: what the task is called, and what it shows."""
    return f"<h2>{as_text(title(task))}</h2><p>{as_text(task.meaning)}</p>"


def legend(task: Task, prediction: np.ndarray) -> str:
    """Below a task's picture: what the colours of a prediction mean; '' where there is no more.

    Args:
      task: its record.
      prediction: as `Model.predict` returns it.
    """
    if task.class_names:
        return _swatches(classes(task, prediction))
    if task.color_bar_unit is not None:
        return _color_bar(task, prediction)
    return _swatches((_color(task, value), words) for value, words in task.legend)


def classes(task: Task, prediction: np.ndarray) -> list[Entry]:
    """The classes of a prediction with their shares of the pixels, the largest first."""
    ids, counts = np.unique(plane(prediction), return_counts=True)
    order = np.argsort(-counts, kind="stable")
    return [
        (_color(task, ids[i]), f"{task.class_names[ids[i]]} {_share(counts[i] / counts.sum())}")
        for i in order
    ]


def _share(part: float) -> str:
    return "< 1 %" if part < 0.01 else f"{100 * part:.0f} %"


def _color(task: Task, value: object) -> np.ndarray:
    """The colour of one value, of one channel or several."""
    return task.colorize(np.asarray(value).reshape(1, 1, -1))[0, 0]


def _rgb(color: np.ndarray) -> str:
    return f"rgb({', '.join(map(str, color.tolist()))})"


def _swatches(entries: Iterable[Entry]) -> str:
    entries = list(entries)
    listed = [
        f'<li><span class="swatch" style="background: {_rgb(color)}"></span>{as_text(words)}</li>'
        for color, words in entries[:MOST_CLASSES]
    ]
    if len(entries) > MOST_CLASSES:
        listed.append(f"<li>and {len(entries) - MOST_CLASSES} more</li>")
    return f"<ul>{''.join(listed)}</ul>" if listed else ""


def _color_bar(task: Task, prediction: np.ndarray) -> str:
    """A scale from the least value of a prediction to the largest."""
    found = depth_range(prediction)
    if found is None:
        return "<p>No value is valid.</p>"
    low, high = scale_ends(found)
    values = np.geomspace(low, high, COLORS_OF_A_BAR)  # the scale of the colours is logarithmic
    colors = task.colorize(values[None], (low, high))[0]
    gradient = ", ".join(map(_rgb, colors))
    ticks = "".join(
        f"<span>{as_text(f'{value:.3g} {task.color_bar_unit}'.strip())}</span>"
        for value in np.geomspace(low, high, 3)
    )
    return (
        f'<div class="bar" style="background: linear-gradient(to right, {gradient})"></div>'
        f'<div class="ticks">{ticks}</div>'
    )
