"""Random flip, rotation and zoom of an image together with all of its labels.

Flip, rotation, zoom and the resize to the network's input are composed into **one** warp, so every
map is interpolated once. Positions are measured from pixel edges: pixel i covers [i, i + 1), its
centre is i + 0.5, and rotation and zoom fix the point (width / 2, height / 2), the true centre of
the frame (the reference implementation's fixed point is half a pixel away from it).

An example is a dict of NumPy arrays, `image` uint8 (H, W, 3) and labels (H, W, c), and stays one:
how a label moves depends on its geometry,

- `label`: class or binary map; nearest neighbour; 0 outside the frame;
- `foreground`: a `label` that says nothing where it is background everywhere, such as the parts of
  people in a picture without any;
- `linear`: values per channel, `IGNORE` where unknown; bilinear; `IGNORE` outside the frame;
- `depth`: metres, 0 where unknown; bilinear, divided by the zoom (what is enlarged is closer);
- `disparity`: inverse to depth, 0 where unknown; bilinear, multiplied by the zoom;
- `normals`: unit vectors (x right, y down), 0 where unknown; bilinear, then mirrored and rotated
  with the image and brought back to unit length. They may come packed into 8 bits, as most data
  sets store them: uint8 (H, W, 4), v = 255 (n + 1) / 2 and a = 255 where known, 0 elsewhere.

Unknown pixels never bleed into known ones: all but the first two are averages over the known
neighbours only, and the result is unknown where these carry less than half of the weight.

The arithmetic is NumPy and OpenCV rather than TensorFlow operations: the same exact interpolation
takes an eighth of the time, and the global interpreter lock is released while it runs.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import cv2
import numpy as np

from astmt_jax.config import AugmentationConfig
from astmt_jax.labels import IGNORE
from astmt_jax.pipeline.warp import Motion as Motion
from astmt_jax.pipeline.warp import Warp, with_weight

Example = dict[str, np.ndarray]

KNOWN_SHARE = np.float32(0.5)
"""A moved pixel is known if pixels that carry this much of its interpolation weight are."""

SAME_COLORS = np.eye(3, 4)


def draw_motion(augmentation: AugmentationConfig, random: np.random.Generator) -> Motion:
    """A random motion."""
    return Motion(
        flip=augmentation.flip and random.random() < 0.5,
        rotation=random.uniform(-augmentation.rotation, augmentation.rotation),
        zoom=random.uniform(*augmentation.scale),
        depth_scaling=augmentation.depth_scaling,
    )


Sampler = Callable[[Warp], np.ndarray]
"""From a band of the warp to that band's rows of the moved map."""


def _image_sampler(image: np.ndarray, warp: Warp, colors: np.ndarray) -> Sampler:
    """Of uint8 (H, W, 3): float32, 0 outside the frame, then through `colors`."""
    source = warp.averaged(cv2.cvtColor(image, cv2.COLOR_RGB2RGBA).astype(np.float32))

    def sample(band: Warp) -> np.ndarray:
        moved = cv2.cvtColor(band.linear(source), cv2.COLOR_RGBA2RGB)
        return cv2.transform(_scale(moved, band.inside), colors)

    return sample


def _label_sampler(label: np.ndarray, warp: Warp) -> Sampler:
    moved = _moved_label(label, warp)
    return lambda band: moved[band.rows]


def _foreground_sampler(label: np.ndarray, warp: Warp) -> Sampler:
    moved = _mark_empty(_moved_label(label, warp))
    return lambda band: moved[band.rows]


def _moved_label(label: np.ndarray, warp: Warp) -> np.ndarray:
    # A map that is unlabelled everywhere must not gain labels outside the frame.
    return warp.nearest(label, outside=IGNORE if label.min() == IGNORE else 0)


def _linear_sampler(label: np.ndarray, warp: Warp) -> Sampler:
    known = (label[:, :, 0] != IGNORE).astype(np.float32)
    source = warp.averaged(with_weight(_scale(label.copy(), known), known))

    def sample(band: Warp) -> np.ndarray:
        total = band.linear(source)
        weight = cv2.extractChannel(total, 3) * band.inside
        enough = weight >= KNOWN_SHARE
        mean = _scale(cv2.cvtColor(total, cv2.COLOR_RGBA2RGB), enough / np.maximum(weight, 1e-6))
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
    factor = np.float32(factor)

    def sample(band: Warp) -> np.ndarray:
        weight = band.linear(weights) * band.inside
        mean = band.linear(values) / np.maximum(weight, KNOWN_SHARE)
        return _ignore_values(factor * mean, weight >= KNOWN_SHARE)

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
        return _ignore(_scale(total, known / np.maximum(norm, np.float32(1e-6))), ~known)

    return sample


