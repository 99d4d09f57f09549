"""Colours for every kind of map, and the picture that sets predictions beside the truth.

All `colorize_*` functions share one signature, `(values, value_range=None) -> uint8 (H, W, 3)`, and
take predictions and labels alike. Single-channel maps are (H, W) or (H, W, 1). `value_range` =
(low, high) gives the ends of the colour scale where the map has one (depth); the others ignore it.
Pixels whose label is 255 (ignore) are cream, PASCAL VOC's colour of 'void', unless stated.
"""

import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import cv2
import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image

from astmt_jax.labels import IGNORE

if TYPE_CHECKING:
    from astmt_jax.tasks import Task

ValueRange = tuple[float, float]

INVALID_NORMAL_COLOR = (80, 80, 80)
DEPTH_COLORS = matplotlib.colormaps["viridis"]

# Background and six parts, in the colour-blind-safe colours of Okabe and Ito: upper and lower
# limbs of one kind are neighbours in hue, arms blue and legs green to yellow.
PART_PALETTE = np.array(
    [
        (0, 0, 0),
        (204, 121, 167),
        (213, 94, 0),
        (0, 114, 178),
        (86, 180, 233),
        (0, 158, 115),
        (240, 228, 66),
    ],
    np.uint8,
)


def voc_palette() -> np.ndarray:
    """PASCAL VOC's colours of the class ids 0..255, uint8 (256, 3); 255 is its void.

    Bits 0, 1, 2 of an id are the highest bits of red, green, blue; bits 3, 4, 5 are the next ones,
    bits 6, 7 those below.
    """
    ids = np.arange(256)
    palette = np.zeros((256, 3), int)
    for level in range(3):
        for channel in range(3):
            palette[:, channel] |= (ids >> (3 * level + channel) & 1) << (7 - level)
    return palette.astype(np.uint8)


VOC_PALETTE = voc_palette()
VOID_COLOR = VOC_PALETTE[IGNORE]


def _plane(values: np.ndarray) -> np.ndarray:
    """A single-channel map as (H, W)."""
    values = np.asarray(values)
    if values.ndim == 3 and values.shape[-1] == 1:
        values = values[..., 0]
    if values.ndim != 2:
        raise ValueError(f"a map of shape {values.shape} was given, (H, W) or (H, W, 1) is needed")
    return values


def _vectors(values: np.ndarray) -> np.ndarray:
    """A three-channel map as float32 (H, W, 3)."""
    values = np.asarray(values, np.float32)
    if values.ndim != 3 or values.shape[-1] != 3:
        raise ValueError(f"a map of shape {values.shape} was given, (H, W, 3) is needed")
    return values


def _to_bytes(unit: np.ndarray) -> np.ndarray:
    """Values in 0..1 (others are clipped) to the nearest of 256 levels."""
    return np.rint(255 * np.clip(unit, 0, 1)).astype(np.uint8)


def _grey(values: np.ndarray, invert: bool) -> np.ndarray:
    values = _plane(values).astype(np.float32)
    levels = _to_bytes(1 - values if invert else values)
    return np.where((values == IGNORE)[..., None], VOID_COLOR, levels[..., None])


def colorize_edges(values: np.ndarray, value_range: ValueRange | None = None) -> np.ndarray:
    """Edge labels or probabilities in 0..1: dark lines on white."""
    return _grey(values, invert=True)


def colorize_saliency(values: np.ndarray, value_range: ValueRange | None = None) -> np.ndarray:
    """Saliency labels or probabilities in 0..1: the salient object white on black."""
    return _grey(values, invert=False)


def colorize_classes(values: np.ndarray, value_range: ValueRange | None = None) -> np.ndarray:
    """Class ids 0..255 in PASCAL VOC's palette."""
    return VOC_PALETTE[_plane(values)]


def colorize_parts(values: np.ndarray, value_range: ValueRange | None = None) -> np.ndarray:
    """Human part ids 0 (background) to 6; ValueError for others except 255."""
    values = _plane(values)
    unknown = (values >= len(PART_PALETTE)) & (values != IGNORE)
    if unknown.any():
        raise ValueError(f"human part {values[unknown][0]} is unknown, parts are 0..6, or 255")
    palette = np.tile(VOID_COLOR, (256, 1))
    palette[: len(PART_PALETTE)] = PART_PALETTE
    return palette[values]


def colorize_normals(values: np.ndarray, value_range: ValueRange | None = None) -> np.ndarray:
    """Unit vectors (H, W, 3): x, y, z from -1..1 to red, green, blue; invalid (0 or 255) grey."""
    values = _vectors(values)
    invalid = (values == 0).all(-1) | (values == IGNORE).all(-1)
    colors = _to_bytes((values + 1) / 2)
    colors[invalid] = INVALID_NORMAL_COLOR
    return colors


def _valid_depth(values: np.ndarray) -> np.ndarray:
    return np.isfinite(values) & (values != 0) & (values != IGNORE)


def depth_range(depth: np.ndarray) -> ValueRange | None:
    """(smallest, largest) valid depth of a map in metres; None when no pixel is valid."""
    depth = _plane(depth)
    valid = depth[_valid_depth(depth) & (depth > 0)]
    return (float(valid.min()), float(valid.max())) if valid.size else None


def depth_scale(value_range: ValueRange) -> LogNorm:
    """Logarithmic scale, so that near things keep their contrast when the ground runs far away."""
    low, high = value_range
    return LogNorm(low, max(high, 1.01 * low), clip=True)


