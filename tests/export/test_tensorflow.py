"""Networks as SavedModels, run by TensorFlow, and for LiteRT."""

import jax
import numpy as np
import pytest
from export_models import assert_agrees, real_model
from networks import SMALL_LITE, SMALL_MOBILENET
from tiny_network import TinyNetwork
from tiny_run import TASKS, tiny_model, write_run

from astmt_jax import trained_model
from astmt_jax.export import __main__ as export
from astmt_jax.export import tensorflow as command
from astmt_jax.export.convolutions import with_convolutions


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tensorflow") / "run"
    write_run(folder)
    return folder


@pytest.fixture(autouse=True)
def tiny_networks(monkeypatch):
    monkeypatch.setattr(trained_model, "Network", TinyNetwork)


def exported(run, *arguments):
    """Runs the command; returns its exit code, None for success."""
    try:
        export.main([f"--workdir={run}", *map(str, arguments)])
    except SystemExit as end:
        return end.code


def test_a_saved_model_runs_at_any_size(run, tmp_path):
    output = tmp_path / "new" / "model"
    assert exported(run, "--format=savedmodel", f"--output={output}") is None
    assert [path.name for path in output.parent.iterdir()] == ["model"]
    predict = command.saved_runner(output)
    for shape in ((3, 64, 80), (1, 16, 48)):
        assert_agrees(predict, tiny_model(), TASKS, shape)


def test_a_folder_that_holds_something_stays(run, tmp_path):
    (tmp_path / "mine").write_text("mine")
    code = exported(run, "--format=savedmodel", f"--output={tmp_path}", "--overwrite")
    assert code == f"Error: {tmp_path} is not empty: --format=savedmodel writes a new folder."
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_a_lite_model_runs_at_its_size(run, tmp_path):
    pytest.importorskip("ai_edge_litert", reason="needs the extra [litert]")
    for size, task in (((32, 32), "all"), ((48, 64), "semseg")):
        output = tmp_path / f"{task}.tflite"
        size_argument = f"--size={size[0]}x{size[1]}"
        assert exported(run, f"--task={task}", f"--output={output}", size_argument) is None
        predict = command.lite_runner(output.read_bytes())
        tasks = TASKS if task == "all" else [task]
        assert_agrees(predict, tiny_model(), tasks, (1, *size))


@pytest.mark.parametrize("size", ["40x32", "0x32"])
def test_sizes_that_no_picture_can_have_are_refused(run, tmp_path, size):
    pytest.importorskip("ai_edge_litert", reason="needs the extra [litert]")
    code = exported(run, f"--output={tmp_path / 'x.tflite'}", f"--size={size}")
    assert code == f"Error: --size is {size}, but height and width must be multiples of 16."


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings",
    [{}, {"output_stride": 8}, SMALL_MOBILENET, SMALL_LITE, {"decoder": "uber"}],
    ids=["resnet", "stride8", "mobilenet", "lite", "uber"],
)
def test_all_kinds_of_networks_are_converted(settings):
    pytest.importorskip("ai_edge_litert", reason="needs the extra [litert]")
    model = real_model(**({"conv_init": "kaiming"} | settings))
    for size in ((64, 96), (112, 64)):
        predict = command.lite_runner(command.lite_model(model, TASKS, size))
        assert_agrees(predict, model, TASKS, (1, *size))


def test_products_of_images_and_a_matrix_become_convolutions():
    random = np.random.default_rng(0)
    matrix = random.normal(size=(3, 5)).astype(np.float32)
    images = random.normal(size=(1, 4, 6, 3)).astype(np.float32)

    def predict(x):
        y = jax.jit(jax.nn.relu)(x @ matrix)
        y, _ = jax.lax.scan(lambda total, _: (total + y, None), y, length=3)
        return {"b": y, "a": y.mean((1, 2)) @ matrix.T}

    changed = with_convolutions(predict)
    names = [e.primitive.name for e in jax.make_jaxpr(changed)(images).eqns]
    assert (names.count("conv_general_dilated"), names.count("dot_general")) == (1, 1)
    found, expected = jax.jit(changed)(images), jax.jit(predict)(images)
    for name in ("a", "b"):
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-5, atol=1e-5)
