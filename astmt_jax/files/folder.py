"""Reads files from strangers, data or predictions; what is wrong with one is said in one sentence.

Free of TensorFlow, so that worker processes start quickly.
"""

import contextlib
import dataclasses
import io
import pathlib
import re
from collections.abc import Collection, Generator, Sequence

import numpy as np
from PIL import Image
from scipy import io as matlab

from astmt_jax.files.encoding import encode_png
from astmt_jax.files.messages import one_line

MAX_PIXELS = 2**26
MAX_BYTES = 2**30
KEPT_FORMATS = ("JPEG", "PNG", "WEBP")


@dataclasses.dataclass(frozen=True)
class Folder:
    """A folder of data or predictions, which is only read.

    All methods take paths relative to the root and raise a ValueError that names the file.

    Attributes:
      root: the folder.
      name: what messages call it: the archive or folder that the user gave.
    """

    root: pathlib.Path
    name: str

    def error(self, path: str, problem: str) -> ValueError:
        """The error to raise about a file."""
        return ValueError(f"{path} of {self.name} {problem}.")

    def has(self, path: str) -> bool:
        """Whether there is such a file."""
        return (self.root / path).is_file()

    def first(self, paths: Sequence[str]) -> str:
        """The first of the paths that is a file."""
        for path in paths:
            if self.has(path):
                return path
        also = f" (nor is there {' or '.join(paths[1:])})" if paths[1:] else ""
        raise self.error(paths[0], f"is missing{also}")

    def read(self, path: str) -> bytes:
        """The content of a file of at most `MAX_BYTES`."""
        self.first([path])
        try:
            size = (self.root / path).stat().st_size
            if size > MAX_BYTES:
                raise self.error(path, f"has {size} bytes, more than any file of a dataset should")
            return (self.root / path).read_bytes()
        except OSError as error:
            raise self.error(path, f"cannot be read ({error.strerror})") from error

    def names(self, path: str) -> list[str]:
        """The names of examples in a list, one a line; they may not leave their folder."""
        try:
            lines = [line.strip() for line in self.read(path).decode().splitlines()]
        except UnicodeDecodeError as error:
            raise self.error(path, "is not a text file") from error
        names = [line for line in lines if line]
        if not names:
            raise self.error(path, "names no example")
        for name in names:
            if not re.fullmatch(r"[\w-][\w.-]*(/[\w-][\w.-]*)*", name):
                raise self.error(path, f"has the line {name!r}, which is no name of an example")
        if len(set(names)) < len(names):
            repeated = next(name for name in names if names.count(name) > 1)
            raise self.error(path, f"names {repeated} more than once")
        return names

    def picture(self, path: str) -> tuple[bytes, np.ndarray]:
        """An RGB picture.

        Returns:
          The file as it is, or as PNG where other decoders would see other colours in it; and its
          pixels, uint8 (H, W, 3).
        """
        data = self.read(path)
        with self._opened(path, data) as picture:
            kept = picture.format in KEPT_FORMATS and picture.mode == "RGB"
            if picture.mode not in ("RGB", "RGBA", "L", "P", "CMYK"):
                raise self.error(path, f"has pixels of mode {picture.mode}, not RGB of 8 bits")
            pixels = np.array(picture.convert("RGB"))
        return (data if kept else encode_png(pixels)), pixels

    def grey(self, path: str) -> np.ndarray:
        """A picture of one channel of 8 bits, or the indices of a palette: uint8 (H, W)."""
        with self._opened(path, self.read(path)) as picture:
            if picture.mode not in ("L", "P"):
                raise self.error(
                    path, f"has pixels of mode {picture.mode}, but must be grey or have a palette"
                )
            return np.array(picture)

    def rgb(self, path: str) -> np.ndarray:
        """A picture of three channels of 8 bits: uint8 (H, W, 3)."""
        with self._opened(path, self.read(path)) as picture:
            if picture.mode != "RGB":
                raise self.error(path, f"has pixels of mode {picture.mode}, but must be RGB")
            return np.array(picture)

    @contextlib.contextmanager
    def _opened(self, path: str, data: bytes) -> Generator[Image.Image]:
        try:
            picture = Image.open(io.BytesIO(data), formats=KEPT_FORMATS)
        except Exception as error:  # decoders raise whatever they like
            raise self.error(path, "is not a JPEG, PNG or WebP picture") from error
        with picture:
            if picture.width * picture.height > MAX_PIXELS:
                raise self.error(
                    path, f"has {picture.width} x {picture.height} pixels, more than are accepted"
                )
            try:
                picture.load()
            except Exception as error:
                raise self.error(path, f"is truncated or corrupt ({_reason(error)})") from error
            yield picture

    def matlab(self, path: str, variable: str) -> np.ndarray:
        """A variable of a MATLAB file (up to version 7.2)."""
        data = self.read(path)
        try:
            content = matlab.loadmat(io.BytesIO(data), variable_names=[variable])
        except Exception as error:
            raise self.error(path, f"is not a readable MATLAB file ({_reason(error)})") from error
        if variable not in content:
            raise self.error(path, f"has no variable {variable}")
        return content[variable]

    def array(self, path: str) -> np.ndarray:
        """The numbers of an .npy file; pickled objects are refused."""
        data = self.read(path)
        try:
            values = np.load(io.BytesIO(data), allow_pickle=False)
        except Exception as error:
            raise self.error(path, f"is not a readable array ({_reason(error)})") from error
        if not isinstance(values, np.ndarray) or values.dtype.kind not in "biuf":
            raise self.error(path, "does not hold one array of numbers")
        return values

    def check_size(self, path: str, values: np.ndarray, size: tuple[int, int]) -> None:
        """Checks that a map has the height and width of its image."""
        if values.shape[:2] != tuple(size):
            found = " x ".join(map(str, values.shape[:2]))
            raise self.error(
                path, f"is {found}, but its image is {size[0]} x {size[1]} (height x width)"
            )

    def whole_numbers(self, path: str, values: np.ndarray, known: Collection[int]) -> np.ndarray:
        """A map (H, W) of `known` numbers only, as uint16."""
        values = np.asarray(values)
        if values.ndim != 2 or values.dtype.kind not in "biuf":
            raise self.error(path, f"holds {values.dtype} {values.shape}, but must hold one map")
        for value in np.unique(values).tolist():
            if value not in known:
                raise self.error(path, f"holds the unknown class {value:g}")
        return values.astype(np.uint16)

    def float_map(self, path: str, values: np.ndarray, channels: int) -> np.ndarray:
        """A map of finite numbers as float32 (H, W, channels)."""
        values = np.asarray(values)
        if values.ndim == 2 and channels == 1:
            values = values[..., None]
        wrong = values.ndim != 3 or values.shape[2] != channels
        if wrong or values.dtype.kind not in "biuf":
            raise self.error(
                path,
                f"holds {values.dtype} {values.shape}, but must be numbers, {channels} a pixel",
            )
        if not np.isfinite(values).all():
            raise self.error(path, "holds numbers that are not finite")
        return values.astype(np.float32)


def _reason(error: Exception) -> str:
    return one_line(error, 120)
