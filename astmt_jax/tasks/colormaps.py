"""Colours for every kind of map.

All `colorize_*` functions share one signature, `(values, value_range=None) -> uint8 (H, W, 3)`, and
take predictions and labels alike. Single-channel maps are (H, W) or (H, W, 1). `value_range` =
(low, high) gives the ends of the colour scale where the map has one (depth); the others ignore it.
Pixels whose label is 255 (ignore) are cream, PASCAL VOC's colour of 'void', unless stated.
"""

from collections.abc import Callable, Mapping

import matplotlib
import numpy as np
from matplotlib.colors import LogNorm

from astmt_jax.labels import IGNORE

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
