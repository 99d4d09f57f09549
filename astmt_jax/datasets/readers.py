"""How one file of a label, by its ending, becomes a stored map.

Free of TensorFlow, so that worker processes start quickly.
"""

import dataclasses
from collections.abc import Callable, Collection, Mapping

import numpy as np

from astmt_jax.files.encoding import encode_array
from astmt_jax.files.folder import Folder
from astmt_jax.labels import IGNORE

Size = tuple[int, int]
"""Height and width of an image."""

PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".ppm", ".pgm")
"""Endings of pictures of any kind."""
GREY_PICTURES = (".png", ".bmp", ".tif", ".tiff", ".pgm")
"""Endings of maps of one channel, which lose nothing."""
MAX_DEPTH = 1e6
"""Metres; more is no distance, but how a program writes that there is none."""


@dataclasses.dataclass(frozen=True)
class Reader:
    """Files of one ending.

    Attributes:
      kind: of the stored map, a key of `maps.KINDS`.
      load: `(folder, path) -> array (H, W[, c])`.
      encode: `(folder, path, array) -> bytes` of that kind, checking the values.
    """

    kind: str
    load: Callable[[Folder, str], np.ndarray]
    encode: Callable[[Folder, str, np.ndarray], bytes]

    def read(self, folder: Folder, path: str, size: Size) -> bytes:
        """The stored bytes of a file that belongs to an image of this size."""
        values = self.load(folder, path)
        folder.check_size(path, values, size)
        return self.encode(folder, path, values)


@dataclasses.dataclass(frozen=True)
class Variable:
    """Loads a variable of a MATLAB file."""

    name: str

    def __call__(self, folder: Folder, path: str) -> np.ndarray:
        return folder.matlab(path, self.name)


@dataclasses.dataclass(frozen=True)
class ClassCodes:
    """Encodes class maps.

    Attributes:
      codes: stored number -> class; other numbers are refused.
    """

    codes: Mapping[int, int]

    def __call__(self, folder: Folder, path: str, values: np.ndarray) -> bytes:
        numbers = folder.whole_numbers(path, values, self.codes)
        table = np.zeros(max(self.codes) + 1, np.uint8)
        table[list(self.codes)] = list(self.codes.values())
        return encode_array(table[numbers])


def classes(known: Collection[int]) -> ClassCodes:
    """Encodes maps of these classes, and 255 where unknown."""
    return ClassCodes({number: number for number in (*known, IGNORE)})


def encode_grey(folder: Folder, path: str, values: np.ndarray) -> bytes:
    """Levels 0..255 as they are."""
    return encode_array(values)


def encode_binary(folder: Folder, path: str, values: np.ndarray) -> bytes:
    """Levels 0..255 to 1 where v / 255 > 0.5, else 0."""
    return encode_array((values > 127).astype(np.uint8))


def encode_switches(folder: Folder, path: str, values: np.ndarray) -> bytes:
    """Numbers 0 and 1 as they are."""
    return encode_array(_switches(folder, path, values).astype(np.uint8))


def encode_binary_array(folder: Folder, path: str, values: np.ndarray) -> bytes:
    """Numbers 0 and 1 to levels 0 and 255."""
    return encode_array((255 * _switches(folder, path, values)).astype(np.uint8))


def _switches(folder: Folder, path: str, values: np.ndarray) -> np.ndarray:
    values = folder.float_map(path, values, 1)
    if not np.isin(values, (0, 1)).all():
        raise folder.error(path, "holds other numbers than 0 and 1")
    return values


def encode_unit_vectors(folder: Folder, path: str, values: np.ndarray) -> bytes:
    """Components in -1..1, all 0 where unknown."""
    values = folder.float_map(path, values, 3)
    if np.abs(values).max() > 1.001:
        raise folder.error(path, "holds numbers outside -1..1")
    return encode_array(values)


def encode_normal_codes(folder: Folder, path: str, codes: np.ndarray) -> bytes:
    """Pixels v with n = 2v / 255 - 1, unknown where they are black, or the grey of no direction.

    Black is a vector of length 1.7, and a grey of 127 and 128 one of length 0.01: no normals have
    these codes, and programs write them where they know none.
    """
    black = (codes == 0).all(axis=-1)
    grey = (codes - np.uint8(127) <= 1).all(axis=-1)
    known = ~(black | grey) * np.uint8(255)
    return encode_array(np.dstack([np.minimum(codes, known[..., None]), known]))


@dataclasses.dataclass(frozen=True)
class EncodeDepth:
    """Encodes depth, 0 where unknown. Of whole numbers of 16 bits the highest is unknown, too.

    Attributes:
      unit: metres for each 1 in the file.
    """

    unit: float = 1.0

    def __call__(self, folder: Folder, path: str, values: np.ndarray) -> bytes:
        if values.dtype == np.uint16:
            values = np.where(values == 65535, 0, values)
        values = folder.float_map(path, values, 1)
        if self.unit != 1:
            values = values * np.float32(self.unit)
        if values.min() < 0:
            raise folder.error(path, "holds negative depth")
        if values.max() > MAX_DEPTH:
            raise folder.error(
                path,
                f"holds a depth of {values.max():g} m, but depth is in metres, and 0 where it is "
                "unknown, as that of the sky",
            )
        return encode_array(values)


encode_depth = EncodeDepth()
"""Encodes metres."""


@dataclasses.dataclass(frozen=True)
class RefuseWholeNumbers:
    """Encodes nothing: says which option names the unit of whole numbers."""

    option: str

    def __call__(self, folder: Folder, path: str, values: np.ndarray) -> bytes:
        raise folder.error(
            path,
            f"holds whole numbers, and nothing says in which unit: say --options={self.option} "
            "where they are millimetres",
        )


@dataclasses.dataclass(frozen=True)
class PictureReader:
    """Files of RGB pictures, which are kept as they are where possible."""

    kind: str

    def read(self, folder: Folder, path: str, size: Size) -> bytes:
        """As `Reader.read`."""
        data, pixels = folder.picture(path)
        folder.check_size(path, pixels, size)
        return data


AnyReader = Reader | PictureReader
