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

import dataclasses
from collections.abc import Callable, Mapping
from typing import NamedTuple

import cv2
import numpy as np

from astmt_jax.labels import IGNORE
from astmt_jax.warp import Motion as Motion
from astmt_jax.warp import Warp, with_weight

Example = dict[str, np.ndarray]

KNOWN_SHARE = np.float32(0.5)
"""A moved pixel is known if pixels that carry this much of its interpolation weight are."""

UNPACK_NORMALS = np.vstack([np.column_stack([2 * np.eye(3), -np.ones(3)]), [0, 0, 0, 1]]) / 255
"""Packed normals (v, a) to (2v - a, a) / 255: the normal, 0 where unknown, and its weight."""


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """Distribution of motions.

    Attributes:
      flip: mirror every second image.
      rotation: largest angle in degrees, 0..180; uniform in [-rotation, rotation].
      scale: smallest and largest zoom, positive; uniform between them.
      depth_scaling: divide depth by the zoom, and multiply disparity by it (the reference
        implementation does not).

    Raises:
      ValueError: a value is out of its range.
    """

    flip: bool = True
    rotation: float = 20.0
    scale: tuple[float, float] = (0.75, 1.25)
    depth_scaling: bool = True

    def __post_init__(self):
        if not 0 <= self.rotation <= 180:
            raise ValueError(
                f"augmentation.rotation is {self.rotation}; it must be an angle of 0 to 180 degrees"
            )
        if len(self.scale) != 2 or not 0 < self.scale[0] <= self.scale[1] < np.inf:
            raise ValueError(
                f"augmentation.scale is {self.scale}; it must be two positive numbers, smallest"
                " zoom first"
            )

    def draw(self, random: np.random.Generator) -> Motion:
        """Returns a random motion."""
        return Motion(
            flip=self.flip and random.random() < 0.5,
            rotation=random.uniform(-self.rotation, self.rotation),
            zoom=random.uniform(*self.scale),
            depth_scaling=self.depth_scaling,
        )


def _move_image(image: np.ndarray, warp: Warp) -> np.ndarray:
    """Uint8 (H, W, 3) to float32 (size, size, 3), 0 outside the frame."""
    moved = warp.linear(cv2.cvtColor(image, cv2.COLOR_RGB2RGBA).astype(np.float32))
    return _scale(cv2.cvtColor(moved, cv2.COLOR_RGBA2RGB), warp.inside)


def _move_label(label: np.ndarray, warp: Warp) -> np.ndarray:
    # A map that is unlabelled everywhere must not gain labels outside the frame.
    return warp.nearest(label, outside=IGNORE if label.min() == IGNORE else 0)


def _move_linear(label: np.ndarray, warp: Warp) -> np.ndarray:
    known = (label[:, :, 0] != IGNORE).astype(np.float32)
    total = warp.linear(with_weight(_scale(label.copy(), known), known))
    weight = cv2.extractChannel(total, 3) * warp.inside
    enough = weight >= KNOWN_SHARE
    mean = _scale(cv2.cvtColor(total, cv2.COLOR_RGBA2RGB), enough / np.maximum(weight, 1e-6))
    return mean + _spread(np.float32(IGNORE) * ~enough)


def _move_depth(label: np.ndarray, warp: Warp) -> np.ndarray:
    return _move_known(label, warp) / np.float32(_depth_scale(warp.motion))


def _move_disparity(label: np.ndarray, warp: Warp) -> np.ndarray:
    return _move_known(label, warp) * np.float32(_depth_scale(warp.motion))


def _depth_scale(motion: Motion) -> float:
    return motion.zoom if motion.depth_scaling else 1.0


def _move_known(label: np.ndarray, warp: Warp) -> np.ndarray:
    """Averages of what is not 0, (size, size)."""
    weight = warp.linear(_known(label)) * warp.inside
    mean = warp.linear(label) / np.maximum(weight, KNOWN_SHARE)
    return mean * (weight >= KNOWN_SHARE)


