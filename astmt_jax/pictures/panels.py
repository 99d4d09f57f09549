"""The picture that sets predictions beside the truth."""

import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import cv2
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image

from astmt_jax.files import storage
from astmt_jax.labels import IGNORE
from astmt_jax.tasks.colormaps import DEPTH_COLORS, ValueRange, depth_range, depth_scale, scale_ends

KINDS = ("predictions", "truths")
"""What a row of a picture has maps of, from the upper line to the lower."""

# Sizes in pixels: of one map, between maps, around the picture, and what the writing needs, which
# must stay legible at half size, as pages show a picture this wide.
CELL, GAP, MARGIN = 160, 6, 16
HEADING, SIDE_LABEL, COLOR_BAR, CAPTION = 36, 32, 84, 26
LEGEND_TITLE, LEGEND_ENTRY, LEGEND_LINE, SWATCH = 134, 154, 30, 18
LARGE, MEDIUM, SMALL = 22, 18, 16
TICK_DISTANCE = 24
"""Least distance in pixels between the numbers at a colour bar."""


def resize_for_print(colors: np.ndarray, width: int, height: int) -> np.ndarray:
    """Colours (H, W, 3) uint8 at another size: square pixels when enlarged, averages when shrunk.

    Enlarging repeats pixels to a whole multiple and averages down from there, so that lines one
    pixel wide keep their width everywhere, which plain nearest neighbour does not give.
    """
    times = max(1, -(-height // colors.shape[0]), -(-width // colors.shape[1]))
    repeated = colors.repeat(times, axis=0).repeat(times, axis=1)
    return cv2.resize(repeated, (width, height), interpolation=cv2.INTER_AREA)


class Column(Protocol):
    """What a column has to tell: a task's record, or the like."""

    @property
    def name(self) -> str: ...

    @property
    def class_names(self) -> Sequence[str]: ...

    @property
    def color_bar_unit(self) -> str | None: ...

    @property
    def colorize(self) -> Callable[..., np.ndarray]: ...


class _Canvas:
    """A white picture with pixel coordinates from its top left corner."""

    def __init__(self, width: int, height: int):
        self._height = height
        # At 72 dots per inch a point, matplotlib's unit of type, is a pixel.
        self._figure = Figure(figsize=(width / 72, height / 72), dpi=72, facecolor="white")
        self._agg = FigureCanvasAgg(self._figure)

    def image(self, colors: np.ndarray, x: int, y: int) -> None:
        """Colours with their top left corner at (x, y), in a hairline that white maps need."""
        height, width, _ = colors.shape
        framed = np.full((height + 2, width + 2, 3), 200, np.uint8)
        framed[1:-1, 1:-1] = colors
        self._figure.figimage(framed, x - 1, self._height - y - height - 1, origin="upper")

    def text(self, x: float, y: float, text: str, size: int, **style: Any) -> None:
        style = {"va": "center", "color": "0.15"} | style
        self._figure.text(
            x, self._height - y, text, fontsize=size, transform=None, parse_math=False, **style
        )

    def swatch(self, x: int, y: int, color: np.ndarray) -> None:
        box = (x, self._height - y - SWATCH)
        square = Rectangle(box, SWATCH, SWATCH, transform=None)
        square.set(facecolor=color / 255, edgecolor="0.5", linewidth=0.5)
        self._figure.add_artist(square)

    def color_bar(self, x: int, y: int, height: int, value_range: ValueRange, unit: str) -> None:
        width = self._figure.bbox.width
        box = (x / width, 1 - (y + height) / self._height, 10 / width, height / self._height)
        axes = self._figure.add_axes(box)
        scale = depth_scale(value_range)
        bar = self._figure.colorbar(ScalarMappable(scale, DEPTH_COLORS), cax=axes)
        ticks = np.geomspace(*scale_ends(value_range), min(5, height // TICK_DISTANCE)).tolist()
        bar.set_ticks(ticks, labels=[f"{tick:.1f} {unit}" for tick in ticks], fontsize=SMALL)
        bar.ax.minorticks_off()
        lowest, *_, highest = bar.ax.get_yticklabels()
        lowest.set_verticalalignment("bottom")
        highest.set_verticalalignment("top")
        bar.outline.set_visible(False)

    def pixels(self) -> np.ndarray:
        self._agg.draw()
        return np.asarray(self._agg.buffer_rgba())[..., :3].copy()


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
    canvas = _Canvas(width, MARGIN + HEADING + body + legend_lines * LEGEND_LINE + GAP + MARGIN)
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
        y = _draw_legend(canvas, name, entries, y, entries_a_line)

    picture = canvas.pixels()
    if path is not None:
        with storage.whole_file(pathlib.Path(path)) as partial:
            Image.fromarray(picture).save(partial, format="PNG")
    return picture


def map_size(image_size: tuple[int, int], cell: int = CELL) -> tuple[int, int]:
    """(width, height) at which `draw` draws the maps of an image of (height, width)."""
    height, width = image_size
    scale = min(cell / width, 2 * cell / height)
    return max(1, round(scale * width)), max(1, round(scale * height))


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
    canvas: _Canvas,
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
        ranges = [depth_range(values) for values in reversed(maps)] if unit is not None else []
        value_range = next((known for known in ranges if known), None)
        for top, values in zip(tops, maps, strict=True):
            colors = task.colorize(values, value_range)
            canvas.image(resize_for_print(colors, width, height), x + (cell - width) // 2, top)
        if unit is not None and value_range and whole >= 2 * TICK_DISTANCE:
            canvas.color_bar(x + cell + GAP, y, whole, value_range, unit)


def legend(
    task: Column, rows: Sequence[Mapping[str, Any]], kinds: Sequence[str]
) -> list[tuple[np.ndarray, str]]:
    """(colour, name) of the classes that occur in a task's maps, by class id."""
    maps = [row[kind][task.name] for row in rows for kind in kinds]
    entries = []
    for index in np.unique(np.concatenate([np.unique(values) for values in maps])).tolist():
        if index >= len(task.class_names) and index != IGNORE:
            raise ValueError(
                f"class {index} of task {task.name!r} has no name, "
                f"its class_names name 0..{len(task.class_names) - 1}"
            )
        name = "ignored" if index == IGNORE else task.class_names[index]
        entries.append((task.colorize(np.full((1, 1), index))[0, 0], name))
    return entries


def _draw_legend(
    canvas: _Canvas, title: str, legend: list[tuple[np.ndarray, str]], y: int, columns: int
) -> int:
    """Draws a task's legend in lines of `columns` entries from y on; returns the y below it."""
    middle = SWATCH / 2
    canvas.text(MARGIN, y + middle, title.replace("_", " "), MEDIUM)
    for position, (color, name) in enumerate(legend):
        line, column = divmod(position, columns)
        left = MARGIN + LEGEND_TITLE + column * LEGEND_ENTRY
        top = y + line * LEGEND_LINE
        canvas.swatch(left, top, color)
        canvas.text(left + SWATCH + 6, top + middle, name, SMALL)
    return y + LEGEND_LINE * -(-len(legend) // columns)
