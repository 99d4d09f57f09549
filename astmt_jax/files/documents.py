"""JSON from strangers, such as a run's settings: within limits, or refused in one sentence."""

import collections
import json
import math
import pathlib
from collections.abc import Iterator
from typing import Any

from astmt_jax.files import storage
from astmt_jax.files.messages import one_line

MAX_BYTES = 2**22
"""Of a document; ours have some thousands."""
MAX_DEPTH = 32
"""Of lists and objects in each other; ours have up to six."""


def read_document(path: pathlib.Path) -> Any:
    """The plain values of a JSON file in UTF-8.

    Raises:
      FileNotFoundError: there is no such file.
      OSError: it cannot be opened.
      ValueError: it is no regular file, too large, or what `parse_document` refuses; the message
        begins with the path.
    """
    try:
        data = storage.read_regular(path, MAX_BYTES)
    except IsADirectoryError as error:
        raise ValueError(f"{path} is a folder, but must be a file") from error
    except ValueError as error:
        raise ValueError(f"{path} {error}") from error
    try:
        return parse_document(data.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not a text in UTF-8") from error
    except ValueError as error:
        raise ValueError(f"{path} is not sound JSON ({error})") from error


def parse_document(text: str) -> Any:
    """The plain values of a JSON text.

    Raises:
      ValueError: it is no JSON, holds a number that is not finite, names a field twice, or nests
        deeper than `MAX_DEPTH`.
    """
    try:
        document = json.loads(
            text,
            object_pairs_hook=_fields,
            parse_constant=_not_finite,
            parse_float=_finite,
        )
    except RecursionError as error:
        raise ValueError(_too_deep()) from error
    except ValueError as error:
        raise ValueError(one_line(error, 120)) from error
    _check_depth(document)
    return document


def _fields(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        ((name, _),) = collections.Counter(name for name, _ in pairs).most_common(1)
        raise ValueError(f"the field {name!r} stands more than once")
    return fields


def _finite(text: str) -> float:
    number = float(text)
    return number if math.isfinite(number) else _not_finite(text)


def _not_finite(text: str) -> float:
    raise ValueError(f"{text} is no finite number")


def _check_depth(document: Any) -> None:
    level = [document]
    for _ in range(MAX_DEPTH):
        level = [item for value in level for item in _items(value)]
        if not level:
            return
    raise ValueError(_too_deep())


def _items(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        yield from value.values()
    elif isinstance(value, list):
        yield from value


def _too_deep() -> str:
    return f"more than {MAX_DEPTH} lists or objects lie in each other"
