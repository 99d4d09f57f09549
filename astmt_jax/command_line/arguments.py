"""The arguments of commands without `--config`, and how each is written."""

import argparse
import os
import pathlib
from collections.abc import Iterable
from typing import Any, NoReturn, overload

from absl import logging

from astmt_jax import plugins
from astmt_jax.config import DATA_DIR
from astmt_jax.records import Written
from astmt_jax.runtime.console import legible


def parser(command: str, description: str) -> argparse.ArgumentParser:
    """A parser for the arguments of `python -m astmt_jax.COMMAND`."""
    return _Parser(
        prog=f"python -m astmt_jax.{command}",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,  # one spelling
    )


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        super().error(legible(message))


def parse(parser: argparse.ArgumentParser, argv: list[str] | None) -> argparse.Namespace:
    """Reads the command line (None: the program's own) and loads the plugins that it names.

    Misuse ends the program with code 2, and a plugin that cannot be loaded with code 1.
    """
    args = parser.parse_args(argv)
    logging.set_verbosity(logging.ERROR)  # libraries' chatter would bury ours
    try:
        plugins.load(getattr(args, "plugins", ""))
    except plugins.PluginError as error:
        parser.exit(1, legible(f"Error: {error}\n"))
    return args


def add_workdir(parser: argparse.ArgumentParser) -> None:
    """Adds --workdir, the folder of a trained run, and --plugins, which no run chooses."""
    parser.add_argument("--workdir", required=True, type=path, help="folder of the trained run")
    add_plugins(parser)


def add_plugins(parser: argparse.ArgumentParser) -> None:
    """Adds --plugins, which `parse` loads."""
    about = "what adds tasks, datasets and backbones: modules or .py files, joined by +"
    parser.add_argument("--plugins", default="", metavar="NAME+NAME", help=about)


def add_output(
    parser: argparse.ArgumentParser, help: str, *, required: bool = False
) -> argparse._MutuallyExclusiveGroup:
    """Adds --output and --overwrite.

    Returns:
      The group of --overwrite, for other ways to go about what exists.
    """
    parser.add_argument("--output", required=required, type=path, help=help)
    existing = parser.add_mutually_exclusive_group()
    existing.add_argument("--overwrite", action="store_true", help="replace what exists")
    return existing


def add_dataset(parser: argparse.ArgumentParser, known: Iterable[str]) -> None:
    """Adds --dataset, one of `known` or of a plugin's, --plugins, --data_dir and --options."""
    parser.add_argument("--dataset", required=True, help=", ".join(known))
    add_plugins(parser)
    add_data_dir(parser)
    parser.add_argument(
        "--options",
        type=options,
        default={},
        metavar="NAME=VALUE,...",
        help="fields of the dataset's options, such as classes=40; a list is joined by +",
    )
    add_former(parser, "--option", "say --options=NAME=VALUE,NAME=VALUE")


def add_data_dir(parser: argparse.ArgumentParser) -> None:
    """Adds --data_dir, which no run chooses: its folder may come from a stranger."""
    about = f"where prepared datasets live (default: {DATA_DIR})"
    parser.add_argument("--data_dir", type=path, default=DATA_DIR, help=about)


def add_tasks(parser: argparse.ArgumentParser, default: str) -> None:
    """Adds --tasks, with what stands in the help for its default."""
    about = f"names joined by +, such as edge+normals (default: {default})"
    parser.add_argument("--tasks", type=task_names, help=about)


def add_former(parser: argparse.ArgumentParser, name: str, now: str) -> None:
    """Adds an argument that is no more, and is answered with what to say instead."""
    parser.add_argument(name, action=_Former, now=now, help=argparse.SUPPRESS)


class _Former(argparse.Action):
    def __init__(self, *args: Any, now: str, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self._now = now

    def __call__(self, parser, namespace, values, option_string=None):
        parser.error(f"there is no {option_string} any more: {self._now}")


def path(text: str | pathlib.Path) -> pathlib.Path:
    """A path, in which ~ is the home folder."""
    return pathlib.Path(os.path.expanduser(text))


def task_names(text: str) -> tuple[str, ...]:
    """Names joined by +."""
    if "," in text:
        raise argparse.ArgumentTypeError(f"names are joined by +: {text.replace(',', '+')}")
    return tuple(dict.fromkeys(text.split("+")))


def options(text: str) -> dict[str, Written]:
    """NAME=VALUE,NAME=VALUE as a dict, for `records.build_record` to read the values."""
    values: dict[str, Written] = {}
    for part in filter(None, text.split(",")):
        name, separator, value = part.partition("=")
        if not separator or not name.isidentifier():
            raise argparse.ArgumentTypeError(
                f"{text!r} is not of the form NAME=VALUE,NAME=VALUE, with lists joined by +, such "
                "as classes=40 or config=mine,semseg_classes=floor+wall"
            )
        if name in values:
            raise argparse.ArgumentTypeError(f"{name} stands twice in {text!r}")
        values[name] = Written(value)
    return values


def positive(text: str) -> int:
    """A whole number of at least 1."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is less than 1")
    return number


def numbers(text: str) -> tuple[float, ...]:
    """Numbers joined by commas."""
    return tuple(map(_number, text.split(",")))


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no number") from None


@overload
def output_file(
    output: pathlib.Path, overwrite: bool, own: None = None, flag: str = "--output"
) -> pathlib.Path: ...


@overload
def output_file(
    output: pathlib.Path | None, overwrite: bool, own: pathlib.Path, flag: str = "--output"
) -> pathlib.Path: ...


@overload
def output_file(
    output: pathlib.Path | None, overwrite: bool, own: None = None, flag: str = "--output"
) -> pathlib.Path | None: ...


def output_file(
    output: pathlib.Path | None,
    overwrite: bool,
    own: pathlib.Path | None = None,
    flag: str = "--output",
) -> pathlib.Path | None:
    """Where a command writes: what the flag names, or else the command's own file, if it has one.

    Raises:
      FileExistsError: what the flag names exists, and --overwrite was not said.
    """
    if output is None:
        return own
    if output.exists() and not overwrite:
        raise FileExistsError(
            f"{output} exists already: choose another {flag}, or say --overwrite to replace it."
        )
    return output
