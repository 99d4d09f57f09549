"""JAX's operations as ONNX's: those of which networks and predictions are made.

Each takes the graph, JAX's equation and its inputs (names, or arrays where they are known), and
returns the name of the result.
"""

import string
from collections.abc import Callable
from typing import Any

import numpy as np

from astmt_jax.export.onnx_graph import Graph

Value = str | np.ndarray
Operation = Callable[[Graph, Any, list[Value]], str]

TO_CHANNELS_FIRST, TO_CHANNELS_LAST = (0, 3, 1, 2), (0, 2, 3, 1)
END = np.iinfo(np.int64).max


def _simple(operation: str) -> Operation:
    return lambda graph, equation, inputs: graph.add(operation, *inputs)


def _reduction(operation: str) -> Operation:
    def reduce(graph, equation, inputs):
        return graph.add(operation, inputs[0], np.array(equation.params["axes"]), keepdims=0)

    return reduce


def _channels_last(graph: Graph, operation: str, *inputs: Value, **attributes: Any) -> str:
    """An operation on images, which ONNX has with the channels first."""
    x = graph.add("Transpose", inputs[0], perm=TO_CHANNELS_FIRST)
    y = graph.add(operation, x, *inputs[1:], **attributes)
    return graph.add("Transpose", y, perm=TO_CHANNELS_LAST)


def _convolution(graph: Graph, equation, inputs: list[Value]) -> str:
    """`models.convolution.convolve`, by its window."""
    window, (images, kernel) = equation.params["window"], (v.aval for v in equation.invars)
    taps = kernel.shape[:2]
    margins = [window.margins(*axis) for axis in zip(images.shape[1:3], taps, strict=True)]
    weights = inputs[1]
    if isinstance(weights, str):
        weights = graph.add("Transpose", weights, perm=(3, 2, 0, 1))
    else:
        weights = weights.transpose(3, 2, 0, 1)
    return _channels_last(
        graph,
        "Conv",
        inputs[0],
        weights,
        kernel_shape=taps,
        strides=(window.stride, window.stride),
        dilations=(window.dilation, window.dilation),
        group=window.groups,
        pads=[int(before) for before, _ in margins] + [int(after) for _, after in margins],
    )


def _max_pool(graph: Graph, equation, inputs: list[Value]) -> str:
    settings = equation.params
    if not settings["window_dimensions"][0] == settings["window_dimensions"][3] == 1:
        raise ValueError("There is no ONNX for a maximum over images or channels.")
    padding = settings["padding"][1:3]
    return _channels_last(
        graph,
        "MaxPool",
        inputs[0],
        kernel_shape=settings["window_dimensions"][1:3],
        strides=settings["window_strides"][1:3],
        pads=[before for before, _ in padding] + [after for _, after in padding],
    )


def resize(graph: Graph, equation, inputs: list[Value]) -> str:
    """`layers.resize_bilinear`."""
    batch, height, width, channels = equation.outvars[0].aval.shape
    sizes = graph.shape((batch, channels, height, width))
    mode = {"mode": "linear", "coordinate_transformation_mode": "half_pixel"}
    return _channels_last(graph, "Resize", inputs[0], "", "", sizes, **mode)


def _product(graph: Graph, equation, inputs: list[Value]) -> str:
    (left, right), (left_batch, right_batch) = equation.params["dimension_numbers"]
    ranks = [variable.aval.ndim for variable in equation.invars]
    if not left_batch and ranks[1] == 2 and (*left, *right) == (ranks[0] - 1, 0):
        return graph.add("MatMul", *inputs)
    letters = iter(string.ascii_lowercase)
    first = [next(letters) for _ in range(ranks[0])]
    second = [next(letters) for _ in range(ranks[1])]
    for ours, theirs in zip((*left, *left_batch), (*right, *right_batch), strict=True):
        second[theirs] = first[ours]
    batch = [first[axis] for axis in left_batch]
    kept = [letter for axis, letter in enumerate(first) if axis not in {*left, *left_batch}]
    kept += [letter for axis, letter in enumerate(second) if axis not in {*right, *right_batch}]
    formula = f"{''.join(first)},{''.join(second)}->{''.join(batch + kept)}"
    return graph.add("Einsum", *inputs, equation=formula)


def _broadcast(graph: Graph, equation, inputs: list[Value]) -> str:
    shape, axes = equation.params["shape"], equation.params["broadcast_dimensions"]
    new = [axis for axis in range(len(shape)) if axis not in axes]
    x = graph.add("Unsqueeze", inputs[0], np.array(new)) if new else graph.name(inputs[0])
    old = dict(zip(axes, equation.invars[0].aval.shape, strict=True))
    if all(old.get(axis, 1) == size for axis, size in enumerate(shape)):
        return x
    return graph.add("Expand", x, graph.shape(shape))


