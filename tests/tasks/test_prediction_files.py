"""Prediction files against independent readers, and those that are refused."""

import cv2
import numpy as np
import pytest
import scipy.io
import scipy.sparse
from PIL import Image

from astmt_jax.files.folder import Folder
from astmt_jax.metrics.edge_protocols import PROTOCOLS
from astmt_jax.tasks import registry as tasks

EDGE, SAL, SEMSEG, NORMALS, DEPTH, ALBEDO = (
    tasks.TASKS[name]().file for name in ("edge", "sal", "semseg", "normals", "depth", "albedo")
)
SHAPE = (5, 7)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "task").mkdir()
    return Folder(tmp_path, "predictions")


def written(file, folder, prediction):
    """Writes a prediction; returns the path of its file."""
    file.write(folder.root, "task", "name", prediction)
    return folder.root / "task" / f"name{file.suffix}"


@pytest.fixture
def random():
    return np.random.default_rng(0)


def test_probabilities_are_truncated_grey_levels(folder, random):
    values = random.random(SHAPE, np.float32)
    values[0, :3] = [0, 1, 0.9999]
    path = written(EDGE, folder, values)
    stored = np.array(Image.open(path))
    np.testing.assert_array_equal(stored, np.floor(255 * values))
    assert stored[0, 2] == 254
    np.testing.assert_array_equal(EDGE.quantize(values), stored / 255)
    np.testing.assert_array_equal(SAL.quantize(values), np.float32(stored / 255))


def test_normals_are_truncated_rgb(folder, random):
    values = random.uniform(-1, 1, (*SHAPE, 3)).astype(np.float32)
    values[0, 0] = [1, -1, 0]
    stored = cv2.imread(str(written(NORMALS, folder, values)))[..., ::-1]
    np.testing.assert_array_equal(stored, np.floor((values + 1) * np.float32(127.5)))
    assert stored[0, 0].tolist() == [255, 0, 127]
    np.testing.assert_allclose(NORMALS.quantize(values), stored / 127.5 - 1, atol=1e-6)


def test_albedo_is_clipped(folder):
    values = np.full((*SHAPE, 3), [-0.5, 0.25, 1.5], np.float32)
    assert np.array(Image.open(written(ALBEDO, folder, values)))[0, 0].tolist() == [0, 63, 255]


def test_classes_and_depth_are_kept(folder, random):
    ids = random.integers(0, 21, SHAPE).astype(np.uint8)
    np.testing.assert_array_equal(np.array(Image.open(written(SEMSEG, folder, ids))), ids)
    np.testing.assert_array_equal(SEMSEG.quantize(ids), ids)
    metres = random.uniform(0.1, 30, SHAPE).astype(np.float32)
    stored = scipy.io.loadmat(written(DEPTH, folder, metres))["task"]
    assert stored.dtype == np.float32
    np.testing.assert_array_equal(stored, metres)
    np.testing.assert_array_equal(DEPTH.quantize(metres), metres)


@pytest.mark.parametrize("file", [EDGE, NORMALS, DEPTH, ALBEDO])
def test_what_is_written_is_read_again(file, folder, random):
    values = random.random((*SHAPE, 3) if file.channels == 3 else SHAPE, np.float32)
    path = written(file, folder, values).relative_to(folder.root).as_posix()
    np.testing.assert_array_equal(file.read(folder, path, "task"), file.quantize(values))


def test_all_levels_survive_the_edge_metrics_truncation():
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    found = tasks.edge().metric().counting(EDGE.decode(levels), np.zeros((16, 16), int))
    expected = tasks.edge().metric().counting(levels, np.zeros((16, 16), int))
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(EDGE.encode(EDGE.decode(levels)), levels)


@pytest.mark.parametrize("ending", [".npy", ".mat"])
def test_arrays_hold_levels_or_values(folder, random, ending):
    levels = random.integers(0, 256, SHAPE).astype(np.uint8)
    for values in (levels, levels / 255, (levels / 255)[..., None]):
        path = folder.root / f"task/name{ending}"
        if ending == ".npy":
            np.save(path, values)
        else:
            scipy.io.savemat(path, {"sal": values})
        for file in (SAL, EDGE):
            read = file.read(folder, f"task/name{ending}", "sal")
            np.testing.assert_allclose(read, levels / 255, rtol=0, atol=1e-7)