def _move_normals(label: np.ndarray, warp: Warp) -> np.ndarray:
    orientation = np.eye(4)
    orientation[:2, :2] = warp.motion.orientation
    # Unpacking is linear, so that it can wait until the few operations behind the warp.
    packed = label.dtype == np.uint8
    moved = warp.linear(label.astype(np.float32) if packed else with_weight(label, _known(label)))
    matrix = orientation @ UNPACK_NORMALS if packed else orientation
    moved = cv2.transform(moved, matrix, dst=moved)
    weight = cv2.extractChannel(moved, 3) * warp.inside
    total = cv2.cvtColor(moved, cv2.COLOR_RGBA2RGB)
    norm = np.sqrt(cv2.transform(cv2.multiply(total, total), np.ones((1, 3))))
    # Opposite vectors cancel out; what remains of them has no direction.
    known = (weight >= KNOWN_SHARE) & (norm > 1e-6)
    return _scale(total, known / np.maximum(norm, np.float32(1e-6)))


def _unknown(label: np.ndarray) -> np.ndarray:
    """Float32 (H, W): 1 where a map (H, W, 1 or 3) is 0 in all channels, else 0."""
    return cv2.inRange(label, (0,) * label.shape[2], (0,) * label.shape[2]) * np.float32(1 / 255)


def _known(label: np.ndarray) -> np.ndarray:
    return 1 - _unknown(label)


def _spread(values: np.ndarray) -> np.ndarray:
    """(H, W) to (H, W, 3)."""
    return cv2.merge([values] * 3)


def _scale(vectors: np.ndarray, factor: np.ndarray) -> np.ndarray:
    """Float32 (H, W, 3) times (H, W), in place: fresh memory would cost more than the product."""
    return cv2.multiply(vectors, _spread(factor.astype(np.float32, copy=False)), dst=vectors)


def _mark_nothing(label: np.ndarray) -> np.ndarray:
    return label


def _mark_empty(label: np.ndarray) -> np.ndarray:
    return label if label.any() else np.full_like(label, IGNORE)


def _mark_zero(label: np.ndarray) -> np.ndarray:
    """`IGNORE` for 0; a known value that happens to be `IGNORE` moves by the smallest step."""
    marked = np.atleast_3d(cv2.add(label, np.float32(IGNORE) * _unknown(label)))
    marked[label == IGNORE] = np.nextafter(np.float32(IGNORE), np.float32(np.inf))
    return marked


def _mark_zero_vector(label: np.ndarray) -> np.ndarray:
    unknown = cv2.inRange(label, (0, 0, 0), (0, 0, 0))
    return cv2.add(label, (IGNORE, IGNORE, IGNORE, 0), dst=label.copy(), mask=unknown)


class Geometry(NamedTuple):
    """How a label moves, and how what is unknown in it gets `IGNORE`."""

    move: Callable[[np.ndarray, Warp], np.ndarray]
    mark: Callable[[np.ndarray], np.ndarray]


GEOMETRIES = {
    "label": Geometry(_move_label, _mark_nothing),
    "foreground": Geometry(_move_label, _mark_empty),
    "linear": Geometry(_move_linear, _mark_nothing),
    "depth": Geometry(_move_depth, _mark_zero),
    "disparity": Geometry(_move_disparity, _mark_zero),
    "normals": Geometry(_move_normals, _mark_zero_vector),
}

INTEGER_GEOMETRIES = ("label", "foreground")
"""Geometries of uint8 maps (H, W, 1); all others are of float32 maps with the task's channels."""


def move(example: Example, geometries: Mapping[str, str], size: int, motion: Motion) -> Example:
    """Moves an image and its labels, and resizes them to size x size ignoring the aspect ratio.

    Args:
      example: `image` uint8 (H, W, 3) and a map (H, W, c) for each label of `geometries`: uint8
        with c = 1 for class and binary maps, float32 with c = 1 or 3 for values (or packed
        normals).
      geometries: label name to key of `GEOMETRIES`; other entries of the example are left out.
      size: side of the square output in pixels.
      motion: what to do.

    Returns:
      `image` float32 (size, size, 3) in 0..255, 0 outside the frame, and the labels in the form and
      dtype they came in (normals unpacked).
    """
    warp = Warp(example["image"].shape[:2], size, motion)
    moved = {"image": _move_image(example["image"], warp)}
    for name, geometry in geometries.items():
        moved[name] = np.atleast_3d(GEOMETRIES[geometry].move(example[name], warp))
    return moved


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
