"""What the files of a checkpoint claim: looked at before Orbax, which makes room for all of it.

Its arrays lie in a tree of keys (TensorStore's OCDBT): a manifest names the root, whose nodes are
compressed and hold keys with their values, or say in which file these are. Each array has a key
with its shape and that of its chunks, and one for each chunk, which is decompressed as a whole.
"""

import math
import os
import pathlib
import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import tensorstore as ts
import zstandard

from astmt_jax.files.documents import parse_document

ITEM = "default"
"""Folder of a checkpoint with the state."""
MANIFEST = "manifest.ocdbt"
DATA = "d"
"""Folders of a checkpoint with nodes and values; all else in it describes them."""
MAX_METADATA_BYTES = 2**23
MAX_SHARDING_BYTES = 2**26
"""Of the file that names every array's devices: 10 MiB for ResNet-101 on 512 of them."""
SHARDING = "_sharding"
MAX_TREE_BYTES = 2**26
"""Of the manifest and all nodes when they are decompressed: some hundred for each array."""
SHAPE_KEY = ".zarray"
OURS = {"compressor": "zstd", "fill_value": None, "filters": None, "order": "C", "zarr_format": 2}
"""How arrays are written here; other compressions, say, have other ways to fill the memory."""

_NUMBER = re.compile(r"[<|][fiub][1248]")
_HEADER, _CHECKSUM = 14, 4
"""Bytes around a node: kind, length, version and compression before it."""
_TOO_LARGE = f"its index has more than {MAX_TREE_BYTES >> 20} MiB"
_LOCATION = re.compile(r"(btreenode|value):([\w./-]*):([\w./-]+):(\d+):(\d+)")


def check(checkpoint: pathlib.Path) -> None:
    """Checks that a checkpoint can be read without waiting, and without filling the memory.

    What is read of it takes no more than the arrays that are asked for, and `MAX_TREE_BYTES`.

    Raises:
      ValueError: something is no file, claims to be larger than it may be, or is described in
        another way than ours.
    """
    for path in checkpoint.rglob("*"):
        if path.is_dir():
            continue
        if not path.is_file():
            raise ValueError(f"{path.name} is a pipe, a device or a link to nothing")
        limit = MAX_SHARDING_BYTES if path.name == SHARDING else MAX_METADATA_BYTES
        if path.parent.name != DATA and path.stat().st_size > limit:
            raise ValueError(f"{path.name} has more than {limit >> 20} MiB")
    folder = checkpoint / ITEM
    if not (folder / MANIFEST).is_file():
        raise ValueError(f"{MANIFEST} is missing")
    entries = list(_entries(folder))
    chunks = {
        entry["key"].removesuffix(SHAPE_KEY.encode()): _chunk_bytes(entry)
        for entry in entries
        if entry["key"].endswith(b"/" + SHAPE_KEY.encode())
    }
    for entry in entries:
        _check_value(entry, chunks)


def _entries(folder: pathlib.Path) -> Iterator[Mapping[str, Any]]:
    """The keys of the newest version, with their values or where these are.

    Raises:
      ValueError: it takes more than `MAX_TREE_BYTES`, or leads out of the folder.
    """
    room = MAX_TREE_BYTES - _decompressed((folder / MANIFEST).read_bytes(), MAX_TREE_BYTES)
    base = ts.KvStore.open({"driver": "file", "path": f"{folder}/"}).result()
    location = ts.ocdbt.dump(base).result()["versions"][-1]["root"].get("location")
    nodes = [] if location is None else [location]
    while nodes:
        location = nodes.pop()
        room -= _decompressed(_stored(folder, location, room), room)
        for entry in ts.ocdbt.dump(base, location).result()["entries"]:
            if "location" in entry:
                nodes.append(entry["location"])
            else:
                yield entry


def _stored(folder: pathlib.Path, location: str, limit: int) -> bytes:
    """The bytes of a node."""
    path, offset, length = _located(location, "btreenode")
    if length > limit:
        raise ValueError(_TOO_LARGE)
    with open(folder / path, "rb", buffering=0) as file:
        return os.pread(file.fileno(), length, offset)


def _located(location: str, kind: str) -> tuple[str, int, int]:
    """A file below the folder, and where in it how many bytes are."""
    found = _LOCATION.fullmatch(location)
    path = f"{found[2]}{found[3]}" if found else ""
    if found is None or found[1] != kind or path.startswith("/") or ".." in path.split("/"):
        raise ValueError("its index leads to other files")
    return path, int(found[4]), int(found[5])


def _decompressed(node: bytes, limit: int) -> int:
    """Bytes that a node, or the manifest, takes when it is decompressed, no more than the limit."""
    body = node[_HEADER:-_CHECKSUM]
    size = len(body)
    if node[_HEADER - 1 : _HEADER] == b"\1":
        with zstandard.ZstdDecompressor().stream_reader(body) as reader:
            size = 0
            while size <= limit and (read := reader.read(2**20)):
                size += len(read)
    if size > limit:
        raise ValueError(_TOO_LARGE)
    return len(node) + size


def _chunk_bytes(entry: Mapping[str, Any]) -> int:
    """Bytes of a chunk of an array, which are no more than those of the array."""
    described = parse_document(entry.get("inline_value", b"").decode())
    try:
        found = {**described, "compressor": described["compressor"]["id"]}
        ours = all(found[field] == value for field, value in OURS.items())
        ours = ours and _NUMBER.fullmatch(described["dtype"]) is not None
        chunks, shape = described["chunks"], described["shape"]
        fits = all(
            isinstance(a, int) and isinstance(b, int) and 0 < a <= max(b, 1)
            for a, b in zip(chunks, shape, strict=True)
        )
    except (TypeError, KeyError, ValueError) as error:
        raise ValueError(f"{_name(entry)} is described in another way than ours") from error
    if not (ours and fits):
        raise ValueError(f"{_name(entry)} is described in another way than ours")
    return np.dtype(described["dtype"]).itemsize * math.prod(chunks)


def _check_value(entry: Mapping[str, Any], chunks: Mapping[bytes, int]) -> None:
    """Checks that a value is no larger than a chunk that cannot be compressed."""
    location = entry.get("indirect_value")
    if location is None:
        return
    _, _, length = _located(location, "value")
    largest = chunks.get(entry["key"][: entry["key"].rfind(b"/") + 1], 0)
    if length > largest + largest // 128 + 2**10:
        raise ValueError(f"{_name(entry)} has more bytes than its array")


def _name(entry: Mapping[str, Any]) -> str:
    return entry["key"].decode(errors="backslashreplace")[:80]
