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
  with the image and brought back to unit length.

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

Example = dict[str, np.ndarray]

KNOWN_SHARE = np.float32(0.5)
"""A moved pixel is known if pixels that carry this much of its interpolation weight are."""


@dataclasses.dataclass(frozen=True)
class Motion:
    """How one image is moved: first mirrored, then rotated and zoomed about its centre.

    Attributes:
      flip: mirror left and right.
      rotation: degrees, counter-clockwise on the screen.
      zoom: magnification; 2 makes everything twice as large.
      depth_scaling: divide depth by the zoom, and multiply disparity by it.
    """

    flip: bool = False
    rotation: float = 0.0
    zoom: float = 1.0
    depth_scaling: bool = True

    @property
    def orientation(self) -> np.ndarray:
        """Float64 (2, 2): what mirroring and rotation make of a vector (x right, y down)."""
        angle = np.deg2rad(self.rotation)
        cos, sin = np.cos(angle), np.sin(angle)
        mirror = np.diag([-1.0 if self.flip else 1.0, 1.0])
        return np.array([[cos, sin], [-sin, cos]]) @ mirror


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


class Warp:
    """Samples maps of one shape where a motion and a resize to size x size put the output pixels.

    Where the image shrinks to half or less, bilinear interpolation would skip pixels: `linear`
    then first averages over blocks of pixels (per axis, as many as fit into an output pixel).

    Attributes:
      motion: what moves the image.
      inside: uint8 (size, size), 1 where an output pixel comes from inside the frame, 0 elsewhere.
    """

    def __init__(self, shape: tuple[int, int], size: int, motion: Motion):
        """Args: shape: (height, width) of the maps; size: side of the square output."""
        height, width = shape
        self.motion = motion
        self._shape = shape
        inverse = motion.orientation.T / motion.zoom
        # Output pixel centres in source pixels, relative to the centre of the frame.
        x = ((np.arange(size) + 0.5) / size - 0.5) * width
        y = ((np.arange(size) + 0.5) / size - 0.5) * height
        self._columns = (inverse[0, 0] * x + width / 2, inverse[0, 1] * y)
        self._rows = (inverse[1, 0] * x + height / 2, inverse[1, 1] * y)
        self._blocks = tuple(
            length // max(1, int(length / (size * motion.zoom))) for length in shape
        )
        self._pixel_grid = self._grid(shape)
        self._block_grid = self._pixel_grid if self._blocks == shape else self._grid(self._blocks)
        self.inside = self.nearest(np.ones(shape, np.uint8))

    def _grid(self, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
        """Sampling positions as indices (pixel centres at integers) into a map of this shape."""
        axes = []
        for (along_x, along_y), length, cells in zip(
            (self._rows, self._columns), self._shape, shape, strict=True
        ):
            along_x = (along_x * (cells / length) - 0.5).astype(np.float32)
            along_y = (along_y * (cells / length)).astype(np.float32)
            axes.append(along_x[None, :] + along_y[:, None])
        return axes[1], axes[0]

    def nearest(self, label: np.ndarray, outside: int = 0) -> np.ndarray:
        """Samples the nearest pixel of a uint8 map (H, W[, 1]); returns uint8 (size, size)."""
        return cv2.remap(
            label,
            *self._pixel_grid,
            cv2.INTER_NEAREST,
            borderMode=cv2.BORDER_CONSTANT,
            borderValue=outside,
        )

    def linear(self, values: np.ndarray) -> np.ndarray:
        """Samples bilinearly: float32 (H, W[, 1]) to (size, size), (H, W, 3) to (size, size, 3).

        Positions beyond the outermost pixel centres take the values of the outermost pixels.
        """
        if self._blocks != self._shape:
            values = cv2.resize(values, self._blocks[::-1], interpolation=cv2.INTER_AREA)
        return cv2.remap(
            values, *self._block_grid, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )

    def weight(self, known: np.ndarray) -> np.ndarray:
        """Share of known pixels (bool (H, W)) in what `linear` returns: float32 (size, size)."""
        return self.linear(known.astype(np.float32)) * self.inside


def _move_label(label: np.ndarray, warp: Warp) -> np.ndarray:
    # A map that is unlabelled everywhere must not gain labels outside the frame.
    return warp.nearest(label, outside=IGNORE if label.min() == IGNORE else 0)


def _move_linear(label: np.ndarray, warp: Warp) -> np.ndarray:
    known = _not_marked(label)
    weight = warp.weight(known)
    total = warp.linear(cv2.copyTo(label, known.view(np.uint8)))
    divisor = np.maximum(weight, KNOWN_SHARE)
    mean = cv2.divide(total, cv2.merge([divisor] * label.shape[-1]))
    return _keep(mean, weight >= KNOWN_SHARE, IGNORE)


def _move_depth(label: np.ndarray, warp: Warp) -> np.ndarray:
    return _move_known(label, warp) / np.float32(_depth_scale(warp.motion))


def _move_disparity(label: np.ndarray, warp: Warp) -> np.ndarray:
    return _move_known(label, warp) * np.float32(_depth_scale(warp.motion))


def _depth_scale(motion: Motion) -> float:
    return motion.zoom if motion.depth_scaling else 1.0


def _move_known(label: np.ndarray, warp: Warp) -> np.ndarray:
    """Averages of what is not 0, (size, size)."""
    weight = warp.weight(_not_zero(label))
    mean = warp.linear(label) / np.maximum(weight, KNOWN_SHARE)
    return mean * (weight >= KNOWN_SHARE)


def _move_normals(label: np.ndarray, warp: Warp) -> np.ndarray:
    orientation = np.eye(3)
    orientation[:2, :2] = warp.motion.orientation
    total = cv2.transform(warp.linear(label), orientation)
    norm = np.sqrt(_squared_norm(total))
    # Opposite vectors cancel out; what remains of them has no direction.
    known = (warp.weight(_not_zero(label)) >= KNOWN_SHARE) & (norm > 1e-6)
    factor = known / np.maximum(norm, np.float32(1e-6))
    return cv2.multiply(total, cv2.merge([factor] * 3))


def _squared_norm(vectors: np.ndarray) -> np.ndarray:
    """Float32 (H, W, 3) to (H, W)."""
    return cv2.transform(cv2.multiply(vectors, vectors), np.ones((1, 3)))


def _not_zero(label: np.ndarray) -> np.ndarray:
    """Bool (H, W): where a map (H, W, 1 or 3) has a value other than 0."""
    return (label[:, :, 0] if label.shape[-1] == 1 else _squared_norm(label)) != 0


def _not_marked(label: np.ndarray) -> np.ndarray:
    """Bool (H, W): where a map (H, W, c) is not marked as ignored."""
    return label[:, :, 0] != IGNORE


def _not_marked_nor_empty(label: np.ndarray) -> np.ndarray:
    """The same, and False everywhere if the map is background everywhere."""
    return _not_marked(label) if label.any() else np.zeros(label.shape[:2], bool)


def _keep(label: np.ndarray, known: np.ndarray, otherwise: int) -> np.ndarray:
    return cv2.copyTo(label, known.view(np.uint8), np.full_like(label, otherwise))


class Geometry(NamedTuple):
    """How a label moves, and where (bool (H, W)) it is known."""

    move: Callable[[np.ndarray, Warp], np.ndarray]
    known: Callable[[np.ndarray], np.ndarray]


GEOMETRIES = {
    "label": Geometry(_move_label, _not_marked),
    "foreground": Geometry(_move_label, _not_marked_nor_empty),
    "linear": Geometry(_move_linear, _not_marked),
    "depth": Geometry(_move_depth, _not_zero),
    "disparity": Geometry(_move_disparity, _not_zero),
    "normals": Geometry(_move_normals, _not_zero),
}


def move(example: Example, geometries: Mapping[str, str], size: int, motion: Motion) -> Example:
    """Moves an image and its labels, and resizes them to size x size ignoring the aspect ratio.

    Args:
      example: `image` uint8 (H, W, 3) and a map (H, W, c) for each label of `geometries`: uint8
        with c = 1 for class and binary maps, float32 with c = 1 or 3 for values.
      geometries: label name to key of `GEOMETRIES`; other entries of the example are left out.
      size: side of the square output in pixels.
      motion: what to do.

    Returns:
      `image` float32 (size, size, 3) in 0..255, 0 outside the frame, and the labels in the form and
      dtype they came in.
    """
    warp = Warp(example["image"].shape[:2], size, motion)
    image = warp.linear(example["image"].astype(np.float32))
    moved = {"image": cv2.copyTo(image, warp.inside)}
    for name, geometry in geometries.items():
        moved[name] = np.atleast_3d(GEOMETRIES[geometry].move(example[name], warp))
    return moved


def resize_image(image: np.ndarray, size: int) -> np.ndarray:
    """Resizes uint8 (H, W, 3) to float32 (size, size, 3) in 0..255, as training does."""
    return move({"image": image}, {}, size, Motion())["image"]


def mark_ignored(labels: Example, geometries: Mapping[str, str]) -> Example:
    """Gives `IGNORE` to whatever no loss and no metric may count.

    These are unknown depth and normals (all channels), and the whole of an empty `foreground` map.
    A known value that happens to be `IGNORE` (255.0 is a legal disparity) moves by the smallest
    possible step. Returns new maps of the same shapes and dtypes.
    """
    marked = {}
    for name, geometry in geometries.items():
        label = labels[name]
        known = GEOMETRIES[geometry].known(label)
        marked[name] = np.atleast_3d(_keep(label, known, IGNORE))
        clash = known & (label[:, :, 0] == IGNORE)
        if clash.any():
            marked[name][clash, 0] = np.nextafter(np.float32(IGNORE), np.float32(np.inf))
    return marked
