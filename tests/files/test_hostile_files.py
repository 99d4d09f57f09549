"""Files that are made to fill the memory or to take for ever: one sentence each, soon."""

import contextlib
import functools
import io
import struct
import zlib

import cv2
import numpy as np
import pictures_of_strangers as strangers
import pytest
import scipy.io
import scipy.sparse
from measured import MAX_MEMORY, MAX_SECONDS, measured
from PIL import Image

from astmt_jax.files.folder import Folder


def check(tmp_path, data, read, *words):
    """What `read(folder, 'file')` says of a file."""
    (tmp_path / "file").write_bytes(data)
    found = measured(functools.partial(read, Folder(tmp_path, "mine"), "file"))
    assert found.seconds < MAX_SECONDS
    assert found.memory < MAX_MEMORY
    if words:
        assert found.told.startswith("file of mine ")
        assert "\n" not in found.told
    for word in words:
        assert word in found.told
    return found


def empty_png(width, height, color, rows=None):
    """A PNG of this size, whose pixels are all zero, and that has only some rows."""
    pack = zlib.compressobj()
    row = bytes(1 + width * {0: 1, 2: 3, 6: 4}[color])
    pixels = b"".join([*(pack.compress(row) for _ in range(rows or height)), pack.flush()])
    header = struct.pack(">IIBBBBB", width, height, 8, color, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", pixels), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(strangers.png_chunk(*chunk) for chunk in chunks)


def tags(count, claimed, more=b""):
    """A little-endian directory of tags, all of which claim the bytes of the whole file."""
    entry = b"".join(struct.pack("<HHII", 40000 + i, 7, claimed, 8) for i in range(count))
    return b"II*\0" + struct.pack("<I", 8) + struct.pack("<H", count) + entry + bytes(4) + more


def jpeg(*segments, size=(16, 16), progressive=False):
    """A JPEG file with segments after its start."""
    buffer = io.BytesIO()
    Image.new("RGB", size).save(buffer, "JPEG", progressive=progressive)
    data = buffer.getvalue()
    return data[:2] + b"".join(segments) + data[20:]  # without JFIF's own segment


def exif_segments(exif):
    """As many segments as EXIF needs, which Pillow puts together again."""
    parts = [exif[start : start + 65000] for start in range(0, len(exif), 65000)]
    return [b"\xff\xe1" + struct.pack(">H", len(part) + 8) + b"Exif\0\0" + part for part in parts]


def scans(count, width=8000, height=8000):
    """A progressive JPEG of many scans, all of which are empty."""
    data = bytearray(jpeg(progressive=True))
    frame, start = data.index(b"\xff\xc2"), data.index(b"\xff\xda")
    data[frame + 5 : frame + 9] = struct.pack(">HH", height, width)
    return bytes(data[:start] + data[start : start + 14] * count + data[start:])


def webp_claim():
    """A WebP header of 16,384 x 16,384 pixels around nothing."""
    canvas = bytes(4) + (16383).to_bytes(3, "little") * 2
    return b"RIFF" + struct.pack("<I", 22) + b"WEBPVP8X" + struct.pack("<I", 10) + canvas


def bmp_runs():
    header = struct.pack("<IiiHHIIiiII", 40, 9000, 9000, 1, 8, 1, 0, 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 0, 0, 0, 1078) + header + bytes(1024) + b"\1\0\0\0" * 9000


PICTURES = {
    "pixels": (lambda: empty_png(30000, 30000, 0, rows=9), "more than 89 million pixels"),
    "text": (
        lambda: strangers.png(
            8,
            0,
            1,
            [b"\0"],
            strangers.png_chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(2**26), 1)),
        ),
        "",
    ),
    "chunks": (
        lambda: strangers.png(8, 0, 1, [b"\0"], *[strangers.png_chunk(b"abCd", b"")] * 500_000),
        "chunks",
    ),
    "TIFF tags": (lambda: tags(20_000, 1_000_000, bytes(800_000)), "its tags claim more"),
    "EXIF tags": (
        lambda: jpeg(*exif_segments(tags(20_000, 1_000_000, bytes(800_000)))),
        "its tags claim more",
    ),
    "scans": (lambda: scans(2000), "scans"),
    "coefficients": (lambda: scans(1, 9000, 9000), "progressive and has 81 million pixels"),
    "WebP's canvas": (webp_claim, "more than 40 million pixels"),
    "comment": (lambda: b"P6\n#" + b"x" * 2**25 + b"\n1 1\n255\n123", "it has no size"),
    "text of pixels": (lambda: b"P3\n9000 9000\n255\n" + b"1 " * 2**23, "written out as text"),
    "runs": (bmp_runs, "compressed"),
    "PostScript": (
        lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n{} loop",
        "no picture",
    ),
}


