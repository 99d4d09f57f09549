"""Files of named tensors: PyTorch's .pth and .pt, .safetensors and .npz.

Only .pth and .pt need PyTorch (the extra `torch`: `pip install '.[torch]'`). Nothing that a file
holds is executed: PyTorch's are read with `weights_only=True`, NumPy's without pickle.
"""

import pathlib
import types
import zipfile
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy

from astmt_jax.files import storage
from astmt_jax.files.messages import one_line

WRAPPERS = ("state_dict", "model_state", "model")
"""Keys under which training programs, the reference implementation's among them, keep the weights
when a file also holds the epoch or the optimizer's state."""

Tensors = dict[str, np.ndarray]


class WeightsError(ValueError):
    """Weights that cannot be read, or do not fit where they should go; the message says why."""


def read_tensors(path: str | pathlib.Path) -> Tensors:
    """Reads a file's tensors by name; its ending tells the format.

    Returns:
      Name -> array in the file's layout; float16 and bfloat16 become float32, other dtypes stay.

    Raises:
      FileNotFoundError: there is no such file.
      WeightsError: another ending, the content is not what the ending says, or PyTorch is needed
        but not installed.
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
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # unpickling a broken file raises nearly anything
        raise _unreadable(path, "PyTorch weights", error) from error
    for key in WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
            break
    if not isinstance(content, Mapping):
        raise WeightsError(f"{path} holds a {type(content).__name__}, but must hold a state dict.")
    others = [str(name) for name, value in content.items() if not isinstance(value, torch.Tensor)]
    if others:
        raise WeightsError(
            f"{path} is not a state dict: {', '.join(others[:5])} "
            f"{'is' if len(others) == 1 else 'are'} no tensor (weights may also lie under one of "
            f"the keys {', '.join(WRAPPERS)})."
        )
    return {name: _from_tensor(torch, value) for name, value in content.items()}


def _from_tensor(torch: types.ModuleType, value: Any) -> np.ndarray:
    """NumPy has no bfloat16, so that halves are widened before."""
    half = value.dtype in (torch.float16, torch.bfloat16)
    return (value.float() if half else value).detach().numpy()


def _write_torch(path: pathlib.Path, tensors: Tensors, notes: Mapping[str, str]) -> None:
    del notes
    torch = _import_torch(path)
    torch.save({name: torch.from_numpy(value.copy()) for name, value in tensors.items()}, path)


def _read_safetensors(path: pathlib.Path) -> Tensors:
    try:
        return safetensors.numpy.load_file(path)
    except (safetensors.SafetensorError, ValueError, KeyError, TypeError) as error:
        raise _unreadable(path, "safetensors", error) from error


def _write_safetensors(path: pathlib.Path, tensors: Tensors, notes: Mapping[str, str]) -> None:
    safetensors.numpy.save_file(tensors, path, metadata={"format": "pt", **notes})


def _read_npz(path: pathlib.Path) -> Tensors:
    try:
        if not zipfile.is_zipfile(path):
            raise ValueError("not a zip archive")
        with np.load(path, allow_pickle=False) as archive:
            names = archive.files
            tensors = {name: archive[name] for name in names}
    except (zipfile.BadZipFile, ValueError, EOFError, OSError) as error:
        raise _unreadable(path, "an archive of NumPy arrays", error) from error
    problems = [f"{name} twice" for name in sorted(set(names)) if names.count(name) > 1]
    problems += [
        f"{name}, of type {v.dtype}" for name, v in tensors.items() if v.dtype.kind in "VSUO"
    ]
    if problems:
        raise WeightsError(
            f"{path} must hold arrays of numbers, each once, but has {'; '.join(problems)}."
        )
    return tensors


def _write_npz(path: pathlib.Path, tensors: Tensors, notes: Mapping[str, str]) -> None:
    del notes
    np.savez(path, allow_pickle=False, **tensors)


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
