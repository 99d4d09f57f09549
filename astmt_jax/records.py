"""Frozen records from plain dicts: every key known, every value of its type."""

import ast
import dataclasses
import difflib
import math
import re
import types
import typing
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeVar

if TYPE_CHECKING:
    from ml_collections import ConfigDict


class Written(str):
    """A value as it is written on a command line; `build_record` reads it as what the field holds.

    Numbers, True, False and None are written as in Python, texts without quotes, and lists joined
    by +.
    """

    def read(self, kind: Any) -> Any:
        """The value, with elements of a list still as they are written."""
        if typing.get_origin(kind) is tuple:
            return tuple(map(Written, self.split("+")))
        if kind is str:
            return str(self)
        try:
            return ast.literal_eval(self)
        except (ValueError, SyntaxError):
            return str(self)


class Record(Protocol):
    """Any dataclass."""

    __dataclass_fields__: ClassVar[dict[str, dataclasses.Field]]


Built = TypeVar("Built", bound=Record)


SHOWN = 100
"""Characters of a wrong value or name that a message holds, at most."""
NAME = re.compile(rf"[\w.-]{{1,{SHOWN}}}")


def shown(value: Any) -> str:
    """A wrong value as messages show it: as Python writes it, the first `SHOWN` characters."""
    try:
        written = repr(value)
    except ValueError:  # Python refuses to write whole numbers of thousands of digits
        return "a number of thousands of digits"
    return written if len(written) <= SHOWN else f"{written[:SHOWN]}..."


def shown_name(name: Any) -> str:
    """A name from a stranger as messages show it: as it is where it could be one of ours."""
    return name if isinstance(name, str) and NAME.fullmatch(name) else shown(name)


def check_choice(where: str, value, choices) -> None:
    """Raises ValueError naming `where` unless `value` is one of `choices`."""
    if value not in tuple(choices):
        options = ", ".join(str(choice) for choice in choices)
        raise ValueError(f"{where} is {shown(value)}, but must be one of: {options}.")


def check_range(where: str, value: float | None, low: float, high: float) -> None:
    """Raises ValueError naming `where` unless `value` is in low..high, or None."""
    if value is None or low <= value <= high:
        return
    wanted = f"at least {low:,}" if not value >= low else f"at most {high:,}"
    raise ValueError(f"{where} is {shown(value)}, but must be {wanted}.")


def section(values: Any, where: str) -> Mapping[str, Any]:
    """The values of a section; raises ValueError naming `where` if it is none."""
    if not isinstance(values, Mapping):
        raise ValueError(
            f"{where} is {shown(values)}, but must be a section with fields of its own."
        )
    return values


def build_record(record: type[Built], values: Mapping[str, Any], where: str) -> Built:
    """Makes a dataclass from a dict, converting nested ones, too.

    Raises:
      ValueError: naming the key, with `where` before it, that is unknown, missing or mistyped.
    """
    section(values, where)
    fields = _fields(record)
    for name in values:
        _check_known(name, fields, where)
    required = [
        name
        for name, field in fields.items()
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    ]
    missing = [name for name in required if name not in values]
    if missing:
        raise ValueError(f"{where} lacks {', '.join(missing)}.")
    return record(
        **{
            name: _convert(fields[name].type, value, f"{where}.{name}")
            for name, value in values.items()
        }
    )


def check_path(record: type[Record], path: str) -> None:
    """Checks that 'config.train.epochs', say, is a field of the record that is called `config`.

    What lies below a plain dict, such as a dataset's own options, is not checked.

    Raises:
      ValueError: naming the section in which a field is unknown, and the field that comes closest.
    """
    section: Any = record
    where, *names = path.split(".")
    for name in names:
        if not dataclasses.is_dataclass(section):
            return
        fields = _fields(section)
        _check_known(name, fields, where)
        section, where = fields[name].type, f"{where}.{name}"


def as_config_dict(record: Record) -> "ConfigDict":
    """A record as a ConfigDict, in which fields that are None have their type, too."""
    from ml_collections import ConfigDict, config_dict  # records do without it

    config = ConfigDict()
    for field in dataclasses.fields(record):
        value = getattr(record, field.name)
        if dataclasses.is_dataclass(value):
            config[field.name] = as_config_dict(value)
        elif value is None:
            kind = next(k for k in typing.get_args(field.type) if k is not type(None))
            config[field.name] = config_dict.placeholder(kind)
        else:
            config[field.name] = value
    return config


def _fields(record: Record | type[Record]) -> dict[str, dataclasses.Field]:
    return {field.name: field for field in dataclasses.fields(record) if field.init}


def _check_known(name: str, fields: Mapping[str, Any], where: str) -> None:
    if name not in fields:
        close = difflib.get_close_matches(str(name)[:SHOWN], fields, 1)
        hint = f"did you mean {close[0]}?" if close else f"known: {', '.join(fields)}."
        raise ValueError(f"{where}.{shown_name(name)} is not a field; {hint}")


def _convert(kind: Any, value: Any, where: str) -> Any:
    """`value` as `kind` (a record, a scalar type, a tuple or a union with None)."""
    if dataclasses.is_dataclass(kind):
        return build_record(kind, value, where)
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is types.UnionType:
        if value is None or (isinstance(value, Written) and value == "None"):
            return None
        kind = next(argument for argument in arguments if argument is not type(None))
        return _convert(kind, value, where)
    if isinstance(value, Written):
        value = value.read(kind)
    if origin is tuple and isinstance(value, list | tuple):
        return tuple(_convert(arguments[0], item, where) for item in value)
    if origin is dict:
        return dict(section(value, where))
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = _as_float(value)
    if kind is float and isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{where} is {value}, but must be a finite number.")
    numeric_bool = isinstance(value, bool) and kind is not bool
    if isinstance(kind, type) and isinstance(value, kind) and not numeric_bool:
        return value
    name = getattr(kind, "__name__", str(kind)) if origin is None else str(kind)
    raise ValueError(f"{where} is {shown(value)}, but must be of type {name}.")


def _as_float(value: int) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf
