"""Picture files from strangers as pixels: one decoder for whatever reads one.

Photos to predict, pictures to train on and maps of labels all come through here, so that a file
that one command reads is read by all, and as the same pixels. The formats are listed, as Pillow
would else start another program (Ghostscript) for a file that says that it is PostScript.
"""

import contextlib
import io
import re
import warnings
from collections.abc import Callable, Generator

import cv2
import numpy as np
from PIL import Image, UnidentifiedImageError

from astmt_jax.files import metadata
from astmt_jax.files.messages import one_line
from astmt_jax.files.picture_size import webp_size

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "PPM")
"""Pillow's names of the formats that are read; PPM are all portable maps, PGM and PBM, too."""

WIDE_GREY_MODES = ("I;16", "I;16L", "I;16B", "I;16N", "I")
"""Pillow's modes of grey levels 0..65535."""

MAX_WEBP_PIXELS = 40_000_000
"""WebP's decoder keeps several copies of a picture."""

_TRAINED_FORMATS = ("JPEG", "MPO", "PNG", "WEBP")
_BAND = 2**22
"""Pixels that are converted at once, so that no copy of a large picture is made on the way."""

_TURNS: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    2: lambda pixels: pixels[:, ::-1],
    3: lambda pixels: pixels[::-1, ::-1],
    4: lambda pixels: pixels[::-1],
    5: lambda pixels: pixels.swapaxes(0, 1),
    6: lambda pixels: np.rot90(pixels, -1),
    7: lambda pixels: pixels[::-1, ::-1].swapaxes(0, 1),
    8: lambda pixels: np.rot90(pixels),
}
"""Orientation that EXIF notes -> how the picture becomes upright; 1 is upright."""


_SCALES = {"L;2": 85, "L;4": 17}
"""How Pillow calls the elements of such a file -> by what it multiplies them."""


class PictureError(ValueError):
    """A file cannot be read as a picture; the message goes on after the name of the file."""


@contextlib.contextmanager
def opened(data: bytes) -> Generator[Image.Image]:
    """Context of a file's picture, of one of `FORMATS`: its header is read, its pixels not yet.

    Raises:
      PictureError: it is no picture, is damaged, or has more pixels than `PIL.Image.
        MAX_IMAGE_PIXELS` (89 million), or metadata that unpack to fill the memory. What is raised
        while the context lasts, by decoders that raise whatever they like, becomes one, too.
    """
    try:
        metadata.check(data)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what an odd file has beside its pixels
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            height, width = webp_size(data) or (0, 0)
            if height * width > MAX_WEBP_PIXELS:
                raise PictureError(
                    f"has more than {MAX_WEBP_PIXELS / 1e6:.0f} million pixels, the most that is "
                    "read of a WebP file"
                )
            with Image.open(io.BytesIO(data), formats=FORMATS) as image:
                yield image
    except PictureError:
        raise
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        millions = (Image.MAX_IMAGE_PIXELS or 0) / 1e6  # a limit there is, as it was exceeded
        raise PictureError(
            f"has more than {millions:.0f} million pixels, the most that is read "
            "(PIL.Image.MAX_IMAGE_PIXELS)"
        ) from error
    except UnidentifiedImageError as error:
        raise PictureError(
            "is no picture of a format that Pillow reads here: it is not a JPEG, PNG or WebP "
            "picture, nor BMP, TIFF or PPM"
        ) from error
    except Exception as error:
        raise PictureError(
            f"is damaged: it is truncated or corrupt ({one_line(error, 120)})"
        ) from error


def upright_size(image: Image.Image) -> tuple[int, int]:
    """(height, width) of `rgb` as the header gives them.

    A PNG file may note its orientation behind the pixels, where it goes unnoticed.
    """
    width, height = image.size
    turned = image.format != "TIFF" and _orientation(image) >= 5
    return (width, height) if turned else (height, width)


