"""How the labels of an image move with it, each according to its geometry.

Maps are NumPy arrays (H, W, c). What moves them depends on the geometry of the label,

- `label`: class or binary map; nearest neighbour; 0 outside the frame;
- `framed`: a `label` of which nothing is known outside the frame: `IGNORE` there;
- `foreground`: a `label` that says nothing where it is background everywhere, such as the parts of
  people in a picture without any;
- `linear`: values per channel, `IGNORE` where unknown; bilinear; `IGNORE` outside the frame;
- `depth`: metres, 0 where unknown; bilinear, divided by the zoom (what is enlarged is closer);
- `disparity`: inverse to depth, 0 where unknown; bilinear, multiplied by the zoom;
- `normals`: unit vectors (x right, y down), 0 where unknown; bilinear, then mirrored and rotated
  with the image and brought back to unit length. They may come packed into 8 bits, as most data
  sets store them: uint8 (H, W, 4), v = 255 (n + 1) / 2 and a = 255 where known, 0 elsewhere.

Unknown pixels never bleed into known ones: all but the first three are averages over the known
neighbours only, and the result is unknown where these carry less than half of the weight.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import cv2
import numpy as np

from astmt_jax.labels import IGNORE
from astmt_jax.pipeline.warp import Motion, Warp, with_weight

KNOWN_SHARE = np.float32(0.5)
"""A moved pixel is known if pixels that carry this much of its interpolation weight are."""

Sampler = Callable[[Warp], np.ndarray]
"""From a band of the warp to that band's rows of the moved map."""


def _label_sampler(label: np.ndarray, warp: Warp) -> Sampler:
    moved = _moved_label(label, warp)
    return lambda band: moved[band.rows]


def _framed_sampler(label: np.ndarray, warp: Warp) -> Sampler:
    moved = warp.nearest(label, outside=IGNORE)
    return lambda band: moved[band.rows]


def _foreground_sampler(label: np.ndarray, warp: Warp) -> Sampler:
    moved = _mark_empty(_moved_label(label, warp))
    return lambda band: moved[band.rows]


def _moved_label(label: np.ndarray, warp: Warp) -> np.ndarray:
    # A map that is unlabelled everywhere must not gain labels outside the frame.
    return warp.nearest(label, outside=IGNORE if label.min() == IGNORE else 0)


def _linear_sampler(label: np.ndarray, warp: Warp) -> Sampler:
    known = (label[:, :, 0] != IGNORE).astype(np.float32)
    source = warp.averaged(with_weight(scale(label.copy(), known), known))

    def sample(band: Warp) -> np.ndarray:
        total = band.linear(source)
        weight = cv2.extractChannel(total, 3) * band.inside
        enough = weight >= KNOWN_SHARE
        mean = scale(cv2.cvtColor(total, cv2.COLOR_RGBA2RGB), enough / np.maximum(weight, 1e-6))
        return _ignore(mean, ~enough)

    return sample


def _depth_sampler(label: np.ndarray, warp: Warp) -> Sampler:
    return _value_sampler(label, warp, 1 / _depth_scale(warp.motion))


def _disparity_sampler(label: np.ndarray, warp: Warp) -> Sampler:
    return _value_sampler(label, warp, _depth_scale(warp.motion))


def _depth_scale(motion: Motion) -> float:
    return motion.zoom if motion.depth_scaling else 1.0


def _value_sampler(label: np.ndarray, warp: Warp, factor: float) -> Sampler:
    """Averages of what is not 0, times `factor`."""
    values, weights = warp.averaged(label), warp.averaged((~_unknown(label)).astype(np.float32))
    times = np.float32(factor)

    def sample(band: Warp) -> np.ndarray:
        weight = band.linear(weights) * band.inside
        mean = band.linear(values) / np.maximum(weight, KNOWN_SHARE)
        return _ignore_values(times * mean, weight >= KNOWN_SHARE)

    return sample


def _normals_sampler(label: np.ndarray, warp: Warp) -> Sampler:
    if label.dtype == np.uint8:
        source, unit, full = centered(label), 127.5, 255
    else:
        source, unit, full = with_weight(label, (~_unknown(label)).astype(np.float32)), 1, 1
    source = warp.averaged(source)
    orientation = np.eye(3) / unit
    orientation[:2, :2] = warp.motion.orientation / unit

    def sample(band: Warp) -> np.ndarray:
        moved = band.linear(source)
        weight = cv2.extractChannel(moved, 3) * band.inside
        total = cv2.transform(cv2.cvtColor(moved, cv2.COLOR_RGBA2RGB), orientation)
        norm = np.sqrt(cv2.transform(cv2.multiply(total, total), np.ones((1, 3))))
        # Opposite vectors cancel out; what remains of them has no direction.
        known = (weight >= KNOWN_SHARE * full) & (norm > 1e-6)
        return _ignore(scale(total, known / np.maximum(norm, np.float32(1e-6))), ~known)

    return sample