@pytest.mark.parametrize("case", PICTURES)
def test_pictures(tmp_path, case):
    make, words = PICTURES[case]
    check(tmp_path, make(), Folder.picture, *filter(None, [words]))


@pytest.mark.slow
@pytest.mark.parametrize("color", [0, 2, 6])
def test_the_largest_picture_that_is_read(tmp_path, color):
    found = check(tmp_path, empty_png(9459, 9459, color), Folder.picture)
    assert not found.told


def mat(element):
    """A MATLAB file of one element of compressed bytes."""
    packed = zlib.compress(element, 1)
    return b" " * 124 + b"\0\1IM" + struct.pack("<II", 15, len(packed)) + packed


def matrix(kind, dimensions, content):
    """A MATLAB array called x."""
    sizes = struct.pack(f"<{len(dimensions)}i", *dimensions)
    body = struct.pack("<IIII", 6, 8, kind, 0) + struct.pack("<II", 5, len(sizes)) + sizes
    body += struct.pack("<HH4s", 1, 1, b"x") + content
    return struct.pack("<II", 14, len(body)) + body


def nested(levels):
    inner = b""
    for _ in range(levels):
        inner = matrix(1, (1, 1), inner)
    return inner


def sparse():
    buffer = io.BytesIO()
    scipy.io.savemat(buffer, {"x": scipy.sparse.csc_matrix((2**30, 2**16))})
    return buffer.getvalue()


MATLAB = {
    "2 GiB": (
        lambda: mat(
            matrix(9, (2**31 - 1, 1), struct.pack("<II", 2, 2**31 - 1) + bytes(320 * 2**20))
        ),
        "grows to more than 300 MiB",
    ),
    "cells": (lambda: mat(matrix(1, (2**22, 1), (b"\x0e" + bytes(7)) * 2**22)), "arrays"),
    "claim": (lambda: mat(matrix(1, (2**28, 1), b"")), "claims the size"),
    "depth": (lambda: mat(nested(4000)), "arrays in arrays"),
    "version 4": (lambda: struct.pack("<5i", 0, 2**20, 2**12, 0, 2) + b"x\0", "ends within"),
    "unknown kind": (  # which SciPy looks up beyond the end of its table, and crashes
        lambda: mat(matrix(5, (3, 4), struct.pack("<II", 0xDE05, 0) * 3)),
        "holds an element of the kind 56837",
    ),
    "function": (
        lambda: mat(matrix(16, (1, 1), matrix(6, (0, 0), b""))),
        "an object or a function",
    ),
    "sparse": (sparse, "must hold a full array"),
    "imaginary parts": (  # which SciPy takes from whatever comes next, and crashes
        lambda: (
            mat(matrix(6 | 0x0800, (1, 1), struct.pack("<IIII", 2, 1, 7, 0)))
            + mat(matrix(1, (0, 0), b""))
        ),
        "lacks its numbers",
    ),
    "sizes that are none": (  # a short element, of which SciPy makes an array of no axes
        lambda: mat(
            matrix(4, (1, 4), struct.pack("<II", 16, 4) + b"text").replace(
                struct.pack("<II", 5, 8), struct.pack("<HHI", 5, 1, 8)
            )
        ),
        "has no size",
    ),
    "another version": (
        lambda: b" " * 124 + b"\6\1IM" + matrix(1, (2**28, 1), b""),
        "claims the size",
    ),
    "version 7.3": (lambda: b" " * 124 + b"\0\2IM" + bytes(384) + b"\x89HDF", "save it with '-v7'"),
    "HDF5": (lambda: b"\x89HDF\r\n\x1a\n" + bytes(2000), "save it with '-v7'"),
}


@pytest.mark.parametrize("case", MATLAB)
def test_matlab(tmp_path, case):
    make, words = MATLAB[case]
    check(tmp_path, make(), functools.partial(Folder.matlab, variable="x"), words)


