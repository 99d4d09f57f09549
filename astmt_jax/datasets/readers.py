"""How one file of a label, by its ending, becomes a stored map.

Free of TensorFlow, so that worker processes start quickly.
"""

import dataclasses
from collections.abc import Callable, Collection, Iterable, Mapping

import numpy as np

from astmt_jax.datasets.contents import Stored
from astmt_jax.files.encoding import encode_array
from astmt_jax.files.folder import Folder
from astmt_jax.labels import IGNORE

Size = tuple[int, int]
"""Height and width of an image."""

IMAGE_ENDINGS = (".jpg", ".png", ".webp")


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


def encode_binary_array(folder: Folder, path: str, values: np.ndarray) -> bytes:
    """Numbers 0 and 1 to levels 0 and 255."""
    values = folder.float_map(path, values, 1)
    if not np.isin(values, (0, 1)).all():
        raise folder.error(path, "holds other numbers than 0 and 1")
    return encode_array((255 * values).astype(np.uint8))


def encode_unit_vectors(folder: Folder, path: str, values: np.ndarray) -> bytes:
    """Components in -1..1, all 0 where unknown."""
    values = folder.float_map(path, values, 3)
    if np.abs(values).max() > 1.001:
        raise folder.error(path, "holds numbers outside -1..1")
    return encode_array(values)


def encode_depth(folder: Folder, path: str, values: np.ndarray) -> bytes:
    """Metres, 0 where unknown."""
    values = folder.float_map(path, values, 1)
    if values.min() < 0:
        raise folder.error(path, "holds negative depth")
    return encode_array(values)


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


@dataclasses.dataclass(frozen=True)
class Label:
    """The files of one label.

    Attributes:
      subfolder: their folder.
      readers: ending -> how to read them.
    """

    subfolder: str
    readers: Mapping[str, AnyReader]

    def find(self, folder: Folder, names: Iterable[str]) -> "LabelFiles | None":
        """What files of these examples there are; None if there is none."""
        for name in names:
            for ending, reader in self.readers.items():
                if folder.has(f"{self.subfolder}/{name}{ending}"):
                    return LabelFiles(self.subfolder, ending, reader)
        return None

    def missing(self, folder: Folder, name: str) -> ValueError:
        """The error to raise where an example has no file of any ending."""
        path, *others = [f"{self.subfolder}/{name}{ending}" for ending in self.readers]
        return folder.error(path, f"is missing, and so is {', '.join(others)}")


@dataclasses.dataclass(frozen=True)
class LabelFiles:
    """The files of one label, all of one ending."""

    subfolder: str
    ending: str
    reader: AnyReader

    def path(self, name: str) -> str:
        """The file of an example."""
        return f"{self.subfolder}/{name}{self.ending}"


@dataclasses.dataclass(frozen=True)
class FolderExamples:
    """`Contents.read` of a dataset with one folder for the images and one for each label.

    Attributes:
      folder: the dataset.
      labels: label name -> its files.
      partly: whether an example may lack labels.
    """

    folder: Folder
    labels: Mapping[str, LabelFiles]
    partly: bool = False

    def __call__(self, split: str, name: str) -> Stored:
        """The stored maps of an example."""
        image = self.folder.first([f"images/{name}{ending}" for ending in IMAGE_ENDINGS])
        stored, pixels = {}, None
        stored["image"], pixels = self.folder.picture(image)
        for key, files in self.labels.items():
            path = files.path(name)
            absent = self.partly and not self.folder.has(path)
            size = pixels.shape[:2]
            stored[key] = None if absent else files.reader.read(self.folder, path, size)
        return stored

    def kinds(self) -> dict[str, str]:
        """`Contents.kinds`."""
        return {"image": "image"} | {key: f.reader.kind for key, f in self.labels.items()}