def centered(packed: np.ndarray) -> np.ndarray:
    """Packed normals to float32 (v - 127.5, a), all 0 where unknown."""
    known = cv2.extractChannel(packed, 3)
    offset = np.array([127.5, 127.5, 127.5, 0])
    return cv2.subtract(packed, offset, mask=known, dtype=cv2.CV_32F)


def _unknown(label: np.ndarray) -> np.ndarray:
    """Bool (H, W): where a map (H, W, 1 or 3) is 0 in all channels."""
    return cv2.inRange(label, (0,) * label.shape[2], (0,) * label.shape[2]) != 0


def _spread(values: np.ndarray) -> np.ndarray:
    """(H, W) to float32 (H, W, 3)."""
    return cv2.cvtColor(values.astype(np.float32, copy=False), cv2.COLOR_GRAY2RGB)


def scale(vectors: np.ndarray, factor: np.ndarray) -> np.ndarray:
    """Float32 (H, W, 3) times (H, W), in place."""
    return cv2.multiply(vectors, _spread(factor), dst=vectors)


def _ignore(vectors: np.ndarray, unknown: np.ndarray) -> np.ndarray:
    """Float32 (H, W, 3), 0 where `unknown`: `IGNORE` there, in place."""
    return cv2.add(vectors, _spread(unknown * np.float32(IGNORE)), dst=vectors)


def _ignore_values(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    """`IGNORE` where not known; a known value that happens to be `IGNORE` moves by a least step."""
    marked = np.where(known, values, np.float32(IGNORE))
    marked[known & (values == IGNORE)] = np.nextafter(np.float32(IGNORE), np.float32(np.inf))
    return marked


def _mark_nothing(label: np.ndarray) -> np.ndarray:
    return label


def _mark_empty(label: np.ndarray) -> np.ndarray:
    return label if label.any() else np.full_like(label, IGNORE)


def _mark_zero(label: np.ndarray) -> np.ndarray:
    return _ignore_values(label, label != 0)


def _mark_zero_vector(label: np.ndarray) -> np.ndarray:
    return _ignore(label.copy(), _unknown(label))


class Geometry(NamedTuple):
    """How a label moves, and how what is unknown in it gets `IGNORE`.

    Attributes:
      sampler: from the label and the whole warp to the function that samples bands, marked.
      mark: from the label as it is stored to the same, marked.
    """

    sampler: Callable[[np.ndarray, Warp], Sampler]
    mark: Callable[[np.ndarray], np.ndarray]


GEOMETRIES = {
    "label": Geometry(_label_sampler, _mark_nothing),
    "framed": Geometry(_framed_sampler, _mark_nothing),
    "foreground": Geometry(_foreground_sampler, _mark_empty),
    "linear": Geometry(_linear_sampler, _mark_nothing),
    "depth": Geometry(_depth_sampler, _mark_zero),
    "disparity": Geometry(_disparity_sampler, _mark_zero),
    "normals": Geometry(_normals_sampler, _mark_zero_vector),
}

UNKNOWN_IS_ZERO = ("depth", "disparity", "normals")
"""Geometries of maps that are stored as 0 where unknown; all others are `IGNORE` there."""

INTEGER_GEOMETRIES = ("label", "framed", "foreground")
"""Geometries of uint8 maps (H, W, 1); all others are of float32 maps with the task's channels."""


def label_form(geometry: str, channels: int) -> tuple[int, type[np.generic]]:
    """Channels and dtype of the labels of a task that has this geometry and so many channels."""
    return (1, np.uint8) if geometry in INTEGER_GEOMETRIES else (channels, np.float32)


def mark_ignored(
    labels: Mapping[str, np.ndarray], geometries: Mapping[str, str]
) -> dict[str, np.ndarray]:
    """Gives `IGNORE` to whatever no loss and no metric may count.

    These are unknown depth and normals (all channels), and the whole of an empty `foreground` map.
    A known value that happens to be `IGNORE` (255.0 is a legal disparity) moves by the smallest
    possible step. Returns maps of the same shapes and dtypes; those that need no mark are the same
    arrays.
    """
    return {name: GEOMETRIES[geometry].mark(labels[name]) for name, geometry in geometries.items()}
