"""Pictures of single images for a report."""

import numpy as np

from astmt_jax.pictures import canvas, panels
from astmt_jax.report.blocks import Picture, Slider, png_url
from astmt_jax.report.examples import Scored
from astmt_jax.tasks import colormaps
from astmt_jax.tasks.task import Task

LONGEST_SIDE = 320
"""Pixels; larger pictures are shrunk, so that the page stays small."""


def photo(scored: Scored) -> Picture:
    """The image itself."""
    name = scored.example.name
    return Picture(png_url(_shrunk(scored.example.image)), f"The image {name}", name)


def slider(task: Task, scored: Scored) -> Slider:
    """A task's prediction over its truth, in the same colours."""
    example = scored.example
    prediction, truth = example.predictions[task.name], example.truths[task.name]
    unit = task.color_bar_unit
    value_range, notes = None, []
    if unit is not None:
        value_range = colormaps.depth_range(truth) or colormaps.depth_range(prediction)
    if task.name in scored.scores:
        metric = task.notation[task.headline]
        notes.append(f"{metric.label} {metric.write(scored.scores[task.name])}")
    else:
        notes.append("not labelled")
    if value_range:
        low, high = value_range
        notes.append(f"colours from {low:.1f} (dark) to {high:.1f} {unit}".strip())
    row = {"predictions": {task.name: prediction}, "truths": {task.name: truth}}
    legend = canvas.legend(task, [row], panels.KINDS) if task.class_names else []
    return Slider(
        title=f"{task.name} of {example.name}",
        front=png_url(_shrunk(task.colorize(prediction, value_range))),
        back=png_url(_shrunk(task.colorize(truth, value_range))),
        labels=("prediction", "truth"),
        caption=f"{task.name}: {', '.join(notes)}",
        legend=[("#" + bytes(color.tolist()).hex(), name) for color, name in legend],
    )


def _shrunk(colors: np.ndarray) -> np.ndarray:
    height, width = colors.shape[:2]
    times = LONGEST_SIDE / max(height, width)
    if times >= 1:
        return colors
    return canvas.resize_for_print(
        colors, max(1, round(width * times)), max(1, round(height * times))
    )
