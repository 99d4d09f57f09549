"""Where flip, rotation, zoom and resize put the pixels of an image, as one affine warp.

Positions are measured from pixel edges: pixel i covers [i, i + 1), its centre is i + 0.5.
"""

import copy
import dataclasses

import cv2
import numpy as np

BAND = 128
"""Output rows that are sampled at once: at 512 x 512, 1 MiB of four channels."""


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


class Warp:
    """Samples maps of one shape where a motion and a resize to size x size put the output pixels.

    Where the image shrinks to half or less, bilinear interpolation would skip pixels: `averaged`
    averages over blocks of pixels first (per axis, as many as fit into an output pixel).

    Attributes:
      motion: what moves the image.
      rows: the output rows that are sampled, a slice; all of them, or those of one of `bands`.
      inside: float32 (rows, size), 1 where an output pixel comes from inside the frame, else 0.
    """

    def __init__(self, shape: tuple[int, int], size: int, motion: Motion):
        """Args: shape: (height, width) of the maps; size: side of the square output."""
        self.motion = motion
        self.rows = slice(0, size)
        self._shape = shape
        self._size = size
        height, width = (length // max(1, int(length / (size * motion.zoom))) for length in shape)
        self._blocks = height, width
        self._pixels_from = self._matrix(shape)
        self._blocks_from = self._matrix(self._blocks)
        self.inside = self.nearest(np.ones(shape, np.uint8)).astype(np.float32)

    def bands(self) -> "list[Warp]":
        """The warp cut into bands of `BAND` rows.

        What is computed from a band's pixels stays in the processor's cache; memory as large as an
        image, fresh for every intermediate result, takes longer than the arithmetic.
        """
        return [self._band(start) for start in range(0, self._size, BAND)]

    def _band(self, start: int) -> "Warp":
        band = copy.copy(self)
        band.rows = slice(start, min(start + BAND, self._size))
        band.inside = self.inside[band.rows]
        down = np.array([[1.0, 0, 0], [0, 1, start], [0, 0, 1]])
        band._pixels_from = self._pixels_from @ down
        band._blocks_from = self._blocks_from @ down
        return band

    def _matrix(self, cells: tuple[int, int]) -> np.ndarray:
        """Float64 (2, 3): output pixel (x, y, 1) to a position in a map of so many cells.

        Both count pixels, whose centres are at integers.
        """
        frame = np.array(self._shape[::-1], float)
        linear = (self.motion.orientation.T / self.motion.zoom) * (frame / self._size)
        # From pixel edges: the output's centre comes from the frame's.
        offset = frame / 2 + linear @ (np.full(2, 0.5) - self._size / 2)
        scale = np.array(cells[::-1]) / frame
        return np.column_stack([linear * scale[:, None], offset * scale - 0.5])

    def nearest(self, label: np.ndarray, outside: int = 0) -> np.ndarray:
        """Samples the nearest pixel of a map (H, W[, 1]); returns (rows, size)."""
        return cv2.warpAffine(
            label,
            self._pixels_from,
            self._output_size(),
            flags=cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_CONSTANT,
            borderValue=outside,
        )

    def averaged(self, values: np.ndarray) -> np.ndarray:
        """What `linear` samples from a float32 map (H, W[, c]): the map, or averages of blocks."""
        if self._blocks == self._shape:
            return values
        return cv2.resize(values, self._blocks[::-1], interpolation=cv2.INTER_AREA)

    def linear(self, averaged: np.ndarray) -> np.ndarray:
        """Samples what `averaged` returned bilinearly, one or four channels; returns rows x size.

        (Three channels would take three times as long as four.) Positions beyond the outermost
        pixel centres take the values of the outermost pixels.
        """
        return cv2.warpAffine(
            averaged,
            self._blocks_from,
            self._output_size(),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )

    def _output_size(self) -> tuple[int, int]:
        return self._size, self.rows.stop - self.rows.start


def with_weight(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Values with the weight that they have in what `Warp.linear` makes of them.

    Args:
      values: float32 (H, W, 3), 0 where unknown.
      known: float32 (H, W), 1 or 0.

    Returns:
      float32 (H, W, 4): the values, then `known`.
    """
    four = cv2.cvtColor(values, cv2.COLOR_RGB2RGBA)
    return cv2.insertChannel(known, four, 3)