def centered(packed: np.ndarray) -> np.ndarray:
    """Packed normals to float32 (v - 127.5, a), all 0 where unknown."""
    known = cv2.extractChannel(packed, 3)
    return cv2.subtract(packed, (127.5, 127.5, 127.5, 0), mask=known, dtype=cv2.CV_32F)


def _unknown(label: np.ndarray) -> np.ndarray:
    """Bool (H, W): where a map (H, W, 1 or 3) is 0 in all channels."""
    return cv2.inRange(label, (0,) * label.shape[2], (0,) * label.shape[2]) != 0


def _spread(values: np.ndarray) -> np.ndarray:
    """(H, W) to float32 (H, W, 3)."""
    return cv2.cvtColor(values.astype(np.float32, copy=False), cv2.COLOR_GRAY2RGB)


def _scale(vectors: np.ndarray, factor: np.ndarray) -> np.ndarray:
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
    "foreground": Geometry(_foreground_sampler, _mark_empty),
    "linear": Geometry(_linear_sampler, _mark_nothing),
    "depth": Geometry(_depth_sampler, _mark_zero),
    "disparity": Geometry(_disparity_sampler, _mark_zero),
    "normals": Geometry(_normals_sampler, _mark_zero_vector),
}

INTEGER_GEOMETRIES = ("label", "foreground")
"""Geometries of uint8 maps (H, W, 1); all others are of float32 maps with the task's channels."""


def move(
    example: Example,
    geometries: Mapping[str, str],
    size: int,
    motion: Motion,
    colors: np.ndarray = SAME_COLORS,
) -> Example:
    """Moves an image and its labels, and resizes them to size x size ignoring the aspect ratio.

    Args:
      example: `image` uint8 (H, W, 3) and a map (H, W, c) for each label of `geometries`: uint8
        with c = 1 for class and binary maps, float32 with c = 1 or 3 for values (or packed
        normals).
      geometries: label name to key of `GEOMETRIES`; other entries of the example are left out.
      size: side of the square output in pixels.
      motion: what to do.
      colors: (3, 4) affine map of RGB through which the moved image goes.

    Returns:
      `image` float32 (size, size, 3) in 0..255, 0 outside the frame, mapped by `colors`; and the
      labels as training sees them: in the form and dtype they came in (normals unpacked), `IGNORE`
      wherever `mark_ignored` would put it. TensorFlow takes the arrays without copying them.
    """
    warp = Warp(example["image"].shape[:2], size, motion)
    samplers = {"image": _image_sampler(example["image"], warp, colors)}
    for name, geometry in geometries.items():
        samplers[name] = GEOMETRIES[geometry].sampler(example[name], warp)
    bands = warp.bands()
    return {name: _assembled(sample, bands, size) for name, sample in samplers.items()}


def _assembled(sample: Sampler, bands: Sequence[Warp], size: int) -> np.ndarray:
    """All rows (size, size, c)."""
    moved = None
    for band in bands:
        rows = np.atleast_3d(sample(band))
        if moved is None:
            moved = _aligned_empty((size, size, rows.shape[2]), rows.dtype)
        moved[band.rows] = rows
    return moved


def _aligned_empty(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """Uninitialised array that begins where TensorFlow wants tensors to: others it copies."""
    size, alignment = dtype.itemsize * math.prod(shape), 64
    memory = np.empty(size + alignment, np.uint8)
    start = -memory.ctypes.data % alignment
    return memory[start : start + size].view(dtype).reshape(shape)


def _resize_linear(image: np.ndarray, size: int) -> np.ndarray:
    return move({"image": image}, {}, size, Motion())["image"]


def _resize_cubic(image: np.ndarray, size: int) -> np.ndarray:
    return cv2.resize(image.astype(np.float32), (size, size), interpolation=cv2.INTER_CUBIC)


RESIZES = {"linear": _resize_linear, "cubic": _resize_cubic}
"""How images to predict are resized: bilinear, as training does, or cubic (a = -0.75, as OpenCV has
it) without a low-pass filter, as the reference implementation does: for its checkpoints."""


def resize_image(image: np.ndarray, size: int, resize: str = "linear") -> np.ndarray:
    """Resizes uint8 (H, W, 3) to float32 (size, size, 3) in 0..255 (cubic: slightly beyond).

    Args:
      image: any picture.
      size: side of the square output in pixels; the aspect ratio is ignored.
      resize: key of `RESIZES`.
    """
    return RESIZES[resize](image, size)


def mark_ignored(labels: Example, geometries: Mapping[str, str]) -> Example:
    """Gives `IGNORE` to whatever no loss and no metric may count.

    These are unknown depth and normals (all channels), and the whole of an empty `foreground` map.
    A known value that happens to be `IGNORE` (255.0 is a legal disparity) moves by the smallest
    possible step. Returns maps of the same shapes and dtypes; those that need no mark are the same
    arrays.
    """
    return {name: GEOMETRIES[geometry].mark(labels[name]) for name, geometry in geometries.items()}
