"""The configurations that come with the package: `--config=scenes` wherever it is installed."""

import os
import pathlib
from collections.abc import Sequence

FLAGS = ("--config", "-config")
PACKAGE = pathlib.Path(__file__).parents[1]


def folder() -> pathlib.Path:
    """Where they lie: within the package if it was installed, beside it in a clone."""
    installed = PACKAGE / "configs"
    return installed if installed.is_dir() else PACKAGE.parent / "configs"


def names() -> tuple[str, ...]:
    """Of all of them, in alphabetical order."""
    return tuple(sorted(path.stem for path in folder().glob("*.py")))


def with_files(argv: Sequence[str]) -> list[str]:
    """A command line with files in the place of the names that follow --config."""
    found: list[str] = []
    for text in argv:
        flag, equals, value = text.partition("=")
        if flag in FLAGS and equals:
            found.append(f"{flag}={located(value)}")
        elif found and found[-1] in FLAGS:
            found.append(located(text))
        else:
            found.append(text)
    return found


def located(text: str) -> str:
    """What --config says, with the file of a name in its place.

    Args:
      text: a file or a name, and its variant, such as 'scenes:size=small' or '~/mine.py'. A file
        called as a configuration is taken before it.

    Raises:
      ValueError: there is neither a file nor a configuration of that name.
    """
    name, colon, variant = text.partition(":")
    path = pathlib.Path(os.path.expanduser(name))
    if path.is_file() or name.endswith(".py") or len(path.parts) > 1:
        return f"{path}{colon}{variant}"
    if name not in names():
        raise ValueError(
            f"--config is {name!r}, which is no file and no configuration of the package: it has "
            f"{', '.join(names())}."
        )
    return f"{folder() / name}.py{colon}{variant}"
