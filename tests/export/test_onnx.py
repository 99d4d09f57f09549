"""Networks in ONNX, run by ONNX Runtime."""

import re
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from export_models import assert_agrees, real_model
from networks import SMALL_LITE, SMALL_MOBILENET
from tiny_network import TinyNetwork
from tiny_run import TASKS, tiny_model, write_run

from astmt_jax import trained_model
from astmt_jax.export import __main__ as export
from astmt_jax.export import onnx as command
from astmt_jax.export.onnx_graph import Graph

onnx = pytest.importorskip("onnx", reason="needs the extra [onnx]")
pytest.importorskip("onnxruntime", reason="needs the extra [onnx]")


@pytest.fixture(scope="module")
def model():
    return tiny_model()


def run_graph(graph, value, images):
    """What a graph computes of images (b, 16 h, 16 w, 3)."""
    graph.rename(value, "result")
    source = onnx.helper.make_tensor_value_info("images", onnx.TensorProto.FLOAT, list("bhwc"))
    result = onnx.helper.make_tensor_value_info("result", onnx.TensorProto.INT64, ["n"])
    parts = onnx.helper.make_graph(graph.nodes, "test", [source], [result], graph.constants)
    opset = [onnx.helper.make_opsetid("", 18)]
    made = onnx.helper.make_model(parts, opset_imports=opset, ir_version=9)
    return command.runner(made.SerializeToString())(images)["result"]


def test_command_writes_what_runs_at_any_size(model, tmp_path, monkeypatch):
    monkeypatch.setattr(trained_model, "Network", TinyNetwork)
    write_run(tmp_path / "run")
    output = tmp_path / "new" / "all.onnx"
    export.main([f"--workdir={tmp_path / 'run'}", f"--output={output}"])
    run = command.runner(output.read_bytes())
    for shape in ((3, 64, 80), (1, 16, 48)):
        assert_agrees(run, model, TASKS, shape)


def test_inputs_and_outputs_are_named(model):
    made = command.onnx_model(model, ["semseg", "depth"])
    (images,) = made.graph.input
    assert images.name == "images"
    shape = [size.dim_param or size.dim_value for size in images.type.tensor_type.shape.dim]
    assert shape == ["b", "16*h", "16*w", 3]
    assert [output.name for output in made.graph.output] == ["depth", "semseg"]
    notes = {note.key: note.value for note in made.metadata_props}
    assert notes["multiple_of"] == "16"
    assert "aeroplane" in notes["tasks"]


def test_convolutions_are_convolutions(model):
    """On CPUs JAX computes some as matrix products; elsewhere that would be slow."""
    made = command.onnx_model(model, ["depth"])
    kinds = [node.op_type for node in made.graph.node]
    assert kinds.count("Conv") == 2
    assert kinds.count("Resize") == 1


def test_sizes_are_computed_from_the_images():
    b, h, w = jax.export.symbolic_shape("b, h, w")
    graph = Graph("images", {"b": (0, 1), "h": (1, 16), "w": (2, 16)})
    sizes = graph.shape((b, 7, 4 * h, h * w * 3))
    found = run_graph(graph, sizes, np.zeros((5, 32, 48, 3), np.float32))
    assert found.tolist() == [5, 7, 8, 18]
    with pytest.raises(ValueError, match=re.escape("no ONNX for a dimension of h + 1")):
        graph.size(h + 1)


def test_equal_nodes_and_constants_are_there_once():
    graph = Graph("images", {})
    ones = [graph.add("Add", "images", np.ones(3, np.float32)) for _ in range(2)]
    other = graph.add("Add", "images", np.ones(3, np.float64))
    assert ones[0] == ones[1] != other
    assert (len(graph.nodes), len(graph.constants)) == (2, 2)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: jnp.clip(x, 20, 100) - jnp.abs(x - 70),
        lambda x: jax.nn.softmax(x / 30, axis=-1),
        lambda x: jnp.einsum("bhwc,bhwd->bcd", x / 255, x / 255),
        lambda x: x.reshape(x.shape[0], -1, 3).mean(1) ** 3,
        lambda x: jnp.where(x > 100, jnp.exp(-x / 99), x.sum((1, 2), keepdims=True)),
        lambda x: jnp.concatenate([x, jnp.broadcast_to(x.max((1, 2), keepdims=True), x.shape)], -1),
    ],
    ids=["clip", "softmax", "einsum", "reshape", "where", "broadcast"],
)
def test_operations_compute_what_jax_does(function):
    images = np.random.default_rng(0).uniform(0, 255, (2, 32, 48, 3)).astype(np.float32)
    written = command.written_program(lambda x: {"y": function(x)}, multiple=16)
    found = command.runner(written.SerializeToString())(images)["y"]
    np.testing.assert_allclose(found, jax.jit(function)(images), rtol=1e-5, atol=1e-5)


def test_what_onnx_has_not_is_said(model, monkeypatch):
    sine = lambda logits: jnp.sin(logits[..., 0])  # noqa: E731
    monkeypatch.setattr(type(model), "task", lambda self, name: type("T", (), {"predict": sine}))
    with pytest.raises(ValueError, match="There is no ONNX for JAX's"):
        command.onnx_model(model, ["depth"])


def test_loops_are_no_calls():
    """A scan has a program, too, which it repeats."""
    repeated = lambda x: {"y": jax.lax.scan(lambda y, _: (y + x, None), x, length=3)[0]}  # noqa: E731
    with pytest.raises(ValueError, match="There is no ONNX for JAX's scan"):
        command.written_program(repeated, multiple=16)


def test_a_missing_package_is_named_with_its_extra(tmp_path, monkeypatch):
    monkeypatch.setattr(trained_model, "Network", TinyNetwork)
    write_run(tmp_path / "run")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(SystemExit) as caught:
        export.main([f"--workdir={tmp_path / 'run'}", f"--output={tmp_path / 'x.onnx'}"])
    assert str(caught.value) == (
        "Error: --format=onnx needs onnxruntime, which is not installed: pip install "
        "'astmt_jax[onnx]'."
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"output_stride": 8, "stride_in": "conv2"},
        SMALL_MOBILENET,
        SMALL_LITE,
        {"decoder": "uber"},
    ],
    ids=["resnet", "stride8", "mobilenet", "lite", "uber"],
)
def test_all_kinds_of_networks_agree(settings):
    model = real_model(**({"conv_init": "kaiming"} | settings))
    run = command.runner(command.onnx_model(model, TASKS).SerializeToString())
    for shape in ((2, 64, 96), (1, 112, 64)):
        assert_agrees(run, model, TASKS, shape)
