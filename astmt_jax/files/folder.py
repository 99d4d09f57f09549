"""Reads files from strangers, data or predictions; what is wrong with one is said in one sentence.

Free of TensorFlow, so that worker processes start quickly.
"""

import contextlib
import dataclasses
import os
import pathlib
import re
import unicodedata
from collections.abc import Callable, Collection, Generator, Iterable, Sequence

import numpy as np
from PIL import Image

from astmt_jax.files import arrays, decoding, storage
from astmt_jax.files.encoding import encode_png
from astmt_jax.files.messages import one_line

MAX_BYTES = arrays.MAX_BYTES
_JOINERS = "\u200c\u200d"
"""Characters that are not seen and yet belong to words, of Hindi for instance."""
_UNSEEN = ("Cc", "Cf", "Cs", "Zl", "Zp")
"""Unicode's categories of control characters and the like."""


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
        return os.path.isfile(self.root / path)  # no error of a name that is too long

    def first(self, paths: Sequence[str]) -> str:
        """The first of the paths that is a file."""
        for path in paths:
            if self.has(path):
                return path
        also = f" (nor is there {' or '.join(paths[1:])})" if paths[1:] else ""
        raise self.error(paths[0], f"is missing{also}")

    def beside(self, subfolder: str, names: Iterable[str]) -> dict[str, list[str]]:
        """The files in a subfolder that are called as an example, whatever their endings.

        Each folder is listed once. Letters with marks are the same however Unicode composes them.

        Args:
          subfolder: where to look.
          names: of examples, as `names` gives them; may hold folders.

        Returns:
          Name -> its files, sorted, for each name that has any.
        """
        wanted: dict[str, set[str]] = {}
        for name in names:
            inner, _, last = name.rpartition("/")
            wanted.setdefault(inner, set()).add(last)
        found: dict[str, list[str]] = {}
        for inner, stems in wanted.items():
            folder = self._existing(f"{subfolder}/{inner}" if inner else subfolder)
            for file in self._listing(folder):
                stem = unicodedata.normalize("NFC", os.path.splitext(file)[0])
                if stem in stems:
                    name = f"{inner}/{stem}" if inner else stem
                    found.setdefault(name, []).append(f"{folder}/{file}")
        return found

    def _existing(self, folder: str) -> str:
        """The folder in the composition in which it is stored."""
        decomposed = unicodedata.normalize("NFD", folder)
        return folder if os.path.isdir(self.root / folder) else decomposed

    def _listing(self, folder: str) -> list[str]:
        try:
            with os.scandir(self.root / folder) as entries:
                return sorted(entry.name for entry in entries if entry.is_file())
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            raise self.error(folder, f"cannot be read ({error.strerror})") from error

    def stems(self, subfolder: str, ending: str) -> list[str]:
        """The names, without this ending, of the files in a subfolder that have it; numbers come
        in their order.

        Letters with marks come composed (Unicode's NFC), hidden files are passed over.
        """
        files = (os.path.splitext(file) for file in self._listing(subfolder))
        stems = [unicodedata.normalize("NFC", stem) for stem, found in files if found == ending]
        stems = [stem for stem in stems if is_name(stem)]
        if not stems:
            raise self.error(subfolder, f"holds no file that ends in {ending}")
        return sorted(stems, key=lambda stem: (len(stem), stem) if stem.isdigit() else (0, stem))

    def read(self, path: str) -> bytes:
        """The content of a file of at most `MAX_BYTES`."""
        self.first([path])
        try:
            return storage.read_regular(self.root / path, MAX_BYTES)
        except OSError as error:
            raise self.error(path, f"cannot be read ({error.strerror})") from error
        except ValueError as error:
            raise self.error(path, str(error)) from error

    def names(self, path: str) -> list[str]:
        """The names of examples in a list, one a line; they may not leave their folder.

        Letters with marks come composed (Unicode's NFC).
        """
        try:
            text = self.read(path).decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise self.error(path, "is not a text file in UTF-8") from error
        lines = (line.strip() for line in re.split(r"\r\n|\n|\r", text))
        names = [unicodedata.normalize("NFC", line) for line in lines if line]
        if not names:
            raise self.error(path, "names no example")
        seen: set[str] = set()
        for name in names:
            if not is_name(name):
                raise self.error(
                    path,
                    f"has the line {name[:80]!a}, which is no name of an example: the path of "
                    "a file without its ending, in which no folder begins with a dot and no "
                    "character is invisible",
                )
            if name in seen:
                raise self.error(path, f"names {name} more than once")
            seen.add(name)
        return names

    def picture(self, path: str) -> tuple[bytes, np.ndarray]:
        """An RGB picture, upright.

        Returns:
          The file as it is, or as PNG where training would see other pixels in it; and its pixels,
          uint8 (H, W, 3).
        """
        data = self.read(path)
        with self._picture_errors(path):
            pixels, image_format = decoding.photo(data)
        kept = decoding.is_trained_as(data, image_format, pixels)
        return (data if kept else encode_png(pixels)), pixels

    def pixels(self, path: str) -> np.ndarray:
        """The pixels of an RGB picture, upright: uint8 (H, W, 3)."""
        return self._decoded(path, decoding.rgb)

    def levels(self, path: str) -> np.ndarray:
        """A grey picture's levels 0..255, white being 255: uint8 (H, W)."""
        return self._decoded(path, decoding.levels)

    def class_ids(self, path: str) -> np.ndarray:
        """A grey picture's numbers, or the indices of a palette: uint8 or uint16 (H, W)."""
        return self._decoded(path, decoding.class_ids)

    def numbers(self, path: str) -> np.ndarray:
        """A grey picture's numbers as they are stored: uint8 or uint16 (H, W)."""
        return self._decoded(path, decoding.numbers)

    def rgb(self, path: str) -> np.ndarray:
        """A picture of three channels of 8 bits: uint8 (H, W, 3)."""
        return self._decoded(path, _three_channels)

    def _decoded(self, path: str, decode: Callable[[Image.Image], np.ndarray]) -> np.ndarray:
        data = self.read(path)
        with self._picture_errors(path):
            return decoding.from_bytes(data, decode)

    @contextlib.contextmanager
    def _picture_errors(self, path: str) -> Generator[None]:
        try:
            yield
        except decoding.PictureError as error:
            raise self.error(path, str(error)) from error

    def matlab(self, path: str, variable: str) -> np.ndarray:
        """A variable of a MATLAB file (up to version 7.2)."""
        return self.first_variable(path, (variable,))[1]

    def first_variable(self, path: str, variables: Sequence[str]) -> tuple[str, np.ndarray]:
        """The first of these variables that a MATLAB file (up to version 7.2) has, and its name."""
        data = self.read(path)
        try:
            found = arrays.matlab(data, variables)
        except Exception as error:
            raise self.error(path, f"is not a readable MATLAB file ({_reason(error)})") from error
        name = next((name for name in variables if name in found), None)
        if name is None:
            raise self.error(path, f"has no variable {' or '.join(variables)}")
        if not isinstance(found[name], np.ndarray):
            kind = type(found[name]).__name__
            raise self.error(path, f"holds {name} as a {kind}, but must hold a full array")
        return name, found[name]

    def array(self, path: str) -> np.ndarray:
        """The numbers of an .npy file; pickled objects are refused."""
        data = self.read(path)
        try:
            values = arrays.npy(data)
        except Exception as error:
            raise self.error(path, f"is not a readable array ({_reason(error)})") from error
        if values.dtype.kind not in "biuf":
            raise self.error(path, "does not hold one array of numbers")
        return values

    def check_size(self, path: str, values: np.ndarray, size: tuple[int, int]) -> None:
        """Checks that a map has the height and width of its image."""
        if values.shape[:2] != tuple(size):
            found = " x ".join(map(str, values.shape[:2])) or "no map"
            turned = values.shape[1::-1] == tuple(size)
            hint = ", turned as its EXIF notes if it does: labels must be upright, too"
            raise self.error(
                path,
                f"is {found}, but its image is {size[0]} x {size[1]} (height x width)"
                + hint * turned,
            )

    def whole_numbers(self, path: str, values: np.ndarray, known: Collection[int]) -> np.ndarray:
        """A map (H, W) of `known` numbers only, as uint16."""
        values = np.asarray(values)
        if values.ndim != 2 or values.dtype.kind not in "biuf":
            raise self.error(path, f"holds {values.dtype} {values.shape}, but must hold one map")
        unknown = values[~np.isin(values, list(known))]
        if unknown.size:
            raise self.error(path, f"holds the unknown class {unknown.min().item():g}")
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
        with np.errstate(over="ignore"):
            values = values.astype(np.float32, copy=False)
        if not np.isfinite(values).all():
            raise self.error(
                path, "holds numbers that are not finite, or too large for floats of 32 bits"
            )
        return values


def is_name(text: str) -> bool:
    """Whether a text can be the name of an example: a path that stays in its folder."""
    parts = text.split("/")
    visible = all(unicodedata.category(c) not in _UNSEEN or c in _JOINERS for c in text)
    return visible and "\\" not in text and not any(p == "" or p[0] == "." for p in parts)


def _three_channels(image: Image.Image) -> np.ndarray:
    if image.mode != "RGB":
        raise decoding.PictureError(f"has pixels of mode {image.mode}, but must be RGB")
    return decoding.rgb(image)


def _reason(error: Exception) -> str:
    return one_line(error, 120)