@pytest.mark.parametrize(("matlab_class", "expected"), [(6, 1.0), (7, 1.0), (9, 1 / 255)])
def test_matlabs_whole_numbers_have_their_class(folder, matlab_class, expected):
    """MATLAB stores doubles (6), singles (7) and bytes (9) that are 0 or 1 in a byte each."""
    path = folder.root / "task/name.mat"
    scipy.io.savemat(path, {"pb": np.ones(SHAPE, np.uint8)})
    content = bytearray(path.read_bytes())
    assert content[144] == 9
    content[144] = matlab_class
    path.write_bytes(content)
    np.testing.assert_allclose(EDGE.read(folder, "task/name.mat", "edge"), expected)


def test_matlabs_logicals_are_no_levels(folder):
    scipy.io.savemat(folder.root / "task/name.mat", {"edge": np.ones(SHAPE, bool)})
    np.testing.assert_array_equal(EDGE.read(folder, "task/name.mat", "edge"), 1)


def test_edges_a_rounding_error_beyond_the_range(folder):
    """As 32 bits hold them they lie in it."""
    path = folder.root / "task/name.npy"
    np.save(path, np.array([[1 + 1e-9, -1e-50]]))
    np.testing.assert_array_equal(EDGE.read(folder, "task/name.npy", "edge"), [[1, 0]])


@pytest.mark.parametrize("order", "<>")
def test_edges_of_64_bits_are_not_rounded(folder, order):
    """In 32 bits, .7 and a little less than 1e-8 is less than .7."""
    path = folder.root / "task/name.npy"
    np.save(path, np.full(SHAPE, 0.7 + 1e-9, f"{order}f8"))
    read = EDGE.read(folder, "task/name.npy", "edge")
    assert read.dtype == np.float64
    assert PROTOCOLS["bsds"].levels(read).min() == 70
    assert PROTOCOLS["bsds"].levels(np.float32(read)).min() == 69


@pytest.mark.parametrize("level", [50, 51, 52, 102, 153, 204, 255])
def test_levels_pass_the_thresholds_that_they_lie_on(level):
    """51 / 255 is 0.2, and so on."""
    read = EDGE.decode(np.full(SHAPE, level, np.uint8))
    assert set(PROTOCOLS["bsds"].levels(read).ravel()) == {min(100 * level // 255, 99)}


def test_levels_are_compared_in_64_bits():
    """85 / 255 is less than the second of the benchmark's five thresholds, in 32 bits more."""
    levels = np.full(SHAPE, 85, np.uint8)
    assert PROTOCOLS["bsds_5"].levels(EDGE.decode(levels)).max() == 1
    assert PROTOCOLS["bsds_5"].levels(np.float32(levels / 255)).max() == 2


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"pb": 0.25}, 0.25),
        ({"ucm2": 0.5}, 0.5),
        ({"pb": 0.25, "ucm2": 0.5}, 0.25),
        ({"edge": 0.75, "pb": 0.25}, 0.75),
    ],
)
def test_edges_may_be_called_as_the_berkeley_benchmark_calls_them(folder, variables, expected):
    maps = {}
    for name, value in variables.items():
        height, width = SHAPE
        maps[name] = np.zeros((2 * height + 1, 2 * width + 1) if name == "ucm2" else SHAPE)
        maps[name][(slice(2, None, 2),) * 2 if name == "ucm2" else ...] = value
    scipy.io.savemat(folder.root / "task/name.mat", maps)
    read = EDGE.read(folder, "task/name.mat", "edge")
    np.testing.assert_array_equal(read, np.full(SHAPE, expected))