def colorize_depth(values: np.ndarray, value_range: ValueRange | None = None) -> np.ndarray:
    """Depth in metres on a perceptually uniform colour map, near dark and far bright.

    Args:
      values: float (H, W[, 1]); 0, 255 and non-finite values are invalid and shown in black.
      value_range: (nearest, farthest) in metres, values beyond are clipped; of this map if None.

    Returns:
      uint8 (H, W, 3).
    """
    values = _plane(values).astype(np.float32)
    valid = _valid_depth(values)
    scale = depth_scale(value_range or depth_range(values) or (1.0, 10.0))
    levels = np.asarray(scale(np.where(valid, values, scale.vmin))) * DEPTH_COLORS.N
    palette = _to_bytes(DEPTH_COLORS(np.arange(DEPTH_COLORS.N))[:, :3])
    # By a table of bytes: matplotlib's floats would take 32 bytes a pixel.
    colors = palette[np.minimum(levels, DEPTH_COLORS.N - 1).astype(np.uint8)]
    colors[~valid] = 0
    return colors


def colorize_disparity(values: np.ndarray, value_range: ValueRange | None = None) -> np.ndarray:
    """Disparity on the colours of depth, far dark and near bright; invalid (0 or 255) black."""
    return colorize_depth(values, value_range)


def colorize_albedo(values: np.ndarray, value_range: ValueRange | None = None) -> np.ndarray:
    """Reflectance (H, W, 3) in 0..1 as it is."""
    values = _vectors(values)
    colors = _to_bytes(values)
    colors[(values == IGNORE).all(-1)] = VOID_COLOR
    return colors


COLOR_BAR_UNITS: Mapping[Callable[..., np.ndarray], str] = {
    colorize_depth: "m",
    colorize_disparity: "",
}
"""Colours with a scale of values, which a picture explains by a colour bar in this unit."""

KINDS = ("predictions", "truths")
"""What a row of `panels` has maps of, from the upper line to the lower."""

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
        style = {"facecolor": color / 255, "edgecolor": "0.5", "linewidth": 0.5}
        self._figure.add_artist(Rectangle(box, SWATCH, SWATCH, transform=None, **style))

    def color_bar(self, x: int, y: int, height: int, scale: LogNorm, unit: str) -> None:
        width = self._figure.bbox.width
        box = (x / width, 1 - (y + height) / self._height, 10 / width, height / self._height)
        axes = self._figure.add_axes(box)
        bar = self._figure.colorbar(ScalarMappable(scale, DEPTH_COLORS), cax=axes)
        ticks = np.geomspace(scale.vmin, scale.vmax, min(5, height // TICK_DISTANCE))
        bar.set_ticks(ticks, labels=[f"{tick:.1f} {unit}" for tick in ticks], fontsize=SMALL)
        bar.ax.minorticks_off()
        lowest, *_, highest = bar.ax.get_yticklabels()
        lowest.set_va("bottom")
        highest.set_va("top")
        bar.outline.set_visible(False)

    def pixels(self) -> np.ndarray:
        self._agg.draw()
        return np.asarray(self._agg.buffer_rgba())[..., :3].copy()


def panels(
    rows: Sequence[Mapping[str, Any]],
    tasks: Sequence["Task"],
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
      tasks: records of the columns, in order; `name`, `class_names` and `colorize` are used.
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
        Image.fromarray(picture).save(path, format="PNG")
    return picture


def map_size(image_size: tuple[int, int], cell: int = CELL) -> tuple[int, int]:
    """(width, height) at which `panels` draws the maps of an image of (height, width)."""
    height, width = image_size
    scale = min(cell / width, 2 * cell / height)
    return max(1, round(scale * width)), max(1, round(scale * height))


def _stacked(length: int, count: int) -> int:
    """Length of `count` maps with gaps between them."""
    return count * length + (count - 1) * GAP


def _check_rows(
    rows: Sequence[Mapping[str, Any]], tasks: Sequence["Task"], kinds: Sequence[str]
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


def _columns(tasks: Sequence["Task"], cell: int, lines: int) -> tuple[list[int], int]:
    """Left end of every task's column, and the width of the picture."""
    x = MARGIN + _stacked(cell, lines) + SIDE_LABEL
    columns = []
    for task in tasks:
        columns.append(x)
        x += cell + GAP + COLOR_BAR * (task.colorize in COLOR_BAR_UNITS)
    return columns, x - GAP + MARGIN


def _draw_row(
    canvas: _Canvas,
    row: Mapping[str, Any],
    tasks: Sequence["Task"],
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
    for top, label in zip(tops, lines, strict=True):
        middle = (columns[0] - SIDE_LABEL / 2, top + height / 2)
        canvas.text(*middle, label, MEDIUM, rotation=90, ha="center")
    for task, x in zip(tasks, columns, strict=True):
        maps = [row[kind][task.name] for kind in KINDS[: len(lines)]]
        unit = COLOR_BAR_UNITS.get(task.colorize)
        ranges = [depth_range(values) for values in reversed(maps)] if unit is not None else []
        value_range = next((known for known in ranges if known), None)
        for top, values in zip(tops, maps, strict=True):
            colors = task.colorize(values, value_range)
            canvas.image(resize_for_print(colors, width, height), x + (cell - width) // 2, top)
        if value_range and whole >= 2 * TICK_DISTANCE:
            canvas.color_bar(x + cell + GAP, y, whole, depth_scale(value_range), unit)


def legend(
    task: "Task", rows: Sequence[Mapping[str, Any]], kinds: Sequence[str]
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
    for place, (color, name) in enumerate(legend):
        line, column = divmod(place, columns)
        left = MARGIN + LEGEND_TITLE + column * LEGEND_ENTRY
        top = y + line * LEGEND_LINE
        canvas.swatch(left, top, color)
        canvas.text(left + SWATCH + 6, top + middle, name, SMALL)
    return y + LEGEND_LINE * -(-len(legend) // columns)
