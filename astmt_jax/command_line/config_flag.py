"""The flag `--config`, and how a command that has it begins."""

import pathlib
import re
import sys
import types
from collections.abc import Callable, Mapping
from typing import Any

from absl import app, flags, logging
from ml_collections import ConfigDict, config_flags

from astmt_jax import plugins
from astmt_jax.command_line import arguments, configurations
from astmt_jax.command_line.errors import fail
from astmt_jax.config import Config, check_field, from_config_dict

CONFIG = config_flags.DEFINE_config_file(
    "config",
    None,
    "Settings: a file, or a configuration of the package, such as scenes or scenes:method=mtl.",
)
PLUGINS = re.compile(r"^--?config\.plugins[=\n](.*)$", re.MULTILINE)
"""What a command line, an argument on each line, says of plugins."""


def run(main: Callable[[list[str]], None], *required: str, configured: bool = True) -> None:
    """Runs a command that has `--config`.

    Args:
      main: the command, called with the program's name once the flags are read.
      required: names of the flags that have to be given.
      configured: whether --config is one of them.
    """
    if configured:
        flags.register_validator(
            "config",
            lambda value: value is not None,
            message="Give the settings, such as --config=configs/scenes.py.",
        )
    flags.mark_flags_as_required(required)
    for flag in flags.FLAGS.get_flags_for_module(__name__):  # --help shows the program's own
        flags.FLAGS.register_key_flag_for_module(sys.argv[0], flag)
    app.run(main, flags_parser=parse_flags)


def parse_flags(argv: list[str]) -> list[str]:
    """Reads the command line; what it gets wrong ends the program with one sentence.

    Returns:
      The program's name, as the only thing that is no flag.
    """
    for named in PLUGINS.findall("\n".join(argv)):  # configurations may use what they add
        _load_plugins(named)
    try:
        for field in re.findall(r"^--?(config\.[\w.]+)", "\n".join(argv), re.MULTILINE):
            check_field(field)
        rest = flags.FLAGS(configurations.with_files(argv))
        if flags.FLAGS["config"].present:
            CONFIG.value.lock()  # a file that could not be loaded is reported on first use
    except (flags.Error, ValueError, TypeError, LookupError, AttributeError, OSError) as error:
        fail(_first_cause(error))
    if flags.FLAGS["config"].present:
        _load_plugins(CONFIG.value.get("plugins", ""))
    if len(rest) > 1:
        fail(f"Unexpected arguments: {' '.join(rest[1:])}.")
    logging.set_verbosity(logging.ERROR)  # libraries' chatter would bury ours
    return rest


def _load_plugins(names: Any) -> None:
    """Loads what the settings name; a plugin that cannot be loaded ends the program."""
    if not isinstance(names, str):
        return  # `from_config_dict` says so, as of every field
    try:
        plugins.load(names)
    except plugins.PluginError as error:
        fail(str(error))


def define_path(name: str, help: str, **options: Any) -> flags.FlagHolder:
    """A flag whose value is a `pathlib.Path`, or None if it is not given."""
    serializer = flags.ArgumentSerializer()
    return flags.DEFINE(_PathParser(), name, None, help, serializer=serializer, **options)


def define_overwrite(output: str) -> flags.FlagHolder:
    """The flag --overwrite of a command that writes the file of another flag."""
    help = f"Replace the file of --{output} if it exists."
    # Several commands have it; they meet in one process only in tests.
    return flags.DEFINE_bool("overwrite", False, help, allow_override=True)


class _PathParser(flags.ArgumentParser):
    def parse(self, argument: str | pathlib.Path) -> pathlib.Path:
        return arguments.path(argument)

    def flag_type(self) -> str:
        return "path"


def settings(otherwise: Mapping[str, Any] = types.MappingProxyType({})) -> Config:
    """The settings of --config.

    Args:
      otherwise: field, such as 'train.normalize', to its value unless the command line sets it.

    Raises:
      ValueError: as `from_config_dict`.
    """
    config = ConfigDict(CONFIG.value)
    config.update_from_flattened_dict(
        {field: value for field, value in otherwise.items() if not sets(field)}
    )
    return from_config_dict(config)


def sets(field: str) -> bool:
    """Whether the command line sets a field of the settings, such as 'train.normalize'."""
    return field in config_flags.get_override_values(flags.FLAGS["config"])


def _first_cause(error: BaseException) -> str:
    """What went wrong first, where later errors only quote it together with a traceback."""
    if isinstance(error, flags.Error) and "Traceback" not in str(error):
        return str(error)
    while error.__context__ is not None:
        error = error.__context__
    if isinstance(error, OSError):
        return str(error).splitlines()[-1].strip()
    reason = " ".join(str(error.args[0] if error.args else error).split())
    if isinstance(error, KeyError | AttributeError):
        return f"the configuration has no field {reason}"
    return reason
