"""Pictures of any kind as uint8 RGB arrays, upright."""

import contextlib
import os
import pathlib
from collections.abc import Generator

import numpy as np
from PIL import Image

from astmt_jax.files import decoding, storage
from astmt_jax.files.messages import one_line

Photo = str | pathlib.Path | Image.Image | np.ndarray

MAX_BYTES = 300 * 2**20
"""Most of a photo's file."""


class PhotoError(ValueError):
    """A picture that cannot be read; the message says why."""


def read_photo(photo: Photo) -> np.ndarray:
    """Reads a picture as it is meant to be seen.

    The orientation that the camera recorded (EXIF) is applied; 16-bit levels become 8-bit ones;
    grey, CMYK and palette pictures become RGB; what is transparent lets white through. Of several
    frames the first is read.

    Args:
      photo: path of a file of one of `decoding.FORMATS`, a Pillow image, or uint8 (H, W, 3) RGB,
        which is returned as it is. ~ is the home folder.

    Returns:
      uint8 (H, W, 3).

    Raises:
      PhotoError: the file is no picture, is damaged, or has more pixels than
        `PIL.Image.MAX_IMAGE_PIXELS` (89 million, Pillow's limit against files that unpack to fill
        the memory), or the array has another form.
      OSError: the file cannot be opened.
    """
    if isinstance(photo, np.ndarray):
        return _checked_array(photo)
    if isinstance(photo, Image.Image):
        return _from_pillow(photo)
    path = pathlib.Path(os.path.expanduser(photo))
    with _named(photo):
        return decoding.from_bytes(_content(path), decoding.rgb)


def photo_size(path: pathlib.Path) -> tuple[int, int]:
    """(height, width) of the picture in a file as its header gives them.

    They are those of what `read_photo` returns, unless a PNG file has a recorded orientation, which
    may stand after the pixels.

    Raises:
      PhotoError, OSError: as `read_photo`; damage after the header goes unnoticed.
    """
    with _named(path), decoding.opened(_content(path)) as image:
        return decoding.upright_size(image)


def _content(path: pathlib.Path) -> bytes:
    try:
        return storage.read_regular(path, MAX_BYTES)
    except ValueError as error:
        raise decoding.PictureError(str(error)) from error


@contextlib.contextmanager
def _named(photo: object) -> Generator[None]:
    """Context that puts the name of the photo before what is wrong with it."""
    try:
        yield
    except decoding.PictureError as error:
        raise PhotoError(f"{photo} {error}.") from error


def _from_pillow(image: Image.Image) -> np.ndarray:
    with _named("the image"):
        try:
            return decoding.rgb(image)
        except decoding.PictureError:
            raise
        except Exception as error:  # decoders raise nearly anything about damaged data
            raise decoding.PictureError(f"is damaged: {one_line(error)}") from error


def _checked_array(array: np.ndarray) -> np.ndarray:
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3 or not array.size:
        raise PhotoError(f"The image is {array.dtype} {array.shape}, but must be uint8 (H, W, 3).")
    return array
