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

from astmt_jax.weights.files import WeightsError, read_tensors, write_tensors

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
