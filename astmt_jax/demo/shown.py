"""What a visitor sees of a photo, while one task after the other is performed on it."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from astmt_jax.demo import legends
from astmt_jax.demo.performance import Performer
from astmt_jax.demo.uploads import overlay
from astmt_jax.tasks.task import Task

TIMES = """| task | modulation of | time without compilation |
| --- | --- | ---: |
"""


@dataclasses.dataclass(frozen=True)
class Shown:
    """What a visitor sees.

    Attributes:
      photo: uint8 (H, W, 3); None before there is one.
      colors: by task, its prediction in colours, uint8 (H, W, 3).
      legends: by task, what these colours mean, HTML.
      times: that the tasks took, a table in Markdown; '' before there is a prediction.
    """

    photo: np.ndarray | None = None
    colors: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)
    legends: Mapping[str, str] = dataclasses.field(default_factory=dict)
    times: str = ""

    def blended(self, task: str, opacity: float) -> np.ndarray | None:
        """A task's picture over the photo, uint8 (H, W, 3); None before there is one."""
        if self.photo is None or task not in self.colors:
            return None
        return overlay(self.photo, self.colors[task], opacity)


def performed(
    performer: Performer, tasks: Sequence[Task], photo: np.ndarray, modulation: str | None = None
) -> Iterator[Shown]:
    """What there is to see of a photo after each task.

    Args:
      performer: of a model's tasks.
      tasks: their records.
      photo: uint8 (H, W, 3).
      modulation: task whose modulation all tasks get; None is each its own.
    """
    records = {task.name: task for task in tasks}
    shown = Shown(photo, times=TIMES)
    for done in performer.perform(photo, modulation):
        task, whose = records[done.task], records[modulation or done.task]
        line = f"| {_cell(task)} | {_cell(whose)} | {1000 * done.seconds:.0f} ms |\n"
        shown = Shown(
            photo,
            {**shown.colors, done.task: done.colors},
            {**shown.legends, done.task: legends.legend(task, done.prediction)},
            shown.times + line,
        )
        yield shown


def _cell(task: Task) -> str:
    return legends.title(task).replace("|", "\\|")