def _slice(graph: Graph, equation, inputs: list[Value]) -> str:
    shape, settings = equation.invars[0].aval.shape, equation.params
    strides = settings["strides"] or (1,) * len(shape)
    ends = [
        np.array([END]) if limit == size else graph.size(limit)
        for limit, size in zip(settings["limit_indices"], shape, strict=True)
    ]
    whole = all(isinstance(end, np.ndarray) for end in ends)
    return graph.add(
        "Slice",
        inputs[0],
        np.array(settings["start_indices"]),
        np.concatenate(ends) if whole else graph.add("Concat", *ends, axis=0),
        np.arange(len(shape)),
        np.array(strides),
    )


def _cast(graph: Graph, value: Value, dtype) -> str:
    from onnx import helper

    return graph.add("Cast", value, to=helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))


def _converted(graph: Graph, equation, inputs: list[Value]) -> str:
    return _cast(graph, inputs[0], equation.params["new_dtype"])


def _likeliest(graph: Graph, equation, inputs: list[Value]) -> str:
    (axis,) = equation.params["axes"]
    index = graph.add("ArgMax", inputs[0], axis=axis, keepdims=0)
    return _cast(graph, index, equation.params["index_dtype"])


def _dimension(graph: Graph, equation, inputs: list[Value]) -> str:
    size = graph.size(equation.params["dim"])
    return _cast(graph, graph.add("Squeeze", size, np.array([0])), equation.outvars[0].aval.dtype)


def _reshape(graph: Graph, equation, inputs: list[Value]) -> str:
    return graph.add("Reshape", inputs[0], graph.shape(equation.params["new_sizes"]))


def _squeeze(graph: Graph, equation, inputs: list[Value]) -> str:
    return graph.add("Squeeze", inputs[0], np.array(equation.params["dimensions"]))


def _transpose(graph: Graph, equation, inputs: list[Value]) -> str:
    return graph.add("Transpose", inputs[0], perm=equation.params["permutation"])


def _concatenate(graph: Graph, equation, inputs: list[Value]) -> str:
    return graph.add("Concat", *inputs, axis=equation.params["dimension"])


def _chosen(graph: Graph, equation, inputs: list[Value]) -> str:
    which, where_not, where = inputs
    return graph.add("Where", which, where, where_not)


def _clamped(graph: Graph, equation, inputs: list[Value]) -> str:
    least, x, most = inputs
    return graph.add("Min", graph.add("Max", x, least), most)


def _same(graph: Graph, equation, inputs: list[Value]) -> str:
    return graph.name(inputs[0])


def _inverse_root(graph: Graph, equation, inputs: list[Value]) -> str:
    return graph.add("Reciprocal", graph.add("Sqrt", inputs[0]))


def _power(graph: Graph, equation, inputs: list[Value]) -> str:
    dtype = equation.outvars[0].aval.dtype
    return graph.add("Pow", inputs[0], np.array(equation.params["y"], dtype))


OPERATIONS: dict[str, Operation] = {
    "abs": _simple("Abs"),
    "add": _simple("Add"),
    "argmax": _likeliest,
    "broadcast_in_dim": _broadcast,
    "clamp": _clamped,
    "concatenate": _concatenate,
    "convert_element_type": _converted,
    "dim_as_value": _dimension,
    "div": _simple("Div"),
    "dot_general": _product,
    "exp": _simple("Exp"),
    "gt": _simple("Greater"),
    "image_convolution": _convolution,
    "integer_pow": _power,
    "log": _simple("Log"),
    "logistic": _simple("Sigmoid"),
    "lt": _simple("Less"),
    "max": _simple("Max"),
    "min": _simple("Min"),
    "mul": _simple("Mul"),
    "name": _same,
    "neg": _simple("Neg"),
    "reduce_max": _reduction("ReduceMax"),
    "reduce_sum": _reduction("ReduceSum"),
    "reduce_window_max": _max_pool,
    "reshape": _reshape,
    "rsqrt": _inverse_root,
    "select_n": _chosen,
    "slice": _slice,
    "sqrt": _simple("Sqrt"),
    "square": lambda graph, equation, inputs: graph.add("Mul", inputs[0], inputs[0]),
    "squeeze": _squeeze,
    "stop_gradient": _same,
    "sub": _simple("Sub"),
    "transpose": _transpose,
}
"""JAX's primitive -> what writes it."""
