"""Files of tensors: what is written comes back, and what is no such file is named in a sentence."""

import importlib.util
import json
import struct
import sys
import warnings
import zipfile

import ml_dtypes
import numpy as np
import pytest

from astmt_jax.weights.errors import WeightsError
from astmt_jax.weights.files import read_notes, read_tensors, write_tensors

needs_torch = pytest.mark.skipif(
    importlib.util.find_spec("torch") is None, reason="PyTorch is optional"
)
ENDINGS = [
    ".npz",
    ".safetensors",
    pytest.param(".pth", marks=needs_torch),
    pytest.param(".pt", marks=needs_torch),
]
TENSORS = {
    "layer1.0.conv1.weight": np.random.default_rng(0).standard_normal((4, 3, 2, 2)).astype("f4"),
    "bn1.running_var": np.array([1.0, np.pi], np.float64),
    "bn1.num_batches_tracked": np.array(7),
    "transposed": np.arange(6, dtype=np.float32).reshape(2, 3).T,
    "empty": np.zeros((0, 3), np.float32),
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_round_trip_is_exact(tmp_path, ending):
    path = tmp_path / f"weights{ending}"
    write_tensors(path, TENSORS)
    found = read_tensors(path)
    assert found.keys() == TENSORS.keys()
    for name, value in TENSORS.items():
        assert found[name].dtype == value.dtype
        np.testing.assert_array_equal(found[name], value)
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("ending", [".npz", ".safetensors"])
def test_half_precision_becomes_single(tmp_path, ending):
    """Values that both halves represent exactly; NumPy's archives have no bfloat16."""
    values = np.array([1.5, -0.25, 96.0])
    kinds = [np.float16] if ending == ".npz" else [np.float16, ml_dtypes.bfloat16]
    path = tmp_path / f"weights{ending}"
    write_tensors(path, {kind.__name__: values.astype(kind) for kind in kinds})
    found = read_tensors(path)
    assert len(found) == len(kinds)
    for value in found.values():
        assert value.dtype == np.float32
        np.testing.assert_array_equal(value, values)


def test_safetensors_follow_the_published_layout(tmp_path):
    """Length of the header, header, data, written by hand."""
    header = json.dumps(
        {
            "__metadata__": {"format": "pt"},
            "fc.bias": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]},
            "half": {"dtype": "BF16", "shape": [1, 2], "data_offsets": [8, 12]},
        }
    ).encode()
    data = np.array([1, -2], "<f4").tobytes() + bytes([0xC0, 0x3F, 0x00, 0xC0])  # 1.5 and -2
    path = tmp_path / "weights.safetensors"
    path.write_bytes(struct.pack("<Q", len(header)) + header + data)
    found = read_tensors(path)
    assert found.keys() == {"fc.bias", "half"}
    np.testing.assert_array_equal(found["fc.bias"], [1, -2])
    np.testing.assert_array_equal(found["half"], [[1.5, -2]])


@needs_torch
@pytest.mark.parametrize("key", ["state_dict", "model_state", "model", None])
def test_weights_beside_other_state(tmp_path, key):
    """As training programs save them, with epoch and optimizer; halves become float32."""
    import torch

    weights = {"conv1.weight": torch.ones(2, 3, 1, 1, dtype=torch.bfloat16)}
    path = tmp_path / "weights.pth"
    torch.save(weights if key is None else {"epoch": 3, "optimizer": {}, key: weights}, path)
    found = read_tensors(path)
    assert found.keys() == {"conv1.weight"}
    assert found["conv1.weight"].dtype == np.float32
    np.testing.assert_array_equal(found["conv1.weight"], np.ones((2, 3, 1, 1)))


@needs_torch
def test_pickled_code_is_not_run(tmp_path):
    import torch

    class Malicious:
        def __reduce__(self):
            return pathlib_touch, (str(tmp_path / "touched"),)

    path = tmp_path / "weights.pth"
    torch.save({"conv1.weight": Malicious()}, path)
    assert_one_sentence(path, [str(path), "PyTorch weights"])
    assert not (tmp_path / "touched").exists()


def pathlib_touch(path):
    open(path, "w").close()


@needs_torch
def test_other_pytorch_files_are_explained(tmp_path):
    import torch

    path = tmp_path / "weights.pth"
    torch.save({"epoch": 3, "conv1.weight": torch.ones(2)}, path)
    assert_one_sentence(path, [str(path), "epoch is no tensor", "state_dict"])
    torch.save([torch.ones(2)], path)
    assert_one_sentence(path, [str(path), "list", "state dict"])
    path.write_bytes(b"not weights")
    assert_one_sentence(path, [str(path), "PyTorch weights"])


def assert_one_sentence(path, words, kind=WeightsError):
    with pytest.raises(kind) as caught:
        read_tensors(path)
    message = str(caught.value)
    assert "\n" not in message
    assert message.endswith(".")
    for word in words:
        assert word in message


def test_missing_file(tmp_path):
    path = tmp_path / "nothing.npz"
    assert_one_sentence(path, [f"no file {path}"], FileNotFoundError)


