"""Files of .safetensors, which have room for notes."""

import pathlib
import struct
from collections.abc import Mapping
from typing import Any

import safetensors
import safetensors.numpy

from astmt_jax.files import documents
from astmt_jax.records import shown
from astmt_jax.weights import checks
from astmt_jax.weights.checks import Tensors, WeightsError

TYPES = (
    *("F64", "F32", "F16", "BF16", "C64"),
    *("I64", "I32", "I16", "I8", "U64", "U32", "U16", "U8"),
)


def read(path: pathlib.Path) -> Tensors:
    """The tensors by name; errors as in `files.read_tensors`."""
    try:
        header = _header(path)
        others = [
            f"{name}, of type {shown(entry.get('dtype'))}"
            for name, entry in header.items()
            if entry.get("dtype") not in TYPES
        ]
        checks.refuse(path, others)
        return safetensors.numpy.load_file(path)
    except WeightsError:
        raise
    except Exception as error:  # of a stranger's file
        raise checks.unreadable(path, "safetensors", error) from error


def _header(path: pathlib.Path) -> dict[str, dict[str, Any]]:
    """What a file says of its tensors, by name; ValueError if that cannot be read."""
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        if length > documents.MAX_BYTES:
            raise ValueError(f"its header has {length:,} bytes")
        header = documents.parse_document(file.read(length).decode())
    if not isinstance(header, dict) or not all(isinstance(e, dict) for e in header.values()):
        raise ValueError("its header is no table of tensors")
    header.pop("__metadata__", None)
    checks.check_room(path, path.stat().st_size)
    return header


def write(path: pathlib.Path, tensors: Tensors, notes: Mapping[str, str]) -> None:
    """Writes the tensors, and the notes beside them."""
    safetensors.numpy.save_file(tensors, path, metadata={"format": "pt", **notes})


def notes(path: pathlib.Path) -> dict[str, str]:
    """What `write` noted in a file; nothing if it cannot be read."""
    try:
        with safetensors.safe_open(path, "numpy") as file:
            return file.metadata() or {}
    except (safetensors.SafetensorError, OSError):
        return {}
