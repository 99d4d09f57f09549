"""The picture that sets predictions beside the truth."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

from astmt_jax.files import storage
from astmt_jax.pictures.canvas import (
    CAPTION,
    CELL,
    COLOR_BAR,
    GAP,
    HEADING,
    LARGE,
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

KINDS = ("predictions", "truths")
"""What a row of a picture has maps of, from the upper line to the lower."""


def draw(
    rows: Sequence[Mapping[str, Any]],
    tasks: Sequence[Column],
    path: str | pathlib.Path | None = None,
    lines: Sequence[str] = ("prediction", "truth"),
    cell: int = CELL,
) -> np.ndarray:
    """Draws one row an image: the image, then a column a task, its prediction above its truth.

    Below stand the colours of the classes that occur. Depth is on the scale of the image's truth.
    About 1600 pixels wide for seven tasks, whatever the size of the maps. Maps more than twice as
    high as wide are drawn narrower.

    Args:
      rows: one mapping an image: `image` uint8 (H, W, 3), `name`, and `predictions` and `truths`,
        mappings from task name to a map that the task's `colorize` takes.
      tasks: records of the columns, in order.
      path: where to write the picture as PNG; None writes nothing.
      lines: what stands beside the upper and the lower line of maps; a single word leaves out the
        truths, which rows then need not have.
      cell: width of one map in pixels.

    Returns:
      The picture, uint8 (height, width, 3).

    Raises:
      ValueError: there is no row or no task, an image is not uint8 (H, W, 3), a map is missing, or
        a class has no name.
    """
    kinds = KINDS[: len(lines)]
    _check_rows(rows, tasks, kinds)
    columns, width = _columns(tasks, cell, len(lines))
    sizes = [map_size(row["image"].shape[:2], cell) for row in rows]
    legends = {task.name: legend(task, rows, kinds) for task in tasks if task.class_names}
    entries_a_line = (width - 2 * MARGIN - LEGEND_TITLE) // LEGEND_ENTRY
    legend_lines = sum(-(-len(entries) // entries_a_line) for entries in legends.values())

    body = sum(_stacked(height, len(lines)) + CAPTION for _, height in sizes)
    canvas = Canvas(width, MARGIN + HEADING + body + legend_lines * LEGEND_LINE + GAP + MARGIN)
    y = MARGIN + HEADING
    middle = MARGIN + _stacked(cell, len(lines)) / 2
    canvas.text(middle, y - HEADING / 2, "image", LARGE, ha="center")
    for task, x in zip(tasks, columns, strict=True):
        name = task.name.replace("_", " ")
        canvas.text(x + cell / 2, y - HEADING / 2, name, LARGE, ha="center")
    for row, size in zip(rows, sizes, strict=True):
        _draw_row(canvas, row, tasks, columns, y, size, lines, cell)
        y += _stacked(size[1], len(lines)) + CAPTION
    y += GAP
    for name, entries in legends.items():
        y = canvas.legend(name, entries, y, entries_a_line)

    picture = canvas.pixels()
    if path is not None:
        with storage.whole_file(pathlib.Path(path)) as partial:
            Image.fromarray(picture).save(partial, format="PNG")
    return picture


def _stacked(length: int, count: int) -> int:
    """Length of `count` maps with gaps between them."""
    return count * length + (count - 1) * GAP


def _check_rows(
    rows: Sequence[Mapping[str, Any]], tasks: Sequence[Column], kinds: Sequence[str]
) -> None:
    if not rows or not tasks:
        raise ValueError(
            f"panels of {len(rows)} images and {len(tasks)} tasks, one of each is needed"
        )
    for row in rows:
        image = row["image"]
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[-1] != 3:
            raise ValueError(
                f"image {row['name']!r} is {image.dtype} {image.shape}, uint8 (H, W, 3) is needed"
            )
        for kind in kinds:
            missing = [task.name for task in tasks if task.name not in row[kind]]
            if missing:
                raise ValueError(f"image {row['name']!r} has no {kind} for {', '.join(missing)}")


def _columns(tasks: Sequence[Column], cell: int, lines: int) -> tuple[list[int], int]:
    """Left end of every task's column, and the width of the picture."""
    x = MARGIN + _stacked(cell, lines) + SIDE_LABEL
    columns = []
    for task in tasks:
        columns.append(x)
        x += cell + GAP + COLOR_BAR * (task.color_bar_unit is not None)
    return columns, x - GAP + MARGIN


def _draw_row(
    canvas: Canvas,
    row: Mapping[str, Any],
    tasks: Sequence[Column],
    columns: Sequence[int],
    y: int,
    size: tuple[int, int],
    lines: Sequence[str],
    cell: int,
) -> None:
    """Draws the image over all lines, and every task's prediction above its truth."""
    width, height = size
    whole = _stacked(height, len(lines))
    tops = range(y, y + whole, height + GAP)
    image_width = _stacked(width, len(lines))
    left = MARGIN + (_stacked(cell, len(lines)) - image_width) // 2
    canvas.image(resize_for_print(row["image"], image_width, whole), left, y)
    canvas.text(MARGIN, y + whole + CAPTION / 2, row["name"], SMALL, color="0.4")
    label_size = min(MEDIUM, height // 6)  # so that low maps' labels do not run into one another
    for top, label in zip(tops, lines, strict=True):
        middle = (columns[0] - SIDE_LABEL / 2, top + height / 2)
        canvas.text(*middle, label, label_size, rotation=90, ha="center")
    for task, x in zip(tasks, columns, strict=True):
        maps = [row[kind][task.name] for kind in KINDS[: len(lines)]]
        unit = task.color_bar_unit
        value_range = common_scale(task, *([values] for values in reversed(maps)))
        for top, values in zip(tops, maps, strict=True):
            colors = task.colorize(values, value_range)
            canvas.image(resize_for_print(colors, width, height), x + (cell - width) // 2, top)
        if unit is not None and value_range:
            canvas.color_bar(x + cell + GAP, y, whole, value_range, unit)
