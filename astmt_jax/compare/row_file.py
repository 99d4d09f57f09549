"""A ladder of one's own: a TOML file with a table for every row."""

import pathlib
import re
import tomllib
from collections.abc import Mapping
from typing import Any

from astmt_jax.compare.ladders import MULTI_TASK, SINGLE_TASK, Rows
from astmt_jax.compare.methods import Method
from astmt_jax.config import Config, from_config_dict
from astmt_jax.records import check_choice, shown

ENDING = ".toml"
LABEL = re.compile(r"(?=[^_\s])[^$|\\\x00-\x1f\x7f]{1,60}")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
SECTIONS = ("model", "discriminator", "optimizer", "augmentation", "train")
"""What rows may change; data, tasks and how they are scored are the comparison's."""
STARTS = (MULTI_TASK, "config")
"""What a row changes: plain multi-task learning, or the configuration as it is."""
_KEYS = ("label", "start", "changed", *SECTIONS)


def methods(config: Config, path: pathlib.Path) -> tuple[Method, ...]:
    """Single-task networks, plain multi-task learning, and the file's rows.

    Such as

        [wide]
        label = "multi-task, wide decoder"
        model.decoder_width = 128

        [astmt_wide]
        start = "config"
        changed = "wide"
        model.decoder_width = 128

    `label` is what tables call a row (default: its name), `start` one of `STARTS` (default: mtl),
    and `changed` the row before it with which it is compared seed by seed (default: mtl).

    Args:
      config: what all have in common.
      path: of the file.

    Raises:
      ValueError: the file cannot be read, or a row cannot be; names file, row and field.
    """
    ladder = Rows(config)
    for name, row in _rows(path).items():
        known = [method.name for method in ladder.methods()]
        try:
            _add(ladder, config, name, row, known)
        except ValueError as error:
            raise ValueError(f"{path}: row {shown(name)}: {error}") from error
    return ladder.methods()


def _rows(path: pathlib.Path) -> dict[str, Any]:
    try:
        rows = tomllib.loads(path.read_text("utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ValueError(f"{path} cannot be read as rows of a ladder ({reason}).") from error
    if not rows:
        raise ValueError(f"{path} has no row: write a table for each, such as [wide].")
    return rows


def _add(ladder: Rows, config: Config, name: str, row: Any, known: list[str]) -> None:
    if not NAME.fullmatch(name):
        raise ValueError("its name is also its folder's: use letters, digits, '_', '.' and '-'.")
    if name in known or name.startswith(f"{SINGLE_TASK}-"):
        raise ValueError("that name is taken: choose another.")
    if not isinstance(row, Mapping):
        raise ValueError(f"it is {shown(row)}, but must be a table, [{name}].")
    for key in row:
        check_choice("a key", key, _KEYS)
    start, changed = row.get("start", MULTI_TASK), row.get("changed", MULTI_TASK)
    check_choice("start", start, STARTS)
    check_choice("changed", changed, known)
    values = (ladder.plain if start == MULTI_TASK else config).to_dict()
    for section in SECTIONS:
        fields = row.get(section, {})
        if not isinstance(fields, Mapping):
            raise ValueError(f"{section} is {shown(fields)}, but must be a table.")
        values[section] = {**values[section], **fields}
    ladder.add_config(name, _label(row, name), from_config_dict(values), changed)


def _label(row: Mapping[str, Any], name: str) -> str:
    label = row.get("label", name)
    if not isinstance(label, str) or not LABEL.fullmatch(label):
        raise ValueError(
            f"label is {shown(label)}, but must be a line of 1 to 60 letters, digits and signs, "
            "but '$', '|' and '\\', that begins with no '_'."
        )
    return label
