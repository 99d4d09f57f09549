"""Fields that had other names: refused by their new ones, but read where they are recorded."""

from collections.abc import Mapping
from typing import Any

FORMER_FIELDS = {
    "config.model.adapters": ("config.model.encoder_adapters", "config.model.decoder_adapters"),
}
"""Fields of earlier versions, and those that have their values today."""


def check_values(values: Any) -> None:
    """Checks that a configuration has no former field; a ValueError names those of today."""
    for path in FORMER_FIELDS:
        if _has(values, path):
            check_path(path)


def check_path(path: str) -> None:
    """Checks that 'config.train.epochs', say, is no former field; errors of `check_values`."""
    if path in FORMER_FIELDS:
        raise ValueError(f"{path} has become {' and '.join(FORMER_FIELDS[path])}: set these.")


def renamed(values: Any) -> Any:
    """A recorded configuration with the fields of today in place of former ones."""
    for former, current in FORMER_FIELDS.items():
        if _has(values, former):
            _, section, field = former.split(".")
            fields = dict(values[section])
            value = fields.pop(field)
            new = {path.rpartition(".")[2]: value for path in current}
            values = {**values, section: {**fields, **new}}
    return values


def _has(values: Any, path: str) -> bool:
    _, section, field = path.split(".")
    fields = values.get(section) if isinstance(values, Mapping) else None
    return isinstance(fields, Mapping) and field in fields
