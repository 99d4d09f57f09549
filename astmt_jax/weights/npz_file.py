"""NumPy's .npz: archives of arrays, read without pickle."""

import collections
import math
import pathlib
import zipfile
from collections.abc import Mapping

import numpy as np
from numpy.lib import format as npy

from astmt_jax.records import shown
from astmt_jax.weights import checks
from astmt_jax.weights.checks import Tensors, WeightsError

NUMBERS = "fiuc"
"""Kinds of NumPy's types that can be read; see `original.canonical_names` for those of weights."""


def read(path: pathlib.Path) -> Tensors:
    """The arrays by name; errors as in `files.read_tensors`."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            checks.check_members(path, members, tuple(checks.ZIP_KINDS))
            names = [member.filename.removesuffix(".npy") for member in members]
            twice = sorted(name for name, n in collections.Counter(names).items() if n > 1)
            checks.refuse(path, (f"{name} twice" for name in twice))
            forms = {n: _array_form(archive, m) for n, m in zip(names, members, strict=True)}
            checks.refuse(path, (f"{n}, {problem}" for n, (_, problem) in forms.items() if problem))
            checks.check_room(path, sum(size for size, _ in forms.values()))
            return {n: _array(archive, m) for n, m in zip(names, members, strict=True)}
    except WeightsError:
        raise
    except Exception as error:  # of a stranger's file
        raise checks.unreadable(path, "an archive of NumPy arrays", error) from error


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
    return checks.single_bytes(math.prod(shape), dtype.itemsize), None


def _array(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> np.ndarray:
    with archive.open(member) as file:
        return npy.read_array(file, allow_pickle=False)


def write(path: pathlib.Path, tensors: Tensors, notes: Mapping[str, str]) -> None:
    """Writes the arrays; there is no room for notes."""
    del notes
    np.savez(path, allow_pickle=False, **tensors)
