"""Files of named tensors: PyTorch's .pth and .pt, .safetensors and .npz.

Only .pth and .pt need PyTorch (the extra `torch`: `pip install '.[torch]'`). Nothing that a file
holds is executed: PyTorch's are read with `weights_only=True`, NumPy's without pickle. What a file
says about itself is checked before there is room made for it.
"""

import collections
import math
import pathlib
import re
import struct
import types
import warnings
import zipfile
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy
from numpy.lib import format as npy

from astmt_jax.files import documents, storage
from astmt_jax.files.messages import one_line
from astmt_jax.records import SHOWN, shown
from astmt_jax.weights.errors import WeightsError

WRAPPERS = ("state_dict", "model_state", "model")
"""Keys under which training programs, the reference implementation's among them, keep the weights
when a file also holds the epoch or the optimizer's state."""

MAX_BYTES = 3 * 2**28
"""Of a file's tensors together: twice what the paper's largest network takes."""
MAX_TENSORS = 2**16
MAX_PROBLEMS = 5
"""That a message lists."""
NUMBERS = "fiuc"
"""Kinds of NumPy's types that can be read; see `original.canonical_names` for those of weights."""
SAFETENSORS_TYPES = (
    *("F64", "F32", "F16", "BF16", "C64"),
    *("I64", "I32", "I16", "I8", "U64", "U32", "U16", "U8"),
)
STORAGE = re.compile(r"/data/\w+$")
"""Names of the numbers in PyTorch's archives, which are mapped instead of read."""
ZIP_KINDS = {zipfile.ZIP_STORED: "stored", zipfile.ZIP_DEFLATED: "deflated"}

Tensors = dict[str, np.ndarray]


def read_tensors(path: str | pathlib.Path) -> Tensors:
    """Reads a file's tensors by name; its ending tells the format.

    Returns:
      Name -> array in the file's layout; float16 and bfloat16 become float32, other dtypes stay.

    Raises:
      FileNotFoundError: there is no such file.
      WeightsError: another ending, the content is not what the ending says, what it holds is no
        array of numbers or takes more than `MAX_BYTES`, or PyTorch is needed but not installed.
    """
    path = pathlib.Path(path)
    read, _ = _format(path)
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {path}.")
    return {name: _widened(value) for name, value in read(path).items()}


def read_notes(path: str | pathlib.Path) -> dict[str, str]:
    """What `write_tensors` noted in a .safetensors file; nothing for other files, or unreadable."""
    if pathlib.Path(path).suffix != ".safetensors":
        return {}
    try:
        with safetensors.safe_open(path, "numpy") as file:
            return file.metadata() or {}
    except (safetensors.SafetensorError, OSError):
        return {}


def write_tensors(
    path: str | pathlib.Path,
    tensors: Mapping[str, np.ndarray],
    notes: Mapping[str, str] = types.MappingProxyType({}),
) -> None:
    """Writes named arrays in the format that the ending tells; a file of that name is replaced.

    Args:
      path: the file.
      tensors: what to write.
      notes: texts by name; only .safetensors files have room for them.

    Raises:
      WeightsError: another ending, or PyTorch is needed but not installed.
      OSError: the file cannot be written; one of that name is then as it was.
    """
    path = pathlib.Path(path)
    _, write = _format(path)
    contiguous = {name: np.ascontiguousarray(value) for name, value in tensors.items()}
    with storage.whole_file(path) as partial:
        write(partial, contiguous, notes)


def check_format(path: str | pathlib.Path) -> None:
    """Raises what `write_tensors` would raise about the ending, before there is what to write."""
    if pathlib.Path(path).suffix in TORCH_ENDINGS:
        _import_torch(pathlib.Path(path))
    _format(pathlib.Path(path))


def _widened(value: np.ndarray) -> np.ndarray:
    """float16 and bfloat16 (which is not among NumPy's own floats) as float32."""
    half = value.dtype == np.float16 or value.dtype.name == "bfloat16"
    return value.astype(np.float32) if half else value


