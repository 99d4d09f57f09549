"""Random changes of a training image together with all of its labels.

Flip, rotation, zoom and the resize to the network's input are composed into **one** warp, so every
map is interpolated once. Positions are measured from pixel edges: pixel i covers [i, i + 1), its
centre is i + 0.5, and rotation and zoom fix the point (width / 2, height / 2), the true centre of
the frame (the reference implementation's fixed point is half a pixel away from it).

An example is a dict of NumPy arrays, `image` uint8 (H, W, 3) and labels (H, W, c), and stays one.
How a label moves depends on its geometry, see `geometries`; colours change after the motion.

The arithmetic is NumPy and OpenCV rather than TensorFlow operations: the same exact interpolation
takes an eighth of the time, and the global interpreter lock is released while it runs.
"""

import functools
import math
from collections.abc import Callable, Mapping, Sequence

import cv2
import numpy as np

from astmt_jax.config import NORMALIZATIONS, AugmentationConfig
from astmt_jax.pipeline.geometries import GEOMETRIES, Sampler, scale
from astmt_jax.pipeline.warp import Motion, Warp

Example = dict[str, np.ndarray]

ColorStep = Callable[[np.ndarray], np.ndarray]
"""From some rows of a moved image, float32 (h, w, 3), to the same rows in other colours."""


def augmented(
    example: Example,
    geometries: Mapping[str, str],
    size: int,
    normalize: str,
    augmentation: AugmentationConfig,
    random: np.random.Generator,
) -> Example:
    """An example as training sees it once: moved and coloured at random.

    Args:
      example: as in `move`.
      geometries: as in `move`.
      size: side of the square output in pixels.
      normalize: key of `NORMALIZATIONS`.
      augmentation: distribution of the changes.
      random: what they are drawn with.

    Returns:
      As in `move`, the image normalised.
    """
    motion = draw_motion(augmentation, random)
    # A colour augmentation is one more entry before the last, for images in 0..255; what it draws
    # comes after the motion, which then stays what the seed says.
    colors = [normalization(normalize)]
    return move(example, geometries, size, motion, colors)


def draw_motion(augmentation: AugmentationConfig, random: np.random.Generator) -> Motion:
    """A random motion."""
    return Motion(
        flip=augmentation.flip and random.random() < 0.5,
        rotation=random.uniform(-augmentation.rotation, augmentation.rotation),
        zoom=random.uniform(*augmentation.scale),
        depth_scaling=augmentation.depth_scaling,
    )


@functools.cache
def normalization(normalize: str) -> ColorStep:
    """Scales images in 0..255 as a key of `NORMALIZATIONS` says."""
    mean, deviation = NORMALIZATIONS[normalize]
    return functools.partial(
        cv2.transform, m=np.column_stack([np.diag(1 / deviation), -mean / deviation])
    )


def move(
    example: Example,
    geometries: Mapping[str, str],
    size: int,
    motion: Motion,
    colors: Sequence[ColorStep] = (),
) -> Example:
    """Moves an image and its labels, and resizes them to size x size ignoring the aspect ratio.

    Args:
      example: `image` uint8 (H, W, 3) and a map (H, W, c) for each label of `geometries`: uint8
        with c = 1 for class and binary maps, float32 with c = 1 or 3 for values (or packed
        normals).
      geometries: label name to key of `GEOMETRIES`; other entries of the example are left out.
      size: side of the square output in pixels.
      motion: what to do.
      colors: what is done to the moved image, one after the other.

    Returns:
      `image` float32 (size, size, 3) in 0..255, 0 outside the frame, then changed by
      `colors`; and the labels as training sees them: in the form and dtype they came in (normals
      unpacked), `IGNORE` wherever `mark_ignored` would put it. TensorFlow takes the arrays without
      copying them.
    """
    warp = Warp(example["image"].shape[:2], size, motion)
    samplers = {"image": _image_sampler(example["image"], warp, colors)}
    for name, geometry in geometries.items():
        samplers[name] = GEOMETRIES[geometry].sampler(example[name], warp)
    bands = warp.bands()
    return {name: _assembled(sample, bands, size) for name, sample in samplers.items()}


def _image_sampler(image: np.ndarray, warp: Warp, colors: Sequence[ColorStep]) -> Sampler:
    """Of uint8 (H, W, 3): float32, 0 outside the frame, then through `colors`."""
    source = warp.averaged(cv2.cvtColor(image, cv2.COLOR_RGB2RGBA).astype(np.float32))

    def sample(band: Warp) -> np.ndarray:
        moved = cv2.cvtColor(band.linear(source), cv2.COLOR_RGBA2RGB)
        rows = scale(moved, band.inside)
        for step in colors:
            rows = step(rows)
        return rows

    return sample


def _assembled(sample: Sampler, bands: Sequence[Warp], size: int) -> np.ndarray:
    """All rows (size, size, c)."""
    first, *others = bands
    rows = np.atleast_3d(sample(first))
    moved = _aligned_empty((size, size, rows.shape[2]), rows.dtype)
    moved[first.rows] = rows
    for band in others:
        moved[band.rows] = np.atleast_3d(sample(band))
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
