"""How a picture of any size becomes what a network takes."""

import dataclasses
from typing import Self

import cv2
import numpy as np


@dataclasses.dataclass(frozen=True)
class NetworkInput:
    """The size at which the network sees a picture.

    Attributes:
      content: (height, width) that the picture is scaled to.
      padded: the same with the margin at the bottom and on the right that makes both multiples of
        the network's output stride.
    """

    content: tuple[int, int]
    padded: tuple[int, int]

    @classmethod
    def of(cls, image_size: tuple[int, int], size: int, stride: int) -> Self:
        """The size for a picture.

        Args:
          image_size: its (height, width).
          size: to which the longer side is scaled.
          stride: the network's output stride.

        Raises:
          ValueError: `size` is not positive.
        """
        if size < 1:
            raise ValueError(f"size is {size}, but must be at least 1.")
        height, width = (max(1, round(length * size / max(image_size))) for length in image_size)
        return cls((height, width), (-(-height // stride) * stride, -(-width // stride) * stride))

    def scaled(self, picture: np.ndarray) -> np.ndarray:
        """Uint8 (H, W, 3) to float32 `(*padded, 3)` in 0..255.

        Bilinear, after averages over blocks of pixels where the picture shrinks to half or less, as
        in training; the margin repeats the last row and column.
        """
        blocks = tuple(
            length // max(1, length // target)
            for length, target in zip(picture.shape[:2], self.content, strict=True)
        )
        scaled = picture.astype(np.float32)
        if blocks != picture.shape[:2]:
            scaled = cv2.resize(scaled, blocks[::-1], interpolation=cv2.INTER_AREA)
        scaled = cv2.resize(scaled, self.content[::-1], interpolation=cv2.INTER_LINEAR)
        margins = [(0, p - c) for p, c in zip(self.padded, self.content, strict=True)]
        return np.pad(scaled, [*margins, (0, 0)], mode="edge")
