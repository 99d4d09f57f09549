"""A folder of somebody's predictions, TASK/NAME.png, .mat or .npy: what it holds, and lacks."""

import pathlib
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from astmt_jax.evaluation.predictor import resize_prediction
from astmt_jax.files.folder import Folder
from astmt_jax.tasks.task import Task

LISTED = 10
"""How many of the files with the same problem are named."""


def find_tasks(
    root: pathlib.Path, known: Mapping[str, Task], chosen: Sequence[str] | None
) -> tuple[Task, ...]:
    """The tasks to score: those chosen, or all that have a folder.

    Args:
      root: the folder of predictions.
      known: the records of the dataset's tasks, by name.
      chosen: names of tasks, each in `known`; None if nothing was chosen.

    Raises:
      ValueError: there is a folder that is no task's, or none at all, or a chosen task has none.
      FileNotFoundError: there is no such folder.
    """
    if not root.is_dir():
        raise FileNotFoundError(f"There is no folder {root}.")
    folders = sorted(p.name for p in root.iterdir() if p.is_dir() and not p.name.startswith("."))
    layout = f"{root} must hold one folder a task, TASK/NAME.png; tasks are {', '.join(known)}"
    if chosen is None:
        strange = [name for name in folders if name not in known]
        if strange:
            raise ValueError(
                f"{layout}, but it has {', '.join(strange)}: name the tasks to score with --tasks."
            )
        if not folders:
            raise ValueError(f"{layout}, but it has no folder.")
    lacking = [name for name in chosen or () if name not in folders]
    if lacking:
        raise ValueError(f"{layout}, but it has no {', '.join(lacking)}.")
    return tuple(known[name] for name in known if name in (chosen or folders))


class PredictionFolder:
    """The files of several tasks.

    Args:
      root: the folder of predictions.
      tasks: whose predictions to read; each has a folder.
    """

    def __init__(self, root: pathlib.Path, tasks: Sequence[Task]):
        self._root = root
        self._folder = Folder(root, str(root))
        self._tasks = tasks
        self._files = {task.name: _files(root / task.name) for task in tasks}
        self._problems: list[str] = []

    def unpredicted(self, names: Iterable[str]) -> dict[str, list[str]]:
        """By image, the tasks that have no prediction for it; images that have all are left out."""
        tasks = [task.name for task in self._tasks]
        lacking = {name: [t for t in tasks if name not in self._files[t]] for name in names}
        return {name: missing for name, missing in lacking.items() if missing}

    def check(self, names: Sequence[str], is_labelled: Callable[[str, str], bool]) -> None:
        """Checks that there is exactly one file for every image, and no other.

        The reference implementation writes none where an image is not labelled for the task, so
        that such a file may be there or not.

        Args:
          names: of all images of the split.
          is_labelled: `(image, task)` to whether the image is labelled for the task; only asked for
            what `unpredicted` lists.

        Raises:
          ValueError: listing what is missing, too much, or there twice.
        """
        missing, extra, repeated = [], [], []
        for name, tasks in self.unpredicted(names).items():
            missing += [f"{task}/{name}" for task in tasks if is_labelled(name, task)]
        known = set(names)
        for task in self._tasks:
            for name, paths in self._files[task.name].items():
                if name not in known or any(p.suffix not in task.file.endings for p in paths):
                    extra += [f"{task.name}/{path}" for path in paths]
                elif len(paths) > 1:
                    repeated += [f"{task.name}/{path}" for path in paths]
        problems = {
            "missing": missing,
            "not of this split, or not of a form that is read": extra,
            "there more than once": repeated,
        }
        lines = [_listing(problem, paths) for problem, paths in problems.items() if paths]
        if lines:
            raise ValueError(
                f"The predictions in {self._root} are not those of the split's {len(known)} images:"
                + "".join(f"\n  {line}" for line in lines)
            )

    def read(self, name: str, size: tuple[int, int], resize: bool) -> dict[str, np.ndarray]:
        """The predictions for one image, by task.

        What is wrong with a file is kept for `raise_problems`, and the prediction left out.

        Args:
          name: of the image.
          size: its height and width.
          resize: whether predictions of another size are resized to it, or a problem.
        """
        predictions = {}
        for task in self._tasks:
            for file in self._files[task.name].get(name, ()):
                path = f"{task.name}/{file}"
                try:
                    prediction = task.file.read(self._folder, path, task.name)
                    if resize:
                        prediction = resize_prediction(prediction, size)
                    self._folder.check_size(path, prediction, size)
                    predictions[task.name] = prediction
                except ValueError as error:
                    self.add_problem(error)
        return predictions

    def add_problem(self, error: ValueError) -> None:
        """Notes one more thing that is wrong with the predictions."""
        self._problems.append(str(error))

    @property
    def sound(self) -> bool:
        """Whether nothing has been wrong so far."""
        return not self._problems

    def raise_problems(self) -> None:
        """Raises a ValueError that lists what was wrong, if anything was."""
        if not self._problems:
            return
        lines = self._problems[:LISTED]
        rest = len(self._problems) - LISTED
        lines += [f"and {rest} more."] if rest > 0 else []
        raise ValueError(
            f"{len(self._problems)} predictions in {self._root} cannot be scored:"
            + "".join(f"\n  {line}" for line in lines)
        )


def _files(folder: pathlib.Path) -> dict[str, list[pathlib.PurePosixPath]]:
    """Image name -> its files, relative to the folder; hidden files are passed over.

    Names come with their letters composed, as `Folder.names` gives those of images.
    """
    files: dict[str, list[pathlib.PurePosixPath]] = {}
    for path in sorted(folder.rglob("*")):
        relative = pathlib.PurePosixPath(path.relative_to(folder).as_posix())
        if path.is_file() and not any(part.startswith(".") for part in relative.parts):
            name = unicodedata.normalize("NFC", str(relative.with_suffix("")))
            files.setdefault(name, []).append(relative)
    return files


def _listing(problem: str, names: Sequence[str]) -> str:
    rest = len(names) - LISTED
    more = f" and {rest} more" if rest > 0 else ""
    return f"{len(names)} {problem}: {', '.join(names[:LISTED])}{more}."