def rgb(image: Image.Image) -> np.ndarray:
    """The picture as it is meant to be seen, upright.

    16-bit levels become 8-bit ones; grey, CMYK and palette pictures become RGB; what is transparent
    lets white through. Of several frames the first is read.

    Returns:
      uint8 (H, W, 3).

    Raises:
      PictureError: it holds floating-point numbers.
      Exception: whatever a decoder raises about damaged data.
    """
    image.load()
    if image.mode == "F":
        raise PictureError("holds floating-point numbers, but must hold levels")
    width, height = image.size
    rows = max(1, _BAND // width)
    if rows >= height:
        return _upright(image, _rgb(image))
    pixels = np.empty((height, width, 3), np.uint8)
    for top in range(0, height, rows):
        bottom = min(top + rows, height)
        pixels[top:bottom] = _rgb(image.crop((0, top, width, bottom)))
    return _upright(image, pixels)


def photo(data: bytes) -> tuple[np.ndarray, str | None]:
    """`rgb` of a file's content, uint8 (H, W, 3), and Pillow's name of its format.

    Raises:
      PictureError: as `opened`.
    """
    with opened(data) as image:
        return rgb(image), image.format


def trained_pixels(data: bytes) -> np.ndarray | None:
    """What training sees of a file that is stored as it is, by OpenCV; None if that is nothing.

    Returns:
      uint8 (H, W, 3) RGB, not turned.
    """
    try:
        flags = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
        return cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error:
        return None


def is_trained_as(data: bytes, image_format: str | None, pixels: np.ndarray) -> bool:
    """Whether training sees these pixels, uint8 (H, W, 3), of a file that is stored as it is."""
    if image_format not in _TRAINED_FORMATS:
        return False
    if image_format == "PNG" and not metadata.is_whole_png(data):
        return False
    seen = trained_pixels(data)
    if seen is None or seen.shape != pixels.shape:
        return False
    rows = max(1, _BAND // pixels.shape[1])
    bands = (slice(top, top + rows) for top in range(0, len(pixels), rows))
    return all(np.array_equal(seen[band], pixels[band]) for band in bands)


def levels(image: Image.Image) -> np.ndarray:
    """Grey levels 0..255, upright: of 1, 2, 4 or 8 bits, which are scaled, or 16, which are not.

    A palette of greys counts as these; an alpha channel of a grey picture does not count.

    Returns:
      uint8 (H, W).

    Raises:
      PictureError: it is no grey picture, or one of 16 bits has higher levels.
      Exception: whatever a decoder raises about damaged data.
    """
    image.load()
    if image.mode == "P":
        colors = np.asarray(image.convert("RGB"))
        if (colors != colors[..., :1]).any():
            raise PictureError("has a palette of colours, but must be grey")
        return _upright(image, colors[..., 0])
    if image.mode == "1":
        return _upright(image, np.asarray(image).astype(np.uint8) * np.uint8(255))
    found = numbers(image)
    if found.max(initial=0) > 255:
        raise PictureError(
            f"has pixels of mode {image.mode}, but must be grey levels 0..255, and one is "
            f"{found.max()}: save it with 8 bits"
        )
    return found.astype(np.uint8)


def class_ids(image: Image.Image) -> np.ndarray:
    """Numbers of a grey picture or of a palette's colours as they are stored, upright.

    Returns:
      uint8 or uint16 (H, W).

    Raises:
      PictureError: it is neither.
      Exception: whatever a decoder raises about damaged data.
    """
    # Pillow scales grey levels of 2 and 4 bits to 0..255.
    scale = max((_SCALES.get(str(tile.args), 1) for tile in getattr(image, "tile", ())), default=1)
    return numbers(image) // np.uint8(scale)


def numbers(image: Image.Image) -> np.ndarray:
    """Elements of a picture of one channel, upright, uint8 or uint16 (H, W); as `class_ids`."""
    image.load()
    if image.mode in ("LA", "La", "PA"):
        return _upright(image, np.asarray(image)[..., 0])
    if image.mode in WIDE_GREY_MODES:
        wide = np.asarray(image, np.int64)
        if wide.min(initial=0) < 0 or wide.max(initial=0) > 65535:
            raise PictureError("holds numbers outside 0..65535")
        return _upright(image, wide.astype(np.uint16))
    if image.mode not in ("1", "L", "P"):
        raise PictureError(f"has pixels of mode {image.mode}, but must be grey or have a palette")
    return _upright(image, np.asarray(image).astype(np.uint8))


def from_bytes(data: bytes, decode: Callable[[Image.Image], np.ndarray]) -> np.ndarray:
    """A file's content by `rgb`, `levels`, `class_ids` or `numbers`; PictureError as `opened`."""
    with opened(data) as image:
        return decode(image)


def _rgb(image: Image.Image) -> np.ndarray:
    if image.mode in WIDE_GREY_MODES:
        wide = np.clip(np.asarray(image, np.int64), 0, 65535)
        levels = ((wide + 128) // 257).astype(np.uint8)
        return np.repeat(levels[..., None], 3, axis=2)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return np.asarray(image.convert("RGB"))


def _upright(image: Image.Image, pixels: np.ndarray) -> np.ndarray:
    """The pixels of a loaded picture turned as it notes; Pillow turns TIFF itself."""
    turn = None if image.format == "TIFF" else _TURNS.get(_orientation(image))
    return pixels if turn is None else np.ascontiguousarray(turn(pixels))


def _orientation(image: Image.Image) -> int:
    """1 to 8: what EXIF notes, or XMP where EXIF does not."""
    noted = metadata.exif_orientation(image.info)
    if noted is None:
        xmp = image.info.get("XML:com.adobe.xmp") or image.info.get("xmp") or b""
        text = xmp if isinstance(xmp, bytes) else str(xmp).encode()
        match = re.search(rb'tiff:Orientation(?:="|>)([0-9])', text)
        noted = int(match[1]) if match else 1
    return noted if 1 <= noted <= 8 else 1
