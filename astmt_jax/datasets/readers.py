"""How one file of a label, by its ending, becomes a stored map.

Free of TensorFlow, so that worker processes start quickly.
"""

import dataclasses
import os
from collections.abc import Callable, Collection, Iterable, Mapping

import numpy as np

from astmt_jax.datasets.contents import Stored
from astmt_jax.files.encoding import encode_array
from astmt_jax.files.folder import Folder
from astmt_jax.labels import IGNORE

Size = tuple[int, int]
"""Height and width of an image."""

IMAGE_ENDINGS = (".jpg", ".png", ".webp")
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


@dataclasses.dataclass(frozen=True)
class Label:
    """The files of one label, or the images.

    Attributes:
      subfolder: their folder.
      readers: ending -> how to read them; capital letters make no difference.
    """

    subfolder: str
    readers: Mapping[str, AnyReader]

    def find(self, folder: Folder, names: Iterable[str]) -> "LabelFiles | None":
        """The files of the ending that is found first; None if there is none."""
        for name in names:
            for ending, reader in self.readers.items():
                if folder.has(f"{self.subfolder}/{name}{ending}"):
                    return LabelFiles(self.subfolder, ending, reader.kind, self.readers)
        return None

    def find_each(self, folder: Folder, names: Iterable[str]) -> "LabelFiles | None":
        """The file of each of these examples that has one; None if none has.

        Raises:
          ValueError: an example has two files, or one that cannot be read, or the files become maps
            of two kinds.
        """
        paths = folder.beside(self.subfolder, names)
        chosen = {name: self._one_of(folder, files) for name, files in paths.items()}
        if not chosen:
            return None
        first = next(iter(chosen.values()))
        kind = self._reader(first).kind
        for path in chosen.values():
            if self._reader(path).kind != kind:
                raise folder.error(
                    path, f"is stored in another way than {first}: let all files have one ending"
                )
        return LabelFiles(self.subfolder, _ending(first), kind, self.readers, chosen)

    def _one_of(self, folder: Folder, files: Collection[str]) -> str:
        readable = [file for file in files if _ending(file) in self.readers]
        if not readable:
            raise folder.error(
                min(files), f"has no ending that is read in {self.subfolder}/: {self.endings}"
            )
        if len(readable) > 1:
            raise folder.error(
                readable[1], f"belongs to the same example as {readable[0]}: remove one of them"
            )
        return readable[0]

    def _reader(self, path: str) -> AnyReader:
        return self.readers[_ending(path)]

    @property
    def endings(self) -> str:
        """All endings that are read."""
        return ", ".join(self.readers)

    def missing(self, folder: Folder, name: str) -> ValueError:
        """The error to raise where an example has no file of any ending."""
        path, *others = [f"{self.subfolder}/{name}{ending}" for ending in self.readers]
        return folder.error(path, f"is missing, and so is {', '.join(others)}")


def _ending(path: str) -> str:
    return os.path.splitext(path)[1].lower()


@dataclasses.dataclass(frozen=True)
class LabelFiles:
    """The files of one label.

    Attributes:
      subfolder: their folder.
      ending: of a file whose path is not known.
      kind: of the stored maps, a key of `maps.KINDS`.
      readers: ending -> how to read them.
      paths: example -> its file, where it is called otherwise than its name and `ending`.
    """

    subfolder: str
    ending: str
    kind: str
    readers: Mapping[str, AnyReader]
    paths: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def path(self, name: str) -> str:
        """The file of an example."""
        return self.paths.get(name, f"{self.subfolder}/{name}{self.ending}")

    def read(self, folder: Folder, name: str, size: Size) -> bytes:
        """The stored bytes of an example's file."""
        path = self.path(name)
        return self.readers[_ending(path)].read(folder, path, size)


@dataclasses.dataclass(frozen=True)
class FolderExamples:
    """`Contents.read` of a dataset with one folder for the images and one for each label.

    Attributes:
      folder: the dataset.
      labels: label name -> its files.
      images: example -> its image, where that is known.
      partly: whether an example may lack labels.
    """

    folder: Folder
    labels: Mapping[str, LabelFiles]
    images: Mapping[str, str] = dataclasses.field(default_factory=dict)
    partly: bool = False

    def __call__(self, split: str, name: str) -> Stored:
        """The stored maps of an example."""
        image = self.images.get(name) or self.folder.first(
            [f"images/{name}{ending}" for ending in IMAGE_ENDINGS]
        )
        stored, pixels = {}, None
        stored["image"], pixels = self.folder.picture(image)
        for key, files in self.labels.items():
            absent = self.partly and not self.folder.has(files.path(name))
            stored[key] = None if absent else files.read(self.folder, name, pixels.shape[:2])
        return stored

    def kinds(self) -> dict[str, str]:
        """`Contents.kinds`."""
        return {"image": "image"} | {key: files.kind for key, files in self.labels.items()}
