"""What is written of one photo: a prediction and a picture for each task, and a panel of all."""

import pathlib
from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image

from astmt_jax.evaluation.predictor import resize_prediction, resize_task_prediction
from astmt_jax.files import storage
from astmt_jax.pictures import canvas, panels
from astmt_jax.runtime.console import legible
from astmt_jax.tasks.bands import in_bands
from astmt_jax.tasks.task import Task

PREDICTIONS, COLORS, PANELS = "predictions", "colors", "panels"
PANEL_CELL = 240
"""Width of a map in a panel, in pixels."""


class Output:
    """The folder of results.

    Args:
      root: of the folder.
      tasks: whose predictions are written.
    """

    def __init__(self, root: pathlib.Path, tasks: Sequence[Task]):
        self._root = root
        self._tasks = tasks

    @property
    def folders(self) -> list[pathlib.Path]:
        """Where it writes."""
        return [self._root / name for name in (PREDICTIONS, COLORS, PANELS)]

    def make_folders(self) -> None:
        """Makes the folders that all photos share; OSError where nothing can be written."""
        for kind in (PREDICTIONS, COLORS):
            for task in self._tasks:
                (self._root / kind / task.name).mkdir(parents=True, exist_ok=True)
        (self._root / PANELS).mkdir(exist_ok=True)

    def files(self, name: str) -> list[pathlib.Path]:
        """What `write` writes for a photo."""
        predictions = [t.file.path(self._root / PREDICTIONS, t.name, name) for t in self._tasks]
        colors = [self._color_file(task, name) for task in self._tasks]
        return [*predictions, *colors, self._panel_file(name)]

    def write(self, name: str, photo: np.ndarray, predicted: Callable[[str], np.ndarray]) -> None:
        """Writes a photo's files, one task after the other, as large maps would fill the memory.

        Args:
          name: of the photo.
          photo: uint8 (H, W, 3).
          predicted: name of a task -> its prediction at the network's resolution; called once each.

        Raises:
          ValueError: a prediction is not finite.
          OSError: a file cannot be written.
        """
        width, height = canvas.map_size(photo.shape[:2], PANEL_CELL)
        small = {}
        for task in self._tasks:
            prediction = predicted(task.name)
            small[task.name] = resize_prediction(prediction, (height, width))
            prediction = resize_task_prediction(task, prediction, photo.shape[:2])
            task.file.write(self._root / PREDICTIONS, task.name, name, prediction)
            colors = in_bands(_colorizer(task, prediction), prediction)
            del prediction  # before the picture's encoder, and the next task, need room
            _write_picture(self._color_file(task, name), colors)
        row = {
            "image": canvas.resize_for_print(photo, width, height),
            "name": on_one_line(name),
            "predictions": small,
        }
        panel = panels.draw([row], self._tasks, lines=("",), cell=PANEL_CELL)
        _write_picture(self._panel_file(name), panel)

    def _color_file(self, task: Task, name: str) -> pathlib.Path:
        return self._root / COLORS / task.name / f"{name}.png"

    def _panel_file(self, name: str) -> pathlib.Path:
        return self._root / PANELS / f"{name}.png"


def _colorizer(task: Task, prediction: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """Colours of parts of a prediction, on the scale of the whole."""
    scale = canvas.common_scale(task, [prediction])
    return lambda part: task.colorize(part, scale)


def _write_picture(path: pathlib.Path, picture: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with storage.whole_file(path) as partial:
        # Level 3 takes a third of the time of the default, for a tenth more bytes.
        Image.fromarray(picture).save(partial, format="PNG", compress_level=3)


def on_one_line(text: str) -> str:
    """Text of strangers, such as a file's name, as one legible line."""
    return legible(text).replace("\n", "\\n")
