"""Files of named tensors: PyTorch's .pth and .pt, .safetensors and .npz.

Only .pth and .pt need PyTorch (the extra `torch`: `pip install '.[torch]'`). Nothing that a file
holds is executed. What a file says about itself is checked before there is room made for it.
"""

import pathlib
import types
from collections.abc import Callable, Mapping

import numpy as np

from astmt_jax.files import storage
from astmt_jax.weights import npz_file, safetensors_file, torch_file
from astmt_jax.weights.checks import Tensors, WeightsError

TORCH_ENDINGS = (".pth", ".pt")
_FORMATS: Mapping[str, tuple[Callable, Callable]] = {
    **dict.fromkeys(TORCH_ENDINGS, (torch_file.read, torch_file.write)),
    ".safetensors": (safetensors_file.read, safetensors_file.write),
    ".npz": (npz_file.read, npz_file.write),
}


def read_tensors(path: str | pathlib.Path) -> Tensors:
    """Reads a file's tensors by name; its ending tells the format.

    Returns:
      Name -> array in the file's layout; float16 and bfloat16 become float32, other dtypes stay.

    Raises:
      FileNotFoundError: there is no such file.
      WeightsError: another ending, the content is not what the ending says, what it holds is no
        array of numbers or takes more than `checks.MAX_BYTES`, or PyTorch is needed but not
        installed.
    """
    path = pathlib.Path(path)
    read, _ = _format(path)
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {path}.")
    return {name: _widened(value) for name, value in read(path).items()}


def read_notes(path: str | pathlib.Path) -> dict[str, str]:
    """What `write_tensors` noted in a .safetensors file; nothing for other files, or unreadable."""
    path = pathlib.Path(path)
    return safetensors_file.notes(path) if path.suffix == ".safetensors" else {}


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
        torch_file.imported(pathlib.Path(path))
    _format(pathlib.Path(path))


def _widened(value: np.ndarray) -> np.ndarray:
    """float16 and bfloat16 (which is not among NumPy's own floats) as float32."""
    half = value.dtype == np.float16 or value.dtype.name == "bfloat16"
    return value.astype(np.float32) if half else value


def _format(path: pathlib.Path) -> tuple[Callable, Callable]:
    if path.suffix not in _FORMATS:
        raise WeightsError(f"{path} must end in one of: {', '.join(_FORMATS)}.")
    return _FORMATS[path.suffix]
