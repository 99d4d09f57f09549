"""A white picture to draw on: maps in colours, writing, scales and legends, in pixels."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import cv2
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from astmt_jax.labels import IGNORE
from astmt_jax.tasks.colormaps import DEPTH_COLORS, ValueRange, depth_range, depth_scale, scale_ends

# Sizes in pixels: of one map, between maps, around the picture, and what the writing needs, which
# must stay legible at half size, as pages show a picture this wide.
CELL, GAP, MARGIN = 160, 6, 16
HEADING, SIDE_LABEL, COLOR_BAR, CAPTION = 36, 32, 84, 26
LEGEND_TITLE, LEGEND_ENTRY, LEGEND_LINE, SWATCH = 134, 154, 30, 18
LARGE, MEDIUM, SMALL = 22, 18, 16
TICK_DISTANCE = 24
"""Least distance in pixels between the numbers at a colour bar."""


class Column(Protocol):
    """What is to know of a task: a task's record, or the like."""

    @property
    def name(self) -> str: ...

    @property
    def class_names(self) -> Sequence[str]: ...

    @property
    def color_bar_unit(self) -> str | None: ...

    @property
    def colorize(self) -> Callable[..., np.ndarray]: ...


class Canvas:
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
        """Draws a scale of depth, where there is room for its ends."""
        if height < 2 * TICK_DISTANCE:
            return
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

    def legend(
        self, title: str, entries: Sequence[tuple[np.ndarray, str]], y: int, columns: int
    ) -> int:
        """Draws a legend in lines of `columns` entries from y on; returns the y below it."""
        middle = SWATCH / 2
        self.text(MARGIN, y + middle, title.replace("_", " "), MEDIUM)
        for position, (color, name) in enumerate(entries):
            line, column = divmod(position, columns)
            left = MARGIN + LEGEND_TITLE + column * LEGEND_ENTRY
            top = y + line * LEGEND_LINE
            self.swatch(left, top, color)
            self.text(left + SWATCH + 6, top + middle, name, SMALL)
        return y + LEGEND_LINE * -(-len(entries) // columns)

    def pixels(self) -> np.ndarray:
        self._agg.draw()
        return np.asarray(self._agg.buffer_rgba())[..., :3].copy()


def resize_for_print(colors: np.ndarray, width: int, height: int) -> np.ndarray:
    """Colours (H, W, 3) uint8 at another size: square pixels when enlarged, averages when shrunk.

    Enlarging repeats pixels to a whole multiple and averages down from there, so that lines one
    pixel wide keep their width everywhere, which plain nearest neighbour does not give.
    """
    times = max(1, -(-height // colors.shape[0]), -(-width // colors.shape[1]))
    repeated = colors.repeat(times, axis=0).repeat(times, axis=1)
    return cv2.resize(repeated, (width, height), interpolation=cv2.INTER_AREA)


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


def map_size(image_size: tuple[int, int], cell: int = CELL) -> tuple[int, int]:
    """(width, height) at which the maps of an image of (height, width) are drawn."""
    height, width = image_size
    scale = min(cell / width, 2 * cell / height)
    return max(1, round(scale * width)), max(1, round(scale * height))


def common_scale(task: Column, *preferred: Sequence[np.ndarray]) -> ValueRange | None:
    """The scale of the colours of a task's maps; None where it has no scale.

    Args:
      task: its record.
      *preferred: maps, of which the first ones in which anything is known decide.
    """
    if task.color_bar_unit is None:
        return None
    for maps in preferred:
        ranges = [known for known in map(depth_range, maps) if known]
        if ranges:
            lows, highs = zip(*ranges, strict=True)
            return min(lows), max(highs)
    return None
