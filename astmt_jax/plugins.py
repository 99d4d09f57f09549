"""Plugins: modules of others that add tasks, datasets and backbones; and the tables they add to.

A plugin calls `datasets.registry.add_task`, `datasets.registry.add_dataset` or
`models.families.add_backbone` when it is imported. It is imported because somebody names it on a
command line or in Python, and never because a run's folder does: that may come from a stranger.
"""

import importlib
import importlib.metadata
import importlib.util
import os
import pathlib
import re
import sys
import traceback
from collections.abc import Mapping
from typing import TypeVar

from astmt_jax.files.messages import one_line
from astmt_jax.records import shown, shown_name

GROUP = "astmt_jax.plugins"
"""Entry points of installed packages that are plugins."""
JOIN, ENDING = "+", ".py"
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")
"""What a task, dataset or backbone can be called: it names folders, and stands on command lines."""
_FILE = re.compile(r"[A-Za-z][\w-]*", re.ASCII)

Entry = TypeVar("Entry")


class PluginError(ValueError):
    """A plugin is missing, cannot be imported or adds what cannot be; one sentence that says so."""


class Registry(dict[str, Entry]):
    """Entries by name: the package's own, then those of plugins, in the order they came in.

    Args:
      what: what messages call an entry.
      kind: their type.
      own: the package's own.
    """

    def __init__(self, what: str, kind: type, own: Mapping[str, Entry]):
        super().__init__(own)
        self._what = what
        self._kind = kind
        self._added: dict[str, str] = {}

    def add(self, name: str, entry: Entry) -> None:
        """Adds an entry. The file that added a name may do so again, as a cell of a notebook does.

        Raises:
          PluginError: the name is taken or none, or the entry is not of the kind.
        """
        check_kind(f"The {self._what} {shown_name(name)}", entry, self._kind)
        if not isinstance(name, str) or not NAME.fullmatch(name):
            raise PluginError(
                f"A {self._what} is called {shown(name)}, but its name must be a letter and up to "
                "63 letters, digits and '_'."
            )
        plugin, owner = _calling_plugin(), self._added.get(name, "astmt_jax")
        if name in self and plugin != owner:
            raise PluginError(
                f"There is a {self._what} {name} already, of {owner}: choose another name."
            )
        self._added[name] = plugin
        self[name] = entry


def check_kind(what: str, value: object, kind: type) -> None:
    """Raises a PluginError unless a value that a plugin adds is of a type."""
    if not isinstance(value, kind):
        raise PluginError(f"{what} is {shown(value)}, but must be a {kind.__name__}.")


def names(text: str) -> tuple[str, ...]:
    """The names in what a setting or a command line says: 'a+b' is two."""
    return tuple(dict.fromkeys(filter(None, text.split(JOIN))))


def load(text: str) -> None:
    """Imports plugins, but for those that are imported already.

    Args:
      text: names joined by +. Each is a Python file (FOLDER/NAME.py, imported as NAME, its folder
        being searched last), an entry point of the group `GROUP`, or a module; '' is none.

    Raises:
      PluginError: one of them cannot be imported.
    """
    for name in names(text):
        _import(name, _file_module(name) if name.endswith(ENDING) else _module(name))


def _import(name: str, module: str) -> None:
    try:
        importlib.import_module(module)
    except (Exception, SystemExit) as error:  # a plugin raises whatever it likes
        missing = error.name if isinstance(error, ModuleNotFoundError) else None
        if missing and f"{module}.".startswith(f"{missing}."):
            raise PluginError(
                f"There is no plugin {shown_name(name)}: it is no file that ends in {ENDING}, no "
                f"module that Python finds, and none of the installed plugins "
                f"({', '.join(sorted(_entry_points())) or 'there are none'})."
            ) from error
        raise PluginError(
            f"The plugin {_shown_path(name)} cannot be imported{_line(error, module)}: "
            f"{_reason(error)}"
        ) from error


def _module(name: str) -> str:
    """The module of an entry point, or the one that is called so."""
    return _entry_points().get(name, name)


def _entry_points() -> dict[str, str]:
    """Name -> module of the plugins that are installed; nothing is imported."""
    found = importlib.metadata.entry_points(group=GROUP)
    return {it.name: re.split(r"[:\[]", it.value)[0].strip() for it in found}


def _file_module(name: str) -> str:
    """The name by which a file can be imported, by other processes, too.

    Raises:
      PluginError: there is no such file, or none that can be imported by its name.
    """
    shown_path = _shown_path(name)
    if not os.path.isfile(os.path.expanduser(name)):  # unlike `Path.is_file`, takes any text
        raise PluginError(f"There is no plugin {shown_path}: there is no such file.")
    path = pathlib.Path(os.path.expanduser(name)).resolve()
    if not _FILE.fullmatch(path.stem):
        raise PluginError(
            f"The plugin {shown_path} cannot be imported by its name: use letters, digits and '_'."
        )
    folder = str(path.parent)
    if folder not in sys.path:
        sys.path.append(folder)  # last, so that it hides nothing
        importlib.invalidate_caches()
    found = _origin(path.stem)
    if found != path:
        raise PluginError(
            f"The plugin {shown_path} is called as another module, {found or path.stem}: give the "
            "file another name."
        )
    return path.stem


def _origin(module: str) -> pathlib.Path | None:
    """The file of a module, once what it lies in is imported; None where there is none."""
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError, AttributeError):
        return None
    return None if spec is None or spec.origin is None else pathlib.Path(spec.origin).resolve()


def _line(error: BaseException, module: str) -> str:
    """Where in the plugin an error comes from, as far as that is known."""
    file = str(_origin(module))
    lines = [it.lineno for it in traceback.extract_tb(error.__traceback__) if it.filename == file]
    if isinstance(error, SyntaxError) and error.filename == file:  # no part of what it imports
        lines.append(error.lineno)
    return f" (line {lines[-1]})" if lines and lines[-1] else ""


def _reason(error: BaseException) -> str:
    """What an error says, as the end of a sentence."""
    if isinstance(error, PluginError):
        return str(error)
    what = one_line(error.msg if isinstance(error, SyntaxError) else error, 300).rstrip(".")
    kind = type(error).__name__
    return f"{kind}." if what == kind else f"{kind}: {what}."


def _shown_path(name: str) -> str:
    """A path as messages show it: as it is where it is printable and short."""
    return name if name.isprintable() and len(name) <= 200 else shown(name)


def _calling_plugin() -> str:
    """The file outside this package that adds something; the module, where it has no file."""
    frame = sys._getframe(1)
    while frame.f_back and str(frame.f_globals.get("__name__")).startswith("astmt_jax."):
        frame = frame.f_back
    file = frame.f_globals.get("__file__")
    return os.path.abspath(file) if file else str(frame.f_globals.get("__name__"))
