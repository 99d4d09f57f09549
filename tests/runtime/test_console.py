"""Names from strangers on the terminal: shown as they are written, without effect."""

import io
import os
import subprocess
import sys

import pytest
from rich.table import Table

from astmt_jax.command_line.errors import told
from astmt_jax.runtime.console import LONGEST_LINE, Terminal, legible, tracked

NAMES = [
    "[bold]photo[/bold]",
    "[/]",
    "[link=https://example.org]a[/link]",
    "\x1b[31mred\x1b[0m",
    "\x1b]8;;https://example.org\x07link\x1b]8;;\x07",
    "title\x1b]0;hello\x07",
    "a\rb",
    "a\x08b",
    "a\u202eb",
    "a\udcffb",
    "a\x9b31mb",
]


def printed(*things):
    file = io.StringIO()
    Terminal(file=file, width=200, markup=False, highlight=False, emoji=False).print(*things)
    return file.getvalue()


@pytest.mark.parametrize("name", NAMES)
def test_names_are_shown_as_they_are_written(name):
    table = Table("name", title=name)
    table.add_row(name)
    shown = legible(name)
    assert shown.isprintable()
    assert shown.encode("ascii" if name.isascii() else "utf-8")
    assert name.startswith("[") == (shown == name)
    assert printed(f"File {name} is there.") == f"File {shown} is there.\n"
    assert printed(table).count(shown) == 2


@pytest.mark.parametrize("name", NAMES)
def test_names_in_errors_are_shown_as_they_are_written(name):
    with pytest.raises(SystemExit) as caught, told():
        raise ValueError(f"{name} is wrong.")
    assert str(caught.value) == f"Error: {legible(name)} is wrong."


def test_names_beside_bars_are_shown_as_they_are_written(monkeypatch):
    file = io.StringIO()
    console = Terminal(file=file, width=200, force_terminal=True, color_system=None)
    monkeypatch.setattr("astmt_jax.runtime.console.CONSOLE", console)
    assert list(tracked([1, 2], "[bold]a\x1b[31mb")) == [1, 2]
    assert r"[bold]a\x1b[31mb" in file.getvalue()


def test_text_stays_as_it_is():
    text = "J\u00fcrgen's \u0939\u093f\u0928\u094d\u0926\u0940\n\tsecond line \u00b1 0.1\u00b0"
    assert legible(text) == text
    assert legible("x" * 10**6) == "x" * LONGEST_LINE + "..."


def test_bars_do_not_move_where_nobody_watches():
    """A notebook's shell asks for colours, and keeps all that is printed."""
    loop = """
import time
from astmt_jax.runtime.console import tracked
for _ in tracked(range(50), "a"):
    time.sleep(0.01)
"""
    done = subprocess.run(
        [sys.executable, "-c", loop],
        capture_output=True,
        text=True,
        env=os.environ | {"FORCE_COLOR": "1"},
    )
    assert done.stdout.count("%") == 1