def test_palettes_and_whole_floats_are_classes(folder, random):
    ids = random.integers(0, 21, SHAPE).astype(np.uint8)
    picture = Image.fromarray(ids, "P")
    picture.putpalette([(37 * i) % 256 for i in range(768)])
    picture.save(folder.root / "task/name.png")
    np.testing.assert_array_equal(SEMSEG.read(folder, "task/name.png", "task"), ids)
    np.save(folder.root / "task/name.npy", ids.astype(float))
    np.testing.assert_array_equal(SEMSEG.read(folder, "task/name.npy", "task"), ids)


grey = np.zeros(SHAPE, np.uint8)


@pytest.mark.parametrize(
    ("file", "name", "content", "message"),
    [
        (EDGE, "a.png", b"no picture", "is not a JPEG, PNG or WebP picture"),
        (EDGE, "a.png", np.zeros((*SHAPE, 3), np.uint8), "mode RGB, but must be grey"),
        (EDGE, "a.png", np.full(SHAPE, 300, np.uint16), "mode I;16, but must be grey"),
        (NORMALS, "a.png", grey, "mode L, but must be RGB"),
        (EDGE, "a.npy", np.zeros((3, *SHAPE)), r"\(3, 5, 7\), but must hold \(H, W\)"),
        (NORMALS, "a.npy", np.zeros(SHAPE), r"\(5, 7\), but must hold \(H, W, 3\)"),
        (EDGE, "a.npy", np.full(SHAPE, -3.5), r"numbers in -3.5..-3.5, but must hold levels"),
        (EDGE, "a.npy", np.full(SHAPE, np.nan), "not finite"),
        (DEPTH, "a.npy", np.full(SHAPE, np.inf), "not finite"),
        (NORMALS, "a.npy", np.full((*SHAPE, 3), np.nan), "not finite"),
        (SEMSEG, "a.npy", np.full(SHAPE, 0.5), "not whole"),
        (DEPTH, "a.npy", np.zeros(SHAPE, complex), "does not hold one array of numbers"),
        (DEPTH, "a.mat", {"metres": np.zeros(SHAPE)}, "has no variable task"),
        (EDGE, "a.mat", {"metres": np.zeros(SHAPE)}, "has no variable task or pb or ucm2"),
        (
            EDGE,
            "a.mat",
            {"ucm2": np.zeros((4, 7))},
            r"\(4, 7\), but it must be \(2H \+ 1, 2W \+ 1\)",
        ),
        (DEPTH, "a.mat", {"task": np.zeros(SHAPE, complex)}, "complex128, but must hold numbers"),
        (DEPTH, "a.mat", b"no matrix", "is not a readable MATLAB file"),
        (
            DEPTH,
            "a.mat",
            {"task": scipy.sparse.csc_matrix(SHAPE)},
            "holds task as a csc_matrix, but must hold a full array",
        ),
        (DEPTH, "a.mat", {"task": {"field": np.zeros(SHAPE)}}, "must hold numbers"),
        (DEPTH, "a.mat", {"task": np.full(SHAPE, "x", object)}, "must hold numbers"),
        (DEPTH, "a.mat", {"task": "text"}, "must hold"),
    ],
)
def test_files_of_another_form_are_refused(folder, file, name, content, message):
    path = folder.root / "task" / name
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif isinstance(content, dict):
        scipy.io.savemat(path, content)
    elif name.endswith(".npy"):
        np.save(path, content)
    else:
        Image.fromarray(content).save(path)
    with pytest.raises(ValueError, match=rf"^task/{name} of predictions .*{message}") as caught:
        file.read(folder, f"task/{name}", "task")
    assert "\n" not in str(caught.value)


def test_truncated_picture_is_refused(folder, random):
    path = written(EDGE, folder, random.random((60, 60)))
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(ValueError, match="truncated or corrupt"):
        EDGE.read(folder, "task/name.png", "task")


def test_prediction_that_is_not_finite_is_not_stored(folder):
    with pytest.raises(ValueError, match="not finite"):
        EDGE.quantize(np.full(SHAPE, np.nan))
    with pytest.raises(ValueError, match="not finite"):
        written(DEPTH, folder, np.full(SHAPE, np.inf))
