"""Files of a folder from strangers: read, or one sentence that names the file."""

import io
import pathlib
import tempfile

import numpy as np
import pictures_of_strangers as strangers
import pytest
import scipy.io
import scipy.sparse
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from astmt_jax.files.folder import Folder

CHECKS = settings(deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
PICTURES = {
    Folder.pixels: (np.uint8,),
    Folder.levels: (np.uint8,),
    Folder.class_ids: (np.uint8, np.uint16),
    Folder.numbers: (np.uint8, np.uint16),
    Folder.rgb: (np.uint8,),
}


def read(data, method, *arguments):
    """What a method of `Folder` gives of a file; None for one that is refused in one sentence."""
    with tempfile.TemporaryDirectory() as name:
        (pathlib.Path(name) / "file").write_bytes(data)
        try:
            return method(Folder(pathlib.Path(name), "mine"), "file", *arguments)
        except ValueError as error:
            message = str(error)
    assert message.startswith("file of mine ")
    assert message.endswith(".")
    assert "\n" not in message
    return None


def check_pictures(data):
    found = {method: read(data, method) for method in PICTURES}
    for method, values in found.items():
        if values is not None:
            assert (
                found[Folder.pixels] is None or values.shape[:2] == found[Folder.pixels].shape[:2]
            )
            assert values.dtype in PICTURES[method]
            assert values.ndim == (3 if method in (Folder.pixels, Folder.rgb) else 2)


@settings(CHECKS, max_examples=60)
@given(strangers.files())
def test_pictures(data):
    check_pictures(data)


@pytest.mark.slow
@settings(CHECKS, max_examples=3000)
@given(strangers.files())
def test_many_pictures(data):
    check_pictures(data)


@st.composite
def arrays(draw):
    """.npy and .mat files, sound ones and some with changed bytes."""
    shape = tuple(draw(st.lists(st.integers(0, 3), min_size=1, max_size=3)))
    kind = draw(st.sampled_from(["u1", "<u2", ">i4", "f4", "f8", "c8", "?", "O", "S3", "f8,i4"]))
    values = np.zeros(shape, kind)
    buffer = io.BytesIO()
    form = draw(st.sampled_from(["npy", "npz", "array", "struct", "sparse", "cell", "text"]))
    if form == "npy":
        np.save(buffer, values, allow_pickle=True)
    elif form == "npz":
        np.savez(buffer, values)
    else:
        numbers = np.zeros(shape)
        nested = {"field": {"deep": numbers}}
        cell = np.empty(shape, object)
        cell[...] = 1.0
        contents = {"array": numbers, "struct": nested, "cell": cell, "text": "words"}
        sparse = scipy.sparse.csc_matrix((3, 4))
        is_old = form == "array" and len(shape) < 3 and draw(st.booleans())
        options = {"format": "4"} if is_old else {}
        scipy.io.savemat(
            buffer,
            {"other": 1.0, "x": contents.get(form, sparse)},
            do_compression=not options and draw(st.booleans()),
            **options,
        )
    data = bytearray(buffer.getvalue())
    for _ in range(draw(st.integers(0, 3))):
        data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
    return bytes(data[: draw(st.sampled_from([len(data), len(data), len(data) // 2]))])


def check_arrays(data):
    values = read(data, Folder.array)
    if values is not None:
        assert values.dtype.kind in "biuf"
    assert isinstance(read(data, Folder.matlab, "x"), np.ndarray | None)


@settings(CHECKS, max_examples=100)
@given(arrays())
def test_arrays(data):
    check_arrays(data)


@pytest.mark.slow
@settings(CHECKS, max_examples=5000)
@given(arrays())
def test_many_arrays(data):
    check_arrays(data)
