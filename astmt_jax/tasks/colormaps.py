"""Colours of maps: what several tasks share, and pictures know of.

All `colorize_*` functions, here and in the tasks' modules, share one signature, `(values,
value_range=None) -> uint8 (H, W, 3)`, and take predictions and labels alike. Single-channel maps
are (H, W) or (H, W, 1). `value_range` = (low, high) gives the ends of the colour scale where the
map has one (depth); the others ignore it. Pixels whose label is 255 (ignore) are cream, PASCAL
VOC's colour of 'void', unless stated.
"""

from typing import TYPE_CHECKING

import numpy as np

from astmt_jax.labels import IGNORE

if TYPE_CHECKING:
    from matplotlib.colors import LogNorm  # matplotlib is loaded where a picture is drawn

ValueRange = tuple[float, float]

DEPTH_COLORS = "viridis"
"""One of matplotlib's colour maps, perceptually uniform."""


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


def plane(values: np.ndarray) -> np.ndarray:
    """A single-channel map as (H, W)."""
    values = np.asarray(values)
    if values.ndim == 3 and values.shape[-1] == 1:
        values = values[..., 0]
    if values.ndim != 2:
        raise ValueError(f"a map of shape {values.shape} was given, (H, W) or (H, W, 1) is needed")
    return values


def vectors(values: np.ndarray) -> np.ndarray:
    """A three-channel map as float32 (H, W, 3)."""
    values = np.asarray(values, np.float32)
    if values.ndim != 3 or values.shape[-1] != 3:
        raise ValueError(f"a map of shape {values.shape} was given, (H, W, 3) is needed")
    return values


def to_bytes(unit: np.ndarray) -> np.ndarray:
    """Values in 0..1 (others are clipped) to the nearest of 256 levels."""
    return np.rint(255 * np.clip(unit, 0, 1)).astype(np.uint8)


def grey(values: np.ndarray, invert: bool) -> np.ndarray:
    """Values 0..1 from black to white, or the other way round, as uint8 (H, W, 3)."""
    values = plane(values).astype(np.float32)
    levels = to_bytes(1 - values if invert else values)
    return np.where((values == IGNORE)[..., None], VOID_COLOR, levels[..., None])


def _valid_depth(values: np.ndarray) -> np.ndarray:
    return np.isfinite(values) & (values != 0) & (values != IGNORE)


def depth_range(depth: np.ndarray) -> ValueRange | None:
    """(smallest, largest) valid depth of a map in metres; None when no pixel is valid."""
    depth = plane(depth)
    valid = depth[_valid_depth(depth) & (depth > 0)]
    return (float(valid.min()), float(valid.max())) if valid.size else None


def depth_scale(value_range: ValueRange) -> "LogNorm":
    """Logarithmic scale, so that near things keep their contrast when the ground runs far away."""
    from matplotlib.colors import LogNorm

    return LogNorm(*scale_ends(value_range), clip=True)


def scale_ends(value_range: ValueRange) -> ValueRange:
    """(low, high), far enough apart for a scale between them."""
    low, high = value_range
    return low, max(high, 1.01 * low)


def colorize_depth(values: np.ndarray, value_range: ValueRange | None = None) -> np.ndarray:
    """Depth in metres on a perceptually uniform colour map, near dark and far bright.

    Args:
      values: float (H, W[, 1]); 0, 255 and non-finite values are invalid and shown in black.
      value_range: (nearest, farthest) in metres, values beyond are clipped; of this map if None.

    Returns:
      uint8 (H, W, 3).
    """
    import matplotlib

    colormap = matplotlib.colormaps[DEPTH_COLORS]
    values = plane(values).astype(np.float32)
    valid = _valid_depth(values)
    shown_range = value_range or depth_range(values) or (1.0, 10.0)
    nearest = np.float32(shown_range[0])
    levels = np.asarray(depth_scale(shown_range)(np.where(valid, values, nearest))) * colormap.N
    palette = to_bytes(colormap(np.arange(colormap.N))[:, :3])
    # By a table of bytes: matplotlib's floats would take 32 bytes a pixel.
    colors = palette[np.minimum(levels, colormap.N - 1).astype(np.uint8)]
    colors[~valid] = 0
    return colors