def _read_torch(path: pathlib.Path) -> Tensors:
    torch = _import_torch(path)
    try:
        # Files of before PyTorch 1.6 are no archives, and cannot be mapped.
        mapped = zipfile.is_zipfile(path)
        if mapped:
            with zipfile.ZipFile(path) as archive:
                members = archive.infolist()
            _check_members(path, members, (zipfile.ZIP_STORED,))
            read = sum(m.file_size for m in members if not STORAGE.search(m.filename))
        _check_room(path, read if mapped else path.stat().st_size)
        with warnings.catch_warnings(action="ignore"):  # of kinds of tensors that are refused below
            content = torch.load(path, map_location="cpu", weights_only=True, mmap=mapped or None)
    except WeightsError:
        raise
    except Exception as error:  # unpickling a broken file raises nearly anything
        raise _unreadable(path, "PyTorch weights", error) from error
    for key in WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
            break
    if not isinstance(content, Mapping):
        raise WeightsError(f"{path} holds a {type(content).__name__}, but must hold a state dict.")
    others = [
        str(name)
        for name, value in content.items()
        if not isinstance(value, torch.Tensor) or not isinstance(name, str)
    ]
    if others:
        raise WeightsError(
            f"{path} is not a state dict: {_some(others)} "
            f"{'is' if len(others) == 1 else 'are'} no tensor (weights may also lie under one of "
            f"the keys {', '.join(WRAPPERS)})."
        )
    _refuse(
        path,
        (
            f"{name}, which is {problem}"
            for name, value in content.items()
            if (problem := _torch_problem(torch, value))
        ),
    )
    _check_room(path, sum(_single_bytes(v.numel(), v.element_size()) for v in content.values()))
    return {name: _from_tensor(torch, value) for name, value in content.items()}


def _torch_problem(torch: types.ModuleType, value: Any) -> str | None:
    """Why a tensor is no plain array of numbers; None if it is one."""
    if value.layout != torch.strided:
        return f"of layout {str(value.layout).removeprefix('torch.')}"
    if value.is_nested or value.device.type != "cpu":
        return "nested" if value.is_nested else f"on the device {value.device.type}"
    if value.is_quantized or value.dtype not in _torch_types(torch):
        return f"of type {str(value.dtype).removeprefix('torch.')}"
    if value.numel() * value.element_size() > value.untyped_storage().nbytes():
        return "a view that repeats its numbers"
    return None


def _torch_types(torch: types.ModuleType) -> tuple[Any, ...]:
    floats = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
    whole = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)
    return (*floats, *whole, torch.complex64, torch.complex128)


def _from_tensor(torch: types.ModuleType, value: Any) -> np.ndarray:
    """NumPy has no bfloat16, so that halves are widened before."""
    half = value.dtype in (torch.float16, torch.bfloat16)
    return (value.float() if half else value).detach().resolve_conj().resolve_neg().numpy()


def _write_torch(path: pathlib.Path, tensors: Tensors, notes: Mapping[str, str]) -> None:
    del notes
    torch = _import_torch(path)
    torch.save({name: torch.from_numpy(value.copy()) for name, value in tensors.items()}, path)


def _read_safetensors(path: pathlib.Path) -> Tensors:
    try:
        header = _safetensors_header(path)
        others = [
            f"{name}, of type {shown(entry.get('dtype'))}"
            for name, entry in header.items()
            if entry.get("dtype") not in SAFETENSORS_TYPES
        ]
        _refuse(path, others)
        tensors = safetensors.numpy.load_file(path)
    except WeightsError:
        raise
    except Exception as error:  # of a stranger's file
        raise _unreadable(path, "safetensors", error) from error
    return tensors


def _safetensors_header(path: pathlib.Path) -> dict[str, dict[str, Any]]:
    """What a file says of its tensors, by name; ValueError if that cannot be read."""
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        if length > documents.MAX_BYTES:
            raise ValueError(f"its header has {length:,} bytes")
        header = documents.parse_document(file.read(length).decode())
    if not isinstance(header, dict) or not all(isinstance(e, dict) for e in header.values()):
        raise ValueError("its header is no table of tensors")
    header.pop("__metadata__", None)
    _check_room(path, path.stat().st_size)
    return header


def _write_safetensors(path: pathlib.Path, tensors: Tensors, notes: Mapping[str, str]) -> None:
    safetensors.numpy.save_file(tensors, path, metadata={"format": "pt", **notes})


