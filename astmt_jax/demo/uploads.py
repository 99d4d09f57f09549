"""Photos that come from a browser: what is taken, and how it becomes an array."""

import pathlib

import cv2
import numpy as np

from astmt_jax.pictures.photos import PhotoError, photo_size, read_photo

MAX_FILE_MEGABYTES = 40
MAX_MEGAPIXELS = 50
MAX_SIDE = 30_000
"""Pixels: shrinking takes memory by the side, too."""
LONGEST_SIDE = 1024
"""Pixels; a larger photo is shrunk at once: no screen shows more of it beside the predictions."""


def read_upload(path: pathlib.Path, name: str) -> np.ndarray:
    """A photo that was uploaded.

    Args:
      path: of the file on this machine.
      name: what the user calls it.

    Returns:
      uint8 (H, W, 3) RGB, upright, with a longest side of at most `LONGEST_SIDE`.

    Raises:
      PhotoError: it is no picture, damaged or too large. The message is for the user: it holds the
        photo's name, not its path.
    """
    try:
        height, width = photo_size(path)
        if max(height, width) > MAX_SIDE:
            raise PhotoError(
                f"{name} is {width} x {height} pixels; at most {MAX_SIDE} a side are taken."
            )
        if height * width > 1e6 * MAX_MEGAPIXELS:
            raise PhotoError(
                f"{name} has {height * width / 1e6:.0f} megapixels; at most {MAX_MEGAPIXELS} are "
                "taken."
            )
        return shrunk(read_photo(path))
    except PhotoError as error:
        raise PhotoError(str(error).replace(str(path), name)) from error
    except OSError as error:
        raise PhotoError(f"{name} cannot be read.") from error


def shrunk(photo: np.ndarray) -> np.ndarray:
    """Photo (H, W, 3) with a longest side of at most `LONGEST_SIDE`, by averages over areas."""
    height, width = photo.shape[:2]
    times = LONGEST_SIDE / max(height, width)
    if times >= 1:
        return photo
    size = max(1, round(width * times)), max(1, round(height * times))
    return cv2.resize(photo, size, interpolation=cv2.INTER_AREA)


def overlay(photo: np.ndarray, colors: np.ndarray, opacity: float) -> np.ndarray:
    """A picture of a prediction laid over its photo.

    Args:
      photo: uint8 (H, W, 3).
      colors: uint8 (H, W, 3).
      opacity: of the prediction: 0 shows the photo, 1 the prediction.
    """
    return cv2.addWeighted(colors, opacity, photo, 1 - opacity, 0)
