"""Checkpoints that are made to fill the memory: refused before anything is read of their arrays."""

import functools
import io
import json
import pathlib
import re
import shutil
import struct

import pytest
import tensorstore as ts
import zstandard
from measured import measured
from tiny_run import STEP, write_run

from astmt_jax.training import checkpoint_files

LARGE = 2**27
OTHERWISE = r"^params\S+kernel/\.zarray is described in another way than ours$"
INDEX = r"^its index has more than 64 MiB$"


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """A checkpoint as a run writes it."""
    write_run(tmp_path_factory.mktemp("strangers") / "run")
    return tmp_path_factory.getbasetemp() / "strangers0/run/checkpoints" / str(STEP)


@pytest.fixture
def theirs(sound, tmp_path):
    """A copy, to be changed."""
    return pathlib.Path(shutil.copytree(sound, tmp_path / "theirs"))


def keys_of(checkpoint, **config):
    folder = f"file://{checkpoint / checkpoint_files.ITEM}/"
    spec = {"driver": "ocdbt", "base": folder} | ({"config": config} if config else {})
    return ts.KvStore.open(spec).result()


def bomb(size):
    """Zeros of this size, compressed."""
    packed = io.BytesIO()
    with zstandard.ZstdCompressor(level=1).stream_writer(packed, closefd=False) as writer:
        for _ in range(size // 2**20):
            writer.write(bytes(2**20))
    return packed.getvalue()


def describe(checkpoint, value=None, **changes):
    """Describes an array otherwise, and replaces its only chunk."""
    keys = keys_of(checkpoint)
    name = next(
        key for key in keys.list().result() if key.startswith(b"params") and b"kernel/.z" in key
    )
    keys[name] = json.dumps(json.loads(keys[name]) | changes).encode()
    if value is not None:
        keys[name.replace(b".zarray", b"0.0.0.0")] = value


def large_nodes(checkpoint):
    """A tree whose nodes are as large as it says."""
    entries = {key: keys_of(checkpoint)[key] for key in keys_of(checkpoint).list().result()}
    folder = checkpoint / checkpoint_files.ITEM
    for path in (folder / "d", folder / "ocdbt.process_0"):
        shutil.rmtree(path)
    (folder / checkpoint_files.MANIFEST).unlink()
    keys = keys_of(checkpoint, max_decoded_node_bytes=2**31 - 1, max_inline_value_bytes=2**20)
    entries |= {f"optimizer.{i:03}".encode(): bytes(2**20) for i in range(LARGE // 2**20)}
    with ts.Transaction() as transaction:
        for key, value in entries.items():
            keys.with_transaction(transaction)[key] = value


def large_manifest(checkpoint):
    body = bomb(LARGE)
    header = struct.pack(">I", 0x0CDB3A2A) + struct.pack("<Q", 18 + len(body)) + b"\0\1"
    path = checkpoint / checkpoint_files.ITEM / checkpoint_files.MANIFEST
    path.write_bytes(header + body + bytes(4))


ATTACKS = {
    "a chunk larger than its array": (
        functools.partial(describe, chunks=[1, 1, LARGE, 1], value=bomb(4 * LARGE)),
        OTHERWISE,
    ),
    "chunks of another number of axes": (functools.partial(describe, chunks=[9]), OTHERWISE),
    "no chunks": (functools.partial(describe, chunks=None), OTHERWISE),
    "chunks of nothing": (functools.partial(describe, chunks=[1, 1, 0, 1]), OTHERWISE),
    "another compression": (
        functools.partial(describe, compressor={"id": "blosc", "cname": "lz4"}),
        OTHERWISE,
    ),
    "no compression": (functools.partial(describe, compressor=None), OTHERWISE),
    "texts": (functools.partial(describe, dtype="|S999999999"), OTHERWISE),
    "no type": (functools.partial(describe, dtype=[["a", "<f4", [LARGE]], 3]), OTHERWISE),
    "values": (
        functools.partial(describe, value=bytes(2**22)),
        r"^params\S+ has more bytes than its array$",
    ),
    "nodes": (large_nodes, INDEX),
    "the manifest": (large_manifest, INDEX),
    "no manifest": (
        lambda checkpoint: (checkpoint / "default" / checkpoint_files.MANIFEST).unlink(),
        r"^manifest\.ocdbt is missing$",
    ),
}


def test_what_a_run_writes_is_sound(sound):
    checkpoint_files.check(sound)


@pytest.mark.parametrize("attack", ATTACKS)
def test_claims(theirs, attack):
    spoil, words = ATTACKS[attack]
    spoil(theirs)
    found = measured(functools.partial(checkpoint_files.check, theirs))
    assert found.seconds < 5
    assert found.memory < 2**28
    assert re.match(words, found.told)


@pytest.mark.parametrize(
    "location",
    [
        "btreenode::../../d/a:0:9",
        "btreenode:/:d/a:0:9",
        "btreenode::/dev/zero:0:9",
        "value::d/a:0:9",
        "btreenode::d/a%00:0:9",
        "",
    ],
)
def test_no_file_outside_is_read(sound, location):
    with pytest.raises(ValueError, match=r"^its index leads to other files$"):
        checkpoint_files._stored(sound / "default", location, 99)


def test_metadata_as_large_as_they_may_be(theirs):
    """What Orbax makes of them stays within bounds, too: see the tests of strangers' folders."""
    path = theirs / checkpoint_files.ITEM / "_METADATA"
    path.write_bytes(bytes(checkpoint_files.MAX_METADATA_BYTES))
    checkpoint_files.check(theirs)
    path.write_bytes(bytes(checkpoint_files.MAX_METADATA_BYTES + 1))
    with pytest.raises(ValueError, match=r"^_METADATA has more than 8 MiB$"):
        checkpoint_files.check(theirs)