def _read_npz(path: pathlib.Path) -> Tensors:
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            _check_members(path, members, tuple(ZIP_KINDS))
            names = [member.filename.removesuffix(".npy") for member in members]
            twice = sorted(name for name, n in collections.Counter(names).items() if n > 1)
            _refuse(path, (f"{name} twice" for name in twice))
            forms = {n: _array_form(archive, m) for n, m in zip(names, members, strict=True)}
            _refuse(path, (f"{n}, {problem}" for n, (_, problem) in forms.items() if problem))
            _check_room(path, sum(size for size, _ in forms.values()))
            return {n: _array(archive, m) for n, m in zip(names, members, strict=True)}
    except WeightsError:
        raise
    except Exception as error:  # of a stranger's file
        raise _unreadable(path, "an archive of NumPy arrays", error) from error


def _array_form(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> tuple[int, str | None]:
    """The room that an array takes, and why it cannot be read (None if it can)."""
    with archive.open(member) as file:
        if file.read(len(npy.MAGIC_PREFIX)) != npy.MAGIC_PREFIX:
            return 0, "no array"
    with archive.open(member) as file:
        version = npy.read_magic(file)
        read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, _, dtype = read(file)
        left = member.file_size - file.tell()
    size = math.prod(shape) * dtype.itemsize
    if dtype.kind not in NUMBERS:
        return 0, f"of type {dtype}"
    if min(shape, default=0) < 0 or size != left:
        return 0, f"of shape {shown(shape)} in {left:,} bytes"
    return _single_bytes(math.prod(shape), dtype.itemsize), None


def _array(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> np.ndarray:
    with archive.open(member) as file:
        return npy.read_array(file, allow_pickle=False)


def _write_npz(path: pathlib.Path, tensors: Tensors, notes: Mapping[str, str]) -> None:
    del notes
    np.savez(path, allow_pickle=False, **tensors)


def _check_members(
    path: pathlib.Path, members: list[zipfile.ZipInfo], kinds: tuple[int, ...]
) -> None:
    """Refuses archives that are encrypted, compressed in other ways, or become too large."""
    wanted = " or ".join(ZIP_KINDS[kind] for kind in kinds)
    _refuse(
        path,
        (
            f"{member.filename}, which is encrypted or not {wanted}"
            for member in members
            if member.flag_bits & 1 or member.compress_type not in kinds
        ),
    )
    if len(members) > MAX_TENSORS:
        raise WeightsError(
            f"{path} holds {len(members):,} files, but at most {MAX_TENSORS:,} are read."
        )


def _check_room(path: pathlib.Path, size: int) -> None:
    if size > MAX_BYTES:
        raise WeightsError(
            f"{path} would take {size:,} bytes of memory, but at most {MAX_BYTES:,} are given to "
            "weights."
        )


def _single_bytes(count: int, itemsize: int) -> int:
    """The room of so many numbers, of which halves become single."""
    return count * max(itemsize, 4)


def _refuse(path: pathlib.Path, problems: Iterable[str]) -> None:
    """Raises a `WeightsError` that lists the first problems, if there is any."""
    listed = list(problems)
    if listed:
        raise WeightsError(
            f"{path} must hold arrays of numbers, each once, but has {_some(listed, '; ')}."
        )


def _some(items: list[str], separator: str = ", ") -> str:
    """The first of some names, which may be a stranger's."""
    rest = len(items) - MAX_PROBLEMS
    more = f" and {rest} more" if rest > 0 else ""
    return separator.join(one_line(item, SHOWN) for item in items[:MAX_PROBLEMS]) + more


def _unreadable(path: pathlib.Path, kind: str, error: Exception) -> WeightsError:
    return WeightsError(
        f"{path} cannot be read as {kind} (damaged, incomplete or of another kind: "
        f"{one_line(error, 200)})."
    )


def _import_torch(path: pathlib.Path) -> types.ModuleType:
    try:
        import torch
    except ModuleNotFoundError as error:
        raise WeightsError(
            f"{path} needs PyTorch, which is not installed: run pip install torch, or use a "
            ".safetensors or .npz file."
        ) from error
    return torch


TORCH_ENDINGS = (".pth", ".pt")
_FORMATS: Mapping[str, tuple[Callable, Callable]] = {
    **dict.fromkeys(TORCH_ENDINGS, (_read_torch, _write_torch)),
    ".safetensors": (_read_safetensors, _write_safetensors),
    ".npz": (_read_npz, _write_npz),
}


def _format(path: pathlib.Path) -> tuple[Callable, Callable]:
    if path.suffix not in _FORMATS:
        raise WeightsError(f"{path} must end in one of: {', '.join(_FORMATS)}.")
    return _FORMATS[path.suffix]
