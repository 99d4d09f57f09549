"""Where the files of labels lie in a folder with one folder for each label, and what reads them.

Free of TensorFlow, so that worker processes start quickly.
"""

import dataclasses
import os
from collections.abc import Collection, Iterable, Mapping

from astmt_jax.datasets.contents import Stored
from astmt_jax.datasets.readers import AnyReader, Size
from astmt_jax.files.folder import Folder

IMAGE_ENDINGS = (".jpg", ".png", ".webp")


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
