"""Pictures of any kind as uint8 RGB arrays, upright."""

import contextlib
import pathlib
import warnings

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from astmt_jax.files.messages import one_line

Photo = str | pathlib.Path | Image.Image | np.ndarray

WIDE_GREY_MODES = ("I;16", "I;16L", "I;16B", "I;16N", "I")
"""Pillow's modes of grey levels 0..65535."""


ORIENTATION = 0x0112  # the EXIF tag
QUARTER_TURNS = (5, 6, 7, 8)
UNTURNED_FORMATS = ("PNG", "TIFF")  # read on to the pixels, and turned by Pillow itself


class PhotoError(ValueError):
    """A picture that cannot be read; the message says why."""


def read_photo(photo: Photo) -> np.ndarray:
    """Reads a picture as it is meant to be seen.

    The orientation that the camera recorded (EXIF) is applied; 16-bit levels become 8-bit ones;
    grey, CMYK and palette pictures become RGB; what is transparent lets white through. Of several
    frames the first is read.

    Args:
      photo: path of a file that Pillow reads, a Pillow image, or uint8 (H, W, 3) RGB, which is
        returned as it is.

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
        return _to_rgb(photo, "the image")
    with _opened(pathlib.Path(photo)) as image:
        return _to_rgb(image, str(photo))


def photo_size(path: pathlib.Path) -> tuple[int, int]:
    """(height, width) of the picture in a file as its header gives them.

    They are those of what `read_photo` returns, unless a PNG file has a recorded orientation, which
    may stand after the pixels.

    Raises:
      PhotoError, OSError: as `read_photo`; damage after the header goes unnoticed.
    """
    with _opened(path) as image:
        width, height = image.size
        orientation = 1
        if image.format not in UNTURNED_FORMATS:
            with contextlib.suppress(Exception):  # damaged metadata matter to `read_photo` only
                orientation = image.getexif().get(ORIENTATION, 1)
        return (width, height) if orientation in QUARTER_TURNS else (height, width)


def _opened(path: pathlib.Path) -> Image.Image:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            return Image.open(path)
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        millions = (Image.MAX_IMAGE_PIXELS or 0) / 1e6  # a limit there is, as it was exceeded
        raise PhotoError(
            f"{path} has more than {millions:.0f} million pixels, the most that is read "
            "(PIL.Image.MAX_IMAGE_PIXELS)."
        ) from error
    except UnidentifiedImageError as error:
        raise PhotoError(f"{path} is no picture of a format that Pillow reads.") from error
    except OSError:
        raise
    except Exception as error:  # damaged headers raise nearly anything
        raise PhotoError(f"{path} cannot be read: {error}.") from error


def _to_rgb(image: Image.Image, name: str) -> np.ndarray:
    try:
        image = ImageOps.exif_transpose(image)
        if image.mode in WIDE_GREY_MODES:
            levels = np.clip(np.asarray(image, np.int64), 0, 65535)
            image = Image.fromarray(((levels + 128) // 257).astype(np.uint8))
        elif image.mode == "F":
            raise PhotoError(f"{name} holds floating-point numbers, but must hold levels.")
        elif image.has_transparency_data:
            image = image.convert("RGBA")
            white = Image.new("RGBA", image.size, "white")
            image = Image.alpha_composite(white, image)
        return np.asarray(image.convert("RGB"))
    except PhotoError:
        raise
    except Exception as error:  # decoders raise nearly anything about damaged data
        raise PhotoError(f"{name} is damaged: {one_line(error)}.") from error


def _checked_array(array: np.ndarray) -> np.ndarray:
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3 or not array.size:
        raise PhotoError(f"The image is {array.dtype} {array.shape}, but must be uint8 (H, W, 3).")
    return array
