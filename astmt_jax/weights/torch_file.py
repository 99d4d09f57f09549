"""PyTorch's .pth and .pt: state dicts. They need PyTorch, the extra `torch`.

Nothing that a file holds is executed: it is read with `weights_only=True`.
"""

import pathlib
import re
import types
import warnings
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np

from astmt_jax.weights import checks
from astmt_jax.weights.checks import Tensors, WeightsError

WRAPPERS = ("state_dict", "model_state", "model")
"""Keys under which training programs, the reference implementation's among them, keep the weights
when a file also holds the epoch or the optimizer's state."""

STORAGE = re.compile(r"/data/\w+$")
"""Names of the numbers in PyTorch's archives, which are mapped instead of read."""


def read(path: pathlib.Path) -> Tensors:
    """The tensors of a state dict by name; errors as in `files.read_tensors`."""
    torch = imported(path)
    content = _state_dict(torch, path)
    checks.refuse(
        path,
        (
            f"{name}, which is {problem}"
            for name, value in content.items()
            if (problem := _problem(torch, value))
        ),
    )
    checks.check_room(
        path, sum(checks.single_bytes(v.numel(), v.element_size()) for v in content.values())
    )
    return {name: _from_tensor(torch, value) for name, value in content.items()}


def _state_dict(torch: types.ModuleType, path: pathlib.Path) -> Mapping[str, Any]:
    """What the file holds, if it holds nothing but tensors by name."""
    content = _content(torch, path)
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
            f"{path} is not a state dict: {checks.some(others)} "
            f"{'is' if len(others) == 1 else 'are'} no tensor (weights may also lie under one of "
            f"the keys {', '.join(WRAPPERS)})."
        )
    return content


def _content(torch: types.ModuleType, path: pathlib.Path) -> Any:
    try:
        # Files of before PyTorch 1.6 are no archives, and cannot be mapped.
        mapped = zipfile.is_zipfile(path)
        if mapped:
            with zipfile.ZipFile(path) as archive:
                members = archive.infolist()
            checks.check_members(path, members, (zipfile.ZIP_STORED,))
            read = sum(m.file_size for m in members if not STORAGE.search(m.filename))
        checks.check_room(path, read if mapped else path.stat().st_size)
        with warnings.catch_warnings(action="ignore"):  # of kinds of tensors that are refused below
            return torch.load(path, map_location="cpu", weights_only=True, mmap=mapped or None)
    except WeightsError:
        raise
    except Exception as error:  # unpickling a broken file raises nearly anything
        raise checks.unreadable(path, "PyTorch weights", error) from error


def _problem(torch: types.ModuleType, value: Any) -> str | None:
    """Why a tensor is no plain array of numbers; None if it is one."""
    if value.layout != torch.strided:
        return f"of layout {str(value.layout).removeprefix('torch.')}"
    if value.is_nested or value.device.type != "cpu":
        return "nested" if value.is_nested else f"on the device {value.device.type}"
    if value.is_quantized or value.dtype not in _types(torch):
        return f"of type {str(value.dtype).removeprefix('torch.')}"
    if value.numel() * value.element_size() > value.untyped_storage().nbytes():
        return "a view that repeats its numbers"
    return None


def _types(torch: types.ModuleType) -> tuple[Any, ...]:
    floats = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
    whole = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)
    return (*floats, *whole, torch.complex64, torch.complex128)


def _from_tensor(torch: types.ModuleType, value: Any) -> np.ndarray:
    """NumPy has no bfloat16, so that halves are widened before."""
    half = value.dtype in (torch.float16, torch.bfloat16)
    return (value.float() if half else value).detach().resolve_conj().resolve_neg().numpy()


def write(path: pathlib.Path, tensors: Tensors, notes: Mapping[str, str]) -> None:
    """Writes a state dict; it has no room for notes."""
    del notes
    torch = imported(path)
    torch.save({name: torch.from_numpy(value.copy()) for name, value in tensors.items()}, path)


def imported(path: pathlib.Path) -> types.ModuleType:
    """PyTorch; a `WeightsError` about the file if it is not installed."""
    try:
        import torch
    except ModuleNotFoundError as error:
        raise WeightsError(
            f"{path} needs PyTorch, which is not installed: run pip install torch, or use a "
            ".safetensors or .npz file."
        ) from error
    return torch
