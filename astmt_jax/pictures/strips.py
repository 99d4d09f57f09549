"""The picture of one task over several images, for a dashboard that shows it again and again."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from astmt_jax.pictures.canvas import (
    CAPTION,
    CELL,
    COLOR_BAR,
    GAP,
    LEGEND_ENTRY,
    LEGEND_LINE,
    LEGEND_TITLE,
    MARGIN,
    MEDIUM,
    SIDE_LABEL,
    SMALL,
    Canvas,
    Column,
    common_scale,
    legend,
    map_size,
    resize_for_print,
)
from astmt_jax.pictures.panels import KINDS

LINES = ("image", "prediction", "truth")


def draw_strip(rows: Sequence[Mapping[str, Any]], task: Column, cell: int = CELL) -> np.ndarray:
    """Draws one column an image: the image above the task's prediction above its truth.

    Its size, its legend, which names the truth's classes, and its scale of depth, that of all
    truths, do not depend on the predictions: strips that are drawn after every epoch show the same
    thing at the same place in the same colour.

    Args:
      rows: as in `panels.draw`.
      task: record of the task.
      cell: width of one map in pixels.

    Returns:
      The picture, uint8 (height, width, 3).
    """
    predictions, truths = ([row[kind][task.name] for row in rows] for kind in KINDS)
    value_range = common_scale(task, truths, predictions)
    line = max(map_size(row["image"].shape[:2], cell)[1] for row in rows) + GAP
    left, below = MARGIN + SIDE_LABEL, MARGIN + len(LINES) * line
    right = left + len(rows) * (cell + GAP)
    width = right + COLOR_BAR * (value_range is not None) - GAP + MARGIN
    entries = legend(task, rows, KINDS[1:]) if task.class_names else []
    entries_a_line = max(1, (width - 2 * MARGIN - LEGEND_TITLE) // LEGEND_ENTRY)
    legend_height = LEGEND_LINE * -(-len(entries) // entries_a_line)
    canvas = Canvas(width, below + CAPTION + legend_height + MARGIN)
    for number, word in enumerate(LINES):
        place = left - SIDE_LABEL / 2, MARGIN + number * line + (line - GAP) / 2
        canvas.text(*place, word, min(MEDIUM, line // 6), rotation=90, ha="center")
    for number, row in enumerate(rows):
        maps = predictions[number], truths[number]
        pictures = [row["image"], *(task.colorize(values, value_range) for values in maps)]
        _draw_column(canvas, left + number * (cell + GAP), line, pictures, cell)
        caption = left + number * (cell + GAP), below + CAPTION / 2 - GAP
        canvas.text(*caption, row["name"], SMALL, color="0.4")
    if value_range is not None:
        bar = (right, MARGIN + line, 2 * line - GAP)
        canvas.color_bar(*bar, value_range, task.color_bar_unit or "")
    if entries:
        canvas.legend(task.name, entries, below + CAPTION, entries_a_line)
    return canvas.pixels()


def _draw_column(
    canvas: Canvas, x: int, line: int, pictures: Sequence[np.ndarray], cell: int
) -> None:
    """Draws pictures of one size, uint8 (H, W, 3), below one another, `line` pixels apart."""
    size = map_size(pictures[0].shape[:2], cell)
    for position, picture in enumerate(pictures):
        canvas.image(resize_for_print(picture, *size), x, MARGIN + position * line)
