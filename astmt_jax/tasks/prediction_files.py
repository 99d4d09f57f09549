"""How predictions are stored: one file an image and task, as the reference implementation has them.

Here is what several tasks share; a form that one task alone has is in that task's module.

Values become 8-bit levels by truncation, not by rounding: published numbers were computed so.
"""

import dataclasses
import pathlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from astmt_jax.files import storage
from astmt_jax.tasks.bands import in_bands

if TYPE_CHECKING:
    from astmt_jax.files.folder import Folder  # it loads PIL, OpenCV and scipy.io

Convert = Callable[[np.ndarray], np.ndarray]


@dataclasses.dataclass(frozen=True)
class FileFormat:
    """The files of one task, TASK/NAME with an ending.

    Attributes:
      channels: 1 for maps (H, W), 3 for maps (H, W, 3).
      suffix: ending of the files that `write` makes, '.png' or '.mat'.
      encode: a finite prediction, as a task's `predict` gives it, to what the file holds.
      decode: numbers from a file to a prediction: what `encode` gave, or values in the units of the
        prediction; raises a ValueError that says what is wrong with them.
      picture: how a PNG is read, the name of a method of `Folder`: 'levels', 'class_ids' or 'rgb'.
      variables: what other variables than the one called as the task a .mat file may have: name ->
        what makes the map of it; raises a ValueError that says what is wrong with it.
    """

    channels: int
    suffix: str
    encode: Convert
    decode: Convert
    picture: str = "levels"
    variables: Mapping[str, Convert] = dataclasses.field(default_factory=dict)

    @property
    def endings(self) -> tuple[str, ...]:
        """Endings of the files that `read` takes."""
        return tuple(dict.fromkeys((self.suffix, ".mat", ".npy")))

    def quantize(self, prediction: np.ndarray) -> np.ndarray:
        """The prediction as it comes back from a file."""
        return self.decode(self._stored(prediction))

    def path(self, folder: pathlib.Path, task: str, name: str) -> pathlib.Path:
        """The file that `write` makes."""
        return folder / task / f"{name}{self.suffix}"

    def write(self, folder: pathlib.Path, task: str, name: str, prediction: np.ndarray) -> None:
        """Writes folder/task/name with the format's ending.

        Raises:
          ValueError: the prediction is not finite.
        """
        path = self.path(folder, task, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        stored = self._stored(prediction)
        with storage.whole_file(path) as partial:
            if self.suffix == ".mat":
                from scipy import io as matlab  # loaded where a file is written

                matlab.savemat(partial, {task: stored}, appendmat=False, do_compression=True)
            else:
                from astmt_jax.files.encoding import encode_png  # loads OpenCV

                partial.write_bytes(encode_png(stored))

    def read(self, folder: "Folder", path: str, task: str) -> np.ndarray:
        """Reads a prediction: PNG, .npy, or of a .mat file the variable called as the task, else
        the first of `variables`.

        Raises:
          ValueError: naming the file, which is unreadable or of another form.
        """
        values = self._values(folder, path, task)
        if values.ndim == 3 and values.shape[2] == 1:
            values = values[..., 0]
        channels = () if self.channels == 1 else (self.channels,)
        if values.ndim < 2 or values.shape[2:] != channels:
            wanted = ", ".join(map(str, ("H", "W", *channels)))
            raise folder.error(path, f"holds an array {values.shape}, but must hold ({wanted})")
        if values.dtype.kind not in "biuf":
            raise folder.error(path, f"holds {values.dtype}, but must hold numbers")
        try:
            return self.decode(values)
        except ValueError as error:
            raise folder.error(path, str(error)) from error

    def _values(self, folder: "Folder", path: str, task: str) -> np.ndarray:
        """What a file holds."""
        ending = pathlib.PurePosixPath(path).suffix
        if ending == ".npy":
            return folder.array(path)
        if ending != ".mat":
            return getattr(folder, self.picture)(path)
        name, values = folder.first_variable(path, (task, *self.variables))
        if name == task:
            return values
        try:
            return self.variables[name](values)
        except ValueError as error:
            raise folder.error(path, str(error)) from error

    def _stored(self, prediction: np.ndarray) -> np.ndarray:
        return in_bands(self._encoded, prediction)

    def _encoded(self, prediction: np.ndarray) -> np.ndarray:
        if not np.isfinite(prediction).all():
            raise ValueError("the prediction holds numbers that are not finite")
        return self.encode(prediction)


def to_levels(unit: np.ndarray) -> np.ndarray:
    """Numbers in 0..1 (others are clipped) as levels of 8 bits."""
    return (255 * np.clip(unit, 0, 1)).astype(np.uint8)


def from_levels(values: np.ndarray) -> np.ndarray:
    """Numbers in 0..1 from levels of 8 bits, or as they are; ValueError for others."""
    if values.dtype == np.uint8:
        return values.astype(np.float32) / np.float32(255)
    values = finite(values)
    if values.size and not 0 <= values.min() <= values.max() <= 1:
        raise ValueError(
            f"holds numbers in {values.min():g}..{values.max():g}, but must hold levels 0..255 of"
            " 8 bits, or numbers in 0..1"
        )
    return values


def finite(values: np.ndarray) -> np.ndarray:
    """Numbers as float32; ValueError for those that are not finite."""
    if not np.isfinite(values).all():
        raise ValueError("holds numbers that are not finite")
    return values.astype(np.float32)


def _as_ids(classes: np.ndarray) -> np.ndarray:
    return classes.astype(np.uint8)


def _whole_numbers(values: np.ndarray) -> np.ndarray:
    ids = values.astype(np.int64) if values.dtype.kind == "f" else values
    if not np.array_equal(ids, values):
        raise ValueError("holds numbers that are not whole, but must hold classes")
    return ids.astype(np.uint8) if ids.dtype == bool else ids


PROBABILITY = FileFormat(1, ".png", to_levels, from_levels)
CLASS_MAP = FileFormat(1, ".png", _as_ids, _whole_numbers, "class_ids")