def read_changed(folder, seed=0):
    """Reads a file of all kinds of arrays with some bytes changed, again and again."""
    things = np.empty((1, 3), object)
    things[:] = [[{"a": np.zeros((3, 2), np.uint8), "b": "text"}, np.ones((2, 2)), 1j]]
    variables = {"x": things, "y": scipy.sparse.eye(3, format="csc"), "z": np.zeros((2, 2)) > 0}
    files, generator = [], np.random.default_rng(seed)
    for compressed in (False, True):
        buffer = io.BytesIO()
        scipy.io.savemat(buffer, variables, do_compression=compressed)
        files.append(buffer.getvalue())
    path = folder.root / "file"
    for number in range(1000):
        data = bytearray(files[number % 10 == 0])
        for _ in range(generator.integers(1, 4)):
            value = generator.integers(0, 256 if number % 2 else 20)
            data[generator.integers(124, len(data))] = value
        path.write_bytes(data)
        for name in variables:
            with contextlib.suppress(ValueError):
                folder.matlab("file", name)


def test_changed_bytes_of_matlab_files_end_in_a_sentence(tmp_path):
    """And never in a crash, nor in a warning."""
    found = measured(functools.partial(read_changed, Folder(tmp_path, "mine")))
    assert not found.told


def npy(header, version=1, content=b""):
    length = struct.pack("<H" if version == 1 else "<I", len(header))
    return b"\x93NUMPY" + bytes([version, 0]) + length + header + content


ARRAYS = {
    "shape": npy(b"{'descr': '<f8', 'fortran_order': False, 'shape': (100000, 10000000)}\n"),
    "negative": npy(
        b"{'descr': '<f8', 'fortran_order': False, 'shape': (-1,)}\n", content=bytes(8)
    ),
    "header": npy(b"(" * 2**26, 2),
    "objects": npy(b"{'descr': '|O', 'fortran_order': False, 'shape': (1,)}\n", content=bytes(8)),
    "archive": b"PK\3\4" + bytes(99),
    "empty": b"",
}


@pytest.mark.parametrize("case", ARRAYS)
def test_arrays(tmp_path, case):
    check(tmp_path, ARRAYS[case], Folder.array, "is not a readable array")


def test_files_beyond_the_limit_are_not_read(tmp_path):
    with open(tmp_path / "file", "wb") as file:
        file.truncate(2**32)
    for read in (Folder.picture, Folder.levels, Folder.array, Folder.names):
        found = measured(functools.partial(read, Folder(tmp_path, "mine"), "file"))
        assert found.told == "file of mine has more than 314,572,800 bytes, the most that is read."
        assert found.memory < 2**26


def test_a_long_list_takes_time_in_proportion(tmp_path):
    names = "".join(f"folder {i // 1000}/name {i}\n" for i in range(220_000))
    found = check(tmp_path, names.encode(), Folder.names)
    assert not found.told
    repeated = check(
        tmp_path, names.encode() + b"folder 0/name 7\n", Folder.names, "more than once"
    )
    assert max(found.seconds, repeated.seconds) < 5


def test_the_limits_leave_room_for_what_is_meant(tmp_path):
    """A progressive photo, EXIF, a struct of structs, an array in columns."""
    cv2.imwrite(str(tmp_path / "a.jpg"), np.zeros((99, 99, 3), np.uint8), [2, 1])
    Folder(tmp_path, "mine").picture("a.jpg")
    things = {"a": {"b": np.zeros((3, 4))}, "c": np.array([[1, "x"]], object)}
    scipy.io.savemat(tmp_path / "a.mat", {"x": things}, do_compression=True)
    assert Folder(tmp_path, "mine").matlab("a.mat", "x")["a"][0, 0]["b"][0, 0].shape == (3, 4)
    scipy.io.savemat(tmp_path / "a.mat", {"x": np.arange(6).reshape(2, 3)}, format="4")
    np.testing.assert_array_equal(Folder(tmp_path, "").matlab("a.mat", "x"), [[0, 1, 2], [3, 4, 5]])
    np.save(tmp_path / "a.npy", np.arange(6).reshape(2, 3).T)
    np.testing.assert_array_equal(Folder(tmp_path, "").array("a.npy"), [[0, 3], [1, 4], [2, 5]])
