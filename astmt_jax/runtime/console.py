"""The terminal: where every command prints, and how it writes names and durations."""

import sys
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

from rich import progress
from rich.console import Console
from rich.text import Text

Item = TypeVar("Item")

LONGEST_LINE = 4000
"""Characters; what is longer, a name from a stranger's file, is cut."""


def legible(text: str) -> str:
    """A text whose lines show what is in them, and do nothing to the terminal.

    Control characters but for line ends and tabs, invisible ones, and bytes of file names that are
    no text are shown as Python writes them, such as \\x1b.
    """
    return "\n".join(map(_legible_line, text.split("\n")))


def _legible_line(line: str) -> str:
    if len(line) > LONGEST_LINE:
        line = f"{line[:LONGEST_LINE]}..."
    return "".join(
        character if character.isprintable() or character == "\t" else ascii(character)[1:-1]
        for character in line
    )


class Terminal(Console):
    """A console that shows texts as they are: names in them are neither markup nor commands."""

    def render_str(self, text: str, **settings: Any) -> Text:
        return super().render_str(legible(text), **settings)


CONSOLE = Terminal(
    emoji=False,
    highlight=False,
    markup=False,
    soft_wrap=True,
    # A notebook asks for colours (FORCE_COLOR), but would keep every frame of a moving bar.
    force_interactive=None if sys.stdout is not None and sys.stdout.isatty() else False,
)


class Description(progress.ProgressColumn):
    """What is being done, as it is written."""

    def render(self, task: progress.Task) -> Text:
        return Text(legible(task.description))


def tracked(items: Iterable[Item], description: str, total: int | None = None) -> Iterator[Item]:
    """The items, with a bar on the terminal that says how many are done.

    Args:
      items: in order.
      description: what stands before the bar.
      total: how many there are; None is their length.
    """
    columns = (
        Description(),
        progress.BarColumn(),
        progress.TaskProgressColumn(),
        progress.TimeRemainingColumn(elapsed_when_finished=True),
    )
    with progress.Progress(*columns, console=CONSOLE) as bar:
        yield from bar.track(items, total=total, description=description)


def format_duration(seconds: float) -> str:
    """Seconds as '1:02:03' or '2:03'."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
