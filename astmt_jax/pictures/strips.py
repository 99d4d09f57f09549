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
    TICK_DISTANCE,
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

    Its size depends on the images and their truths alone, so that a strip that is drawn after every
    epoch shows the same place at the same position. The legend names the truth's classes, and the
    scale of depth is that of each image's truth.

    Args:
      rows: as in `panels.draw`.
      task: record of the task.
      cell: width of one map in pixels.

    Returns:
      The picture, uint8 (height, width, 3).
    """
    sizes = [map_size(row["image"].shape[:2], cell) for row in rows]
    highest = max(height for _, height in sizes)
    column = cell + GAP + COLOR_BAR * (task.color_bar_unit is not None)
    left = MARGIN + SIDE_LABEL
    width = left + len(rows) * column - GAP + MARGIN
    entries = legend(task, rows, ("truths",)) if task.class_names else []
    entries_a_line = max(1, (width - 2 * MARGIN - LEGEND_TITLE) // LEGEND_ENTRY)
    legend_height = LEGEND_LINE * -(-len(entries) // entries_a_line)
    body = len(LINES) * (highest + GAP)
    canvas = Canvas(width, MARGIN + body + CAPTION + legend_height + MARGIN)
    for number, line in enumerate(LINES):
        middle = MARGIN + number * (highest + GAP) + highest / 2
        size = min(MEDIUM, highest // 6)
        canvas.text(MARGIN + SIDE_LABEL / 2 - 8, middle, line, size, rotation=90, ha="center")
    for number, (row, size) in enumerate(zip(rows, sizes, strict=True)):
        _draw_column(canvas, row, task, left + number * column, size, highest)
        caption = MARGIN + body + CAPTION / 2 - GAP
        canvas.text(left + number * column, caption, row["name"], SMALL, color="0.4")
    if entries:
        canvas.legend(task.name, entries, MARGIN + body + CAPTION, entries_a_line)
    return canvas.pixels()


def _draw_column(
    canvas: Canvas,
    row: Mapping[str, Any],
    task: Column,
    x: int,
    size: tuple[int, int],
    line_height: int,
) -> None:
    """Draws an image and its maps, of (width, height) `size`, below one another."""
    width, height = size
    maps = [row[kind][task.name] for kind in KINDS]
    value_range = common_scale(task, maps)
    for number, colors in enumerate(
        [row["image"], *(task.colorize(values, value_range) for values in maps)]
    ):
        y = MARGIN + number * (line_height + GAP)
        canvas.image(resize_for_print(colors, width, height), x, y)
    whole = height + GAP + line_height
    if task.color_bar_unit is not None and value_range and whole >= 2 * TICK_DISTANCE:
        top = MARGIN + line_height + GAP
        canvas.color_bar(x + width + GAP, top, whole, value_range, task.color_bar_unit)