def test_unknown_ending(tmp_path):
    path = tmp_path / "weights.bin"
    path.write_bytes(b"")
    assert_one_sentence(path, [str(path), ".pth, .pt, .safetensors, .npz"])
    with pytest.raises(WeightsError, match=r"\.pth, \.pt, \.safetensors, \.npz"):
        write_tensors(path, TENSORS)


def test_pytorch_is_missing(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    path = tmp_path / "weights.pth"
    path.write_bytes(b"anything")
    words = [str(path), "pip install torch", ".safetensors or .npz"]
    assert_one_sentence(path, words)
    with pytest.raises(WeightsError, match="pip install torch"):
        write_tensors(path, TENSORS)
    assert path.read_bytes() == b"anything"


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("length", [0, 5, 300, -1])
def test_truncated_file(tmp_path, ending, length):
    path = tmp_path / f"weights{ending}"
    write_tensors(path, TENSORS)
    path.write_bytes(path.read_bytes()[:length])
    assert_one_sentence(path, [str(path), "damaged, incomplete or of another kind"])


@pytest.mark.parametrize("ending", ENDINGS)
def test_file_of_another_kind(tmp_path, ending):
    path = tmp_path / f"weights{ending}"
    path.write_text("<html>Not found</html>" * 20)
    assert_one_sentence(path, [str(path), "damaged, incomplete or of another kind"])


def test_arrays_that_are_no_weights(tmp_path):
    path = tmp_path / "weights.npz"
    np.savez(path, good=np.ones(2), text=np.array(["a"]))
    assert_one_sentence(path, [str(path), "text, of type <U1"])
    np.savez(path, pickled=np.array([{}], object))
    assert_one_sentence(path, [str(path)])


def test_array_stored_twice(tmp_path):
    path = tmp_path / "weights.npz"
    np.savez(path, a=np.ones(2), b=np.ones(2))
    with warnings.catch_warnings(), zipfile.ZipFile(path, "a") as archive:
        warnings.simplefilter("ignore", UserWarning)
        archive.writestr("a.npy", archive.read("b.npy"))
    assert_one_sentence(path, [str(path), "a twice"])


@pytest.mark.parametrize("ending", ENDINGS)
def test_failed_write_leaves_the_old_file(tmp_path, ending):
    """Nothing is half-written: not the file, and no other one beside it."""
    path = tmp_path / f"weights{ending}"
    write_tensors(path, TENSORS)
    before = path.read_bytes()
    with pytest.raises(Exception):  # noqa: B017, PT011 (each library has an error of its own)
        write_tensors(path, TENSORS | {"wrong": np.array([{}], object)})
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def npz(path, members, **settings):
    """An archive with these files, whatever they are."""
    with warnings.catch_warnings(), zipfile.ZipFile(path, "w", **settings) as archive:
        warnings.simplefilter("ignore", UserWarning)
        for name, content in members:
            archive.writestr(name, content)


def array_file(shape, dtype="<f4", data=b""):
    header = f"{{'descr': {dtype!r}, 'fortran_order': False, 'shape': {shape}, }}".encode()
    header += b" " * (-(len(header) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + data


STRANGE_ARRAYS = {
    "huge": array_file("(1099511627776,)", data=bytes(8)),
    "product beyond 64 bits": array_file("(4294967296, 4294967296, 1)", data=bytes(8)),
    "negative": array_file("(-1,)", data=bytes(8)),
    "short": array_file("(3,)", data=bytes(8)),
    "long": array_file("(1,)", data=bytes(8)),
    "pickle": array_file("(1,)", "|O", b"cos\nsystem\n(S'true'\ntR."),
    "text": array_file("(1,)", "<U2", bytes(8)),
    "dates": array_file("(1,)", "<M8[s]", bytes(8)),
    "raw": array_file("(1,)", "|V8", bytes(8)),
    "no array": b"hello",
    "nothing": b"",
    "deep header": array_file("(" * 4000 + ")" * 4000),
    "no header": array_file("open('x')"),
    "unknown version": b"\x93NUMPY\x09\x00\x00\x00",
}


@pytest.mark.parametrize("name", STRANGE_ARRAYS)
def test_members_that_are_no_arrays(tmp_path, name):
    path = tmp_path / "weights.npz"
    npz(path, [("good.npy", array_file("(2,)", data=bytes(8))), ("a.npy", STRANGE_ARRAYS[name])])
    assert_one_sentence(path, [str(path)])


def patched(path, **fields):
    """Changes fields of all headers of a zip archive."""
    content = bytearray(path.read_bytes())
    for signature, offsets in ((b"PK\x03\x04", (6, 8)), (b"PK\x01\x02", (8, 10))):
        start = content.find(signature)
        while start >= 0:
            for field, offset in zip(("flags", "method"), offsets, strict=True):
                if field in fields:
                    struct.pack_into("<H", content, start + offset, fields[field])
            start = content.find(signature, start + 4)
    path.write_bytes(content)


@pytest.mark.parametrize("fields", [{"method": 99}, {"method": 12}, {"method": 14}, {"flags": 1}])
def test_other_ways_of_compression_and_encryption(tmp_path, fields):
    path = tmp_path / "weights.npz"
    npz(path, [("a.npy", array_file("(2,)", data=bytes(8)))])
    patched(path, **fields)
    assert_one_sentence(path, [str(path), "a.npy, which is encrypted or not stored or deflated"])


def test_archives_that_become_too_large(tmp_path):
    """A few bytes that say that they are 1 GiB of zeros."""
    path = tmp_path / "weights.npz"
    zeros = array_file("(268435456,)")
    npz(path, [("a.npy", zeros)], compression=zipfile.ZIP_DEFLATED)
    content = bytearray(path.read_bytes())
    struct.pack_into("<I", content, content.find(b"PK\x01\x02") + 24, len(zeros) + 2**30)
    path.write_bytes(content)
    assert_one_sentence(path, [str(path), "of memory, but at most"])


@pytest.mark.parametrize("kind", ["F8_E4M3", "F8_E5M2", "F4", "BOOL", "U128", 7, None, [], {}])
def test_safetensors_of_other_types(tmp_path, kind):
    path = tmp_path / "weights.safetensors"
    safetensors_file(path, {"a": {"dtype": kind, "shape": [2], "data_offsets": [0, 2]}}, bytes(2))
    assert_one_sentence(path, [str(path), "a, of type"])


def safetensors_file(path, header, data):
    header = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header + data)


ENTRY = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}


@pytest.mark.parametrize(
    "header",
    [
        [],
        {"a": []},
        {"a": ENTRY, "b": ENTRY},
        {"a": ENTRY | {"data_offsets": [8, 0]}},
        {"a": ENTRY | {"data_offsets": [0, 2**63]}},
        {"a": ENTRY | {"shape": [2**62, 2**62]}},
        {"a": ENTRY | {"shape": [-2]}},
        {"a": ENTRY | {"shape": "2"}},
        {"a": {"dtype": "F32"}},
        b"[" * 10_000,
        b'{"a": 1, "a": 2}',
        b"\xff" * 20,
        b"",
    ],
)
def test_safetensors_with_other_headers(tmp_path, header):
    path = tmp_path / "weights.safetensors"
    safetensors_file(path, header, bytes(8))
    assert_one_sentence(path, [str(path)])
    assert read_notes(path) == {}


def test_safetensors_whose_header_never_ends(tmp_path):
    path = tmp_path / "weights.safetensors"
    path.write_bytes(struct.pack("<Q", 2**62) + bytes(100))
    assert_one_sentence(path, [str(path), "its header has"])


def strange_tensors(torch, archive):
    quantized = torch.quantize_per_tensor(torch.ones(4), 0.1, 0, torch.qint8)
    return {
        "sparse": (torch.ones(2, 2).to_sparse(), "a, which is of layout sparse_coo"),
        "sparse_csr": (torch.ones(2, 2).to_sparse_csr(), "a, which is of layout sparse_csr"),
        "quantized": (quantized, "a, which is of type qint8"),
        "meta": (torch.ones(2, device="meta"), "a, which is on the device meta"),
        "expanded": (torch.ones(1).expand(2**40), "a, which is a view that repeats its numbers"),
        "float8": (
            torch.ones(2).to(torch.float8_e4m3fn),
            "float8_e4m3fn" if archive else "PyTorch weights",
        ),
        "truth": (torch.ones(2) > 0, "a, which is of type bool"),
        "nested": ({"b": torch.ones(2)}, "a is no tensor"),
        "list": ([torch.ones(2)], "a is no tensor"),
        "nested tensor": (torch.nested.nested_tensor([torch.ones(2)]), "weights.pth"),
    }


@needs_torch
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("archive", [True, False])
def test_tensors_that_are_no_arrays(tmp_path, archive):
    import torch

    path = tmp_path / "weights.pth"
    for kind, (tensor, words) in strange_tensors(torch, archive).items():
        try:
            torch.save({"a": tensor}, path, _use_new_zipfile_serialization=archive)
        except (RuntimeError, NotImplementedError):
            assert (kind, archive) == ("nested tensor", False)
            continue
        assert_one_sentence(path, [str(path), words])
    torch.save({1: torch.ones(2)}, path, _use_new_zipfile_serialization=archive)
    assert_one_sentence(path, [str(path), "1 is no tensor"])


@needs_torch
def test_tensors_that_share_their_numbers_take_room_once_each(tmp_path):
    import torch

    path = tmp_path / "weights.pth"
    shared = torch.zeros(2**20)
    torch.save({f"a{n}": shared for n in range(1000)}, path)
    assert path.stat().st_size < 2**23
    assert_one_sentence(path, [str(path), "of memory, but at most"])


@needs_torch
@pytest.mark.parametrize("archive", [True, False])
def test_both_of_pytorchs_layouts_are_read(tmp_path, archive):
    import torch

    path = tmp_path / "weights.pth"
    values = torch.arange(6.0).reshape(2, 3).T
    torch.save({"a": values, "b": values[1:]}, path, _use_new_zipfile_serialization=archive)
    found = read_tensors(path)
    np.testing.assert_array_equal(found["a"], values.numpy())
    np.testing.assert_array_equal(found["b"], values[1:].numpy())
