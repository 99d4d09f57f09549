"""Arrays in .npy and .mat files from strangers: nothing is reserved for what a file only claims."""

import io
import math
import struct
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy  # loads scipy.io on first use

MAX_BYTES = 300 * 2**20
"""Most that a file may hold when it is decompressed."""
MAX_NESTED = 2**17
"""Most arrays in arrays (cells and fields of structs) of a MATLAB file."""
MAX_DEPTH = 20

_CELL, _STRUCT, _OBJECT, _SPARSE = 1, 2, 3, 5
_INT32, _MATRIX, _COMPRESSED = 5, 14, 15
_FLAGS, _COMPLEX = 8, 0x0800
"""Where an array's flags are in it, and one of them: imaginary parts follow the real ones."""
_KINDS = range(1, 16)
"""Arrays of arrays, characters, sparse and full numbers."""
_NUMBERS = (1, 2, 3, 4, 5, 6, 7, 9, 12, 13, 16, 17, 18)
"""Elements of numbers and texts; SciPy looks others up beyond the end of its table."""
_V4_SIZES = (8, 4, 4, 2, 2, 1)
_CLASSES = {
    "double": np.dtype(np.float64),
    "single": np.dtype(np.float32),
    "logical": np.dtype(np.bool_),
}


class ArrayError(ValueError):
    """A file holds no array, or claims to be larger than it is or may be."""


def npy(data: bytes) -> np.ndarray:
    """The array of an .npy file, read-only.

    Raises:
      ArrayError: it holds Python objects, or another number of elements than it says.
      Exception: whatever NumPy raises about a damaged header.
    """
    file = io.BytesIO(data)
    version = np.lib.format.read_magic(file)
    read_header = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }.get(version)
    if read_header is None:
        raise ArrayError(f"it is of version {version[0]}.{version[1]}")
    shape, by_columns, dtype = read_header(file)
    if dtype.hasobject:
        raise ArrayError("it holds Python objects")
    found = len(data) - file.tell()
    if min(shape, default=1) < 0 or math.prod(shape) * dtype.itemsize != found:
        raise ArrayError(f"it holds {found} bytes, which are no {dtype} of shape {shape}")
    values = np.frombuffer(data, dtype, math.prod(shape), file.tell())
    return values.reshape(shape, order="F" if by_columns else "C")


def matlab(data: bytes, variables: Sequence[str]) -> dict[str, Any]:
    """Those of some variables that a MATLAB file (up to version 7.2) has.

    Returns:
      By name arrays, those of numbers of the class that MATLAB gives them, or whatever else SciPy
      makes of the file.

    Raises:
      ArrayError: it would be larger than `MAX_BYTES`, or claims what it does not hold.
      Exception: whatever SciPy raises about a damaged file.
    """
    is_old = 0 in data[:4]
    order = "<" if data[126:128] == b"IM" else ">"
    if data.startswith(b"\x89HDF") or data[124:126] == (b"\0\2" if order == "<" else b"\2\0"):
        raise ArrayError("it is of version 7.3: save it with '-v7'")
    if is_old:
        _check_version_4(data)
    else:
        data = _inflated(data, order)
    found = scipy.io.loadmat(io.BytesIO(data), variable_names=list(variables))
    found = {name: found[name] for name in variables if name in found}
    if is_old:
        return found
    kinds = {name: kind for name, _, kind in scipy.io.whosmat(io.BytesIO(data))}
    return {name: _of_class(values, kinds[name]) for name, values in found.items()}


def _of_class(values: Any, kind: str) -> Any:
    """Numbers as MATLAB has them, which stores whole ones of any class as small integers."""
    dtype = _CLASSES.get(kind)
    if dtype is None or not isinstance(values, np.ndarray) or values.dtype.kind not in "iu":
        return values
    if values.size * dtype.itemsize > MAX_BYTES:
        raise ArrayError(f"a variable grows to more than {MAX_BYTES >> 20} MiB")
    return values.astype(dtype)


