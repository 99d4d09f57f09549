"""ONNX, for any number and size of pictures: JAX's operations are written as ONNX's, one by one."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import export as jax_export

from astmt_jax.export.comparison import Run, checked
from astmt_jax.export.onnx_graph import IR_VERSION, OPSET, Graph
from astmt_jax.export.onnx_operations import OPERATIONS, Value, resize
from astmt_jax.export.packages import check_installed
from astmt_jax.export.program import Program, describe, named, one_by_one
from astmt_jax.export.request import Request
from astmt_jax.export.traces import called, evaluated
from astmt_jax.files import storage
from astmt_jax.trained_model import Model

IMAGES = "images"
RESIZE = "_resize"
"""What `jax.image.resize` calls its program."""


def export(model: Model, request: Request) -> str:
    """Writes the file; returns what is in it.

    Raises:
      ValueError: ONNX or its runtime is not installed, or has no such operation.
    """
    check_installed("onnx", {"onnx": "onnx", "onnxruntime": "onnx"})
    tasks = named(model, request.task)
    written = onnx_model(model, tasks)
    far = checked(runner(written.SerializeToString()), model, tasks)
    request.output.parent.mkdir(parents=True, exist_ok=True)
    with storage.whole_file(request.output) as partial:
        partial.write_bytes(written.SerializeToString())
    return (
        f"{', '.join(tasks)} for any number of pictures; its predictions are {far:.1e} from the "
        "network's own"
    )


def runner(model: bytes) -> Run:
    """Pictures (B, H, W, 3) float32 to predictions by task, by ONNX Runtime on the CPU."""
    import onnxruntime

    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return lambda images: dict(zip(names, session.run(names, {IMAGES: images}), strict=True))


def onnx_model(model: Model, tasks: Sequence[str]) -> Any:
    """The network as an `onnx.ModelProto`.

    Its input `images` is (b, h, w, 3) float32 RGB in 0..255, where h and w are multiples of the
    output stride; it has an output for each task, named as it is, as `Model.predict` documents.

    Raises:
      ValueError: it computes what is not in `OPERATIONS`.
    """
    from onnx import helper

    written = written_program(one_by_one(model, tasks), model.config.model.output_stride)
    helper.set_model_props(written, {k: str(v) for k, v in describe(model, tasks).items()})
    return written


def written_program(predict: Program, multiple: int) -> Any:
    """A program of JAX's as an `onnx.ModelProto`, for any height and width that are multiples."""
    from onnx import checker, helper

    batch, rows, columns = jax_export.symbolic_shape("b, h, w")
    images = jax.ShapeDtypeStruct((batch, multiple * rows, multiple * columns, 3), jnp.float32)
    traced, described = jax.make_jaxpr(predict, return_shape=True)(images)
    graph = Graph(IMAGES, {"b": (0, 1), "h": (1, multiple), "w": (2, multiple)})
    results = _written(graph, traced.jaxpr, [*map(np.asarray, traced.consts), IMAGES])
    outputs = sorted(described.items())  # as JAX orders a dict
    for (name, _), value in zip(outputs, results, strict=True):
        graph.rename(value, name)
    written = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "astmt_jax",
            [_declared(IMAGES, images)],
            [_declared(name, shape) for name, shape in outputs],
            graph.constants,
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="astmt_jax",
    )
    checker.check_model(written)
    return written


def _declared(name: str, described: jax.ShapeDtypeStruct) -> Any:
    from onnx import helper

    shape = [size if isinstance(size, int) else str(size) for size in described.shape]
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(described.dtype))
    return helper.make_tensor_value_info(name, kind, shape)


def _written(graph: Graph, jaxpr, inputs: Sequence[Value]) -> list[Value]:
    """Writes a program of JAX's into the graph; what does not depend on the images is computed.

    Args:
      graph: to write into.
      jaxpr: the program (`jax.extend.core.Jaxpr`).
      inputs: of the program, its constants first.

    Returns:
      Its results.
    """
    return evaluated(jaxpr, inputs, partial(_results, graph))


def _results(graph: Graph, equation, inputs: list[Value]) -> list[Value]:
    """The results of one equation."""
    name, settings = equation.primitive.name, equation.params
    inner = called(equation)
    if settings.get("name") == RESIZE:
        return [resize(graph, equation, inputs)]
    if inner is not None:
        return _written(graph, inner.jaxpr, [*map(np.asarray, inner.consts), *inputs])
    symbolic = any(not isinstance(n, int) for v in equation.outvars for n in v.aval.shape)
    if name != "dim_as_value" and not symbolic and not any(isinstance(v, str) for v in inputs):
        computed = equation.primitive.bind(*inputs, **settings)
        return [
            np.asarray(v) for v in (computed if equation.primitive.multiple_results else [computed])
        ]
    if name not in OPERATIONS:
        raise ValueError(f"There is no ONNX for JAX's {name}, of which the network is made.")
    return [OPERATIONS[name](graph, equation, inputs)]
