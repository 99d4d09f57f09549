"""What is asked of an export."""

import dataclasses
import pathlib


@dataclasses.dataclass(frozen=True)
class Request:
    """What is exported, and where to.

    Attributes:
      workdir: folder of the trained run.
      output: file or folder to write.
      task: name of a task, or `program.ALL_TASKS`.
      size: height and width of the pictures, where the format needs them; None is the side at which
        the network saw them in training, twice.
    """

    workdir: pathlib.Path
    output: pathlib.Path
    task: str
    size: tuple[int, int] | None = None
