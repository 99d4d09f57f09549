"""All commands as one: `astmt COMMAND ...`, such as `astmt train --config=scenes`.

Each is a module, which `python -m` runs just as well; `astmt COMMAND --help` shows its arguments.
"""

import difflib
import os
import runpy
import sys
import textwrap
from collections.abc import Sequence

from astmt_jax.commands.table import COMMANDS, EXTRAS


def main(argv: Sequence[str] | None = None) -> None:
    """Runs the command that the arguments (default: the program's own) name first."""
    name, *arguments = (sys.argv[1:] if argv is None else argv) or ["--help"]
    if name in ("--help", "-h", "help"):
        _print(usage())
        return
    if name not in COMMANDS:
        close = difflib.get_close_matches(name, COMMANDS, 1)
        hint = f"did you mean {close[0]}?" if close else f"known: {', '.join(COMMANDS)}."
        sys.exit(f"Error: astmt has no command {name[:60]!r}; {hint}")
    command = COMMANDS[name]
    sys.argv = [name, *command.arguments, *arguments]
    try:
        runpy.run_module(command.module, run_name="__main__", alter_sys=True)
    except ModuleNotFoundError as error:
        sys.exit(_lacks(name, error))


def usage() -> str:
    """What `astmt --help` prints."""
    width = max(map(len, COMMANDS))
    lines = "\n".join(f"{name:{width}}  {command.about}" for name, command in COMMANDS.items())
    return f"{__doc__.strip()}\n\nCommands:\n{textwrap.indent(lines, '  ')}"


def _print(text: str) -> None:
    """Prints to whom may have read enough before the end, such as `head`."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes once more


def _lacks(name: str, error: ModuleNotFoundError) -> str:
    """The sentence for a package that another installation has; the error itself for others."""
    package = (error.name or "").partition(".")[0]
    for extra, packages in EXTRAS.items():
        if package in packages:
            return (
                f"Error: astmt {name} needs {package}, which is not installed: "
                f"pip install 'astmt_jax[{extra}]'"
            )
    raise error


if __name__ == "__main__":
    main()