def _check_version_4(data: bytes) -> None:
    position = 0
    while position < len(data):
        header = data[position : position + 20]
        kind, rows, columns, is_complex, length = struct.unpack("<5i", header)
        if not 0 <= kind < 5000:
            kind, rows, columns, is_complex, length = struct.unpack(">5i", header)
        size = _V4_SIZES[kind // 10 % 10] * (1 + bool(is_complex))
        if min(rows, columns, length) < 0:
            raise ArrayError("a variable has a negative size")
        position += 20 + length + rows * columns * size
    if position > len(data):
        raise ArrayError("it ends within a variable")


def _inflated(data: bytes, order: str) -> bytes:
    """The same file without compression."""
    view = memoryview(data)
    parts, size, position, nested = [view[:128]], 0, 128, 0
    while position + 8 <= len(data):
        kind, length = struct.unpack_from(order + "II", data, position)
        end = position + 8 + length
        if end > len(data):
            raise ArrayError("it ends within a variable")
        part = view[position:end]
        if kind == _COMPRESSED:
            part = memoryview(zlib.decompressobj().decompress(part[8:], MAX_BYTES + 1 - size))
        size += len(part)
        if size > MAX_BYTES:
            raise ArrayError(f"it grows to more than {MAX_BYTES >> 20} MiB")
        nested = _count_nested(part, order, nested, 0)
        parts.append(part)
        position = end
    return b"".join(parts) if any(part.obj is not data for part in parts) else data


def _count_nested(part: memoryview, order: str, nested: int, depth: int) -> int:
    """`nested` and the arrays in an element; checks that SciPy, which trusts it, can read it."""
    if depth > MAX_DEPTH or nested > MAX_NESTED:
        raise ArrayError("it holds too many arrays in arrays")
    kind, content, _ = _element(part, 0, order)
    if kind != _MATRIX or not len(content):
        return nested + 1
    (flags,) = struct.unpack_from(order + "I", content, _FLAGS)  # where SciPy reads them
    sizes_kind, sizes, position = _element(content, _FLAGS + 8, order)
    _, _, position = _element(content, position, order)  # the name
    array_kind = flags & 0xFF
    if sizes_kind != _INT32 or len(sizes) % 4 or not 8 <= len(sizes) <= 4 * 32:
        raise ArrayError("a variable has no size")
    if array_kind not in _KINDS:
        raise ArrayError("it holds an object or a function")
    dimensions = struct.unpack(f"{order}{len(sizes) // 4}i", sizes)
    holds_arrays = array_kind in (_CELL, _STRUCT, _OBJECT)
    room = len(content) // (8 if holds_arrays else 1)
    if min(dimensions, default=0) < 0 or (array_kind != _SPARSE and math.prod(dimensions) > room):
        raise ArrayError(f"a variable claims the size {' x '.join(map(str, dimensions))}")
    numbers = 0  # elements of them; a struct has its fields' names, and how long they are
    while position + 8 <= len(content):
        start = position
        kind, _, position = _element(content, position, order)
        if holds_arrays and kind == _MATRIX:
            nested = _count_nested(content[start:position], order, nested, depth + 1)
        elif kind not in _NUMBERS or (holds_arrays and numbers == 3):
            raise ArrayError(f"a variable holds an element of the kind {kind}")
        else:
            numbers += 1
    wanted = (3 if array_kind == _SPARSE else 1) + bool(flags & _COMPLEX)
    if not holds_arrays and numbers < wanted:
        raise ArrayError("a variable lacks its numbers")
    return nested + 1


def _element(data: memoryview, position: int, order: str) -> tuple[int, memoryview, int]:
    """(kind, content, position of the next) of a data element, in its long or short form."""
    kind, length = struct.unpack_from(order + "II", data, position)
    if kind >> 16:
        length, kind = kind >> 16, kind & 0xFFFF
        return kind, data[position + 4 : position + 4 + length], position + 8
    end = position + 8 + length
    if end > len(data):
        raise ArrayError("it ends within a variable")
    return kind, data[position + 8 : end], position + 8 + -(-length // 8) * 8
