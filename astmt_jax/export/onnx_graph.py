"""The nodes of an ONNX graph as they are added: constants and equal nodes once, sizes computed."""

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

OPSET = 18
"""Of 2022: what runtimes read today."""
IR_VERSION = 9


class Graph:
    """A graph with one input.

    Args:
      symbols: of the input's dimensions: name -> axis and what the dimension is a multiple of.
      source: name of the input.
    """

    def __init__(self, source: str, symbols: dict[str, tuple[int, int]]):
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self._made: dict[Any, str] = {}
        self._numbers = itertools.count()
        self._source = source
        self._symbols = symbols

    def add(self, operation: str, *inputs: str | np.ndarray, **attributes: Any) -> str:
        """Adds a node, unless there is an equal one; returns the name of its output.

        Args:
          operation: name of the ONNX operator.
          inputs: names of outputs, or constants; '' leaves an optional one out.
          attributes: of the operator.
        """
        from onnx import helper

        names = [self.name(value) for value in inputs]
        key = (operation, *names, repr(sorted(attributes.items())))
        if key not in self._made:
            self._made[key] = f"{operation.lower()}_{next(self._numbers)}"
            self.nodes.append(helper.make_node(operation, names, [self._made[key]], **attributes))
        return self._made[key]

    def name(self, value: str | np.ndarray) -> str:
        """Of a value; a constant becomes part of the graph, once."""
        from onnx import numpy_helper

        if isinstance(value, str):
            return value
        value = np.asarray(value)
        key = (value.shape, value.dtype.name, value.tobytes())
        if key not in self._made:
            self._made[key] = f"constant_{next(self._numbers)}"
            self.constants.append(numpy_helper.from_array(value, self._made[key]))
        return self._made[key]

    def rename(self, value: str | np.ndarray, name: str) -> None:
        """Gives a value a name of its own, as an output of the graph."""
        from onnx import helper

        self.nodes.append(helper.make_node("Identity", [self.name(value)], [name]))

    def shape(self, dimensions: Sequence[Any]) -> str | np.ndarray:
        """Numbers and symbols of JAX's as one array int64."""
        sizes = [self.size(dimension) for dimension in dimensions]
        if all(isinstance(size, np.ndarray) for size in sizes):
            return np.concatenate(sizes) if sizes else np.zeros(0, np.int64)
        return self.add("Concat", *sizes, axis=0)

    def size(self, dimension: Any) -> str | np.ndarray:
        """A number, or a product of numbers and symbols such as 4*h, as an array int64 (1,).

        Raises:
          ValueError: it is no such product.
        """
        if isinstance(dimension, int):
            return np.array([dimension])
        size, factor = None, 1
        for part in str(dimension).split("*"):
            if part.isdecimal():
                factor *= int(part)
            elif part in self._symbols:
                symbol = self._symbol(part)
                size = symbol if size is None else self.add("Mul", size, symbol)
            else:
                raise ValueError(f"There is no ONNX for a dimension of {dimension}.")
        if size is None:
            return np.array([factor])
        return size if factor == 1 else self.add("Mul", size, np.array([factor]))

    def _symbol(self, name: str) -> str:
        axis, multiple = self._symbols[name]
        size = self.add("Shape", self._source, start=axis, end=axis + 1)
        return size if multiple == 1 else self.add("Div", size, np.array([multiple]))
