"""Prints a script with which a shell completes commands, arguments, settings and configurations.

    astmt completion bash > ~/.local/share/bash-completion/completions/astmt
    astmt completion zsh >> ~/.zshrc

Asks every command for its arguments, which takes half a minute, once.
"""

import concurrent.futures
import dataclasses
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

from astmt_jax.command_line import arguments, configurations
from astmt_jax.commands.table import COMMANDS
from astmt_jax.config import Config

SHELLS = ("bash", "zsh")
ZSH = "autoload -U +X bashcompinit && bashcompinit\n"
ARGUMENT = re.compile(r"^  (?:-\w, )?--((?:\[no\])?[a-z]\w*)(:| [A-Z{])?", re.MULTILINE)
"""In a help: of argparse, with the name of its value after it, or of absl, with a colon."""
SCRIPT = """\
_astmt() {{
  local line="${{COMP_LINE:0:COMP_POINT}}" words
  local word="${{line##* }}" kept=""
  COMPREPLY=()
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W "{commands} --help" -- "$word"))
    return
  fi
  case "${{COMP_WORDS[1]}}" in
{cases}
  esac
  COMPREPLY=($(compgen -W "$words" -- "$word"))
  [[ "${{COMPREPLY[0]}}" == *= ]] && compopt -o nospace 2>/dev/null
  # What stands before the last = or : is a word of its own to bash.
  [[ "$COMP_WORDBREAKS" == *[=:]* ]] && kept="${{word%"${{word##*[=:]}}"}}"
  COMPREPLY=("${{COMPREPLY[@]#"$kept"}}")
}}
complete -o default -F _astmt astmt
"""


def script(shell: str, words: dict[str, tuple[str, ...]]) -> str:
    """The script for a shell.

    Args:
      shell: one of `SHELLS`; zsh has bash's completion, too.
      words: command -> what may follow it.
    """
    cases = "\n".join(f'    {name}) words="{" ".join(known)}" ;;' for name, known in words.items())
    text = SCRIPT.format(commands=" ".join(words), cases=cases)
    return ZSH + text if shell == "zsh" else text


def known_words() -> dict[str, tuple[str, ...]]:
    """Command -> its arguments; fields and names of configurations where it has --config."""
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        found = dict(zip(COMMANDS, pool.map(_arguments, COMMANDS), strict=True))
    settings = (
        *(f"--config={name}" for name in configurations.names()),
        *(f"--config.{field}=" for field in _fields(Config)),
    )
    found = {
        name: (*(word for word in words if word != "--config="), *settings)
        if "--config=" in words
        else words
        for name, words in found.items()
    }
    return found | {"completion": SHELLS}


def _arguments(name: str) -> tuple[str, ...]:
    """What the command's help says that it takes; nothing where an extra is missing."""
    command = [sys.executable, "-m", COMMANDS[name].module, "--help"]
    done = subprocess.run(command, capture_output=True, text=True)
    return tuple(dict.fromkeys(_typed(line) for line in ARGUMENT.findall(done.stdout)))


def _typed(argument: tuple[str, str]) -> str:
    """As it is typed: a switch as it is, all others with '='."""
    name, rest = argument
    if name.startswith("[no]"):
        return f"--{name.removeprefix('[no]')}"
    return f"--{name}=" if rest else f"--{name}"


def _fields(record: Any, before: str = "") -> Iterator[str]:
    for field in dataclasses.fields(record):
        if dataclasses.is_dataclass(field.type):
            yield from _fields(field.type, f"{before}{field.name}.")
        else:
            yield f"{before}{field.name}"


def main(argv: list[str] | None = None) -> None:
    """Prints the script; `argv` stands for the command line in tests."""
    parser = arguments.parser("commands.completion", __doc__)
    parser.add_argument("shell", choices=SHELLS)
    args = arguments.parse(parser, argv)
    print(script(args.shell, known_words()))


if __name__ == "__main__":
    main()
