"""Counts a function's multiply-adds of weights with data, from its jaxpr: nothing is computed."""

import enum
import math
from collections.abc import Callable, Sequence
from typing import Any, cast

import jax
from jax.core import ShapedArray
from jax.extend import core


class Origin(enum.IntEnum):
    """What a value depends on; the greater one of a computation's inputs decides."""

    CONSTANT = 0
    WEIGHTS = 1
    DATA = 2


def multiply_adds(function: Callable[[Any, Any], Any], weights: Any, data: Any) -> int:
    """Multiply-adds of convolutions and matrix products between weights and data.

    As usual in the field, a convolution counts all taps of its kernel, those that see padding too;
    elementwise operations and interpolation (matrix products with constants) are left out. Of
    several lowerings for different platforms the most expensive one counts.

    Args:
      function: of `weights` and `data`.
      weights: a pytree of arrays, or only of their descriptions (`jax.ShapeDtypeStruct`).
      data: the same for what is not a weight.

    Raises:
      ValueError: the function has a loop whose number of rounds is not known beforehand.
    """
    jaxpr = jax.make_jaxpr(function)(weights, data).jaxpr
    origins = [Origin.WEIGHTS] * len(jax.tree.leaves(weights))
    origins += [Origin.DATA] * len(jax.tree.leaves(data))
    return _count(jaxpr, origins)[0]


def _count(jaxpr: core.Jaxpr, inputs: Sequence[Origin]) -> tuple[int, list[Origin]]:
    """Multiply-adds of a program, and the origins of its outputs."""
    origins = dict(zip(jaxpr.invars, inputs, strict=True))

    def origin(variable) -> Origin:
        constant = isinstance(variable, core.Literal)
        return Origin.CONSTANT if constant else origins.get(variable, Origin.CONSTANT)

    total = 0
    for equation in jaxpr.eqns:
        operands = [origin(variable) for variable in equation.invars]
        count, outputs = _count_equation(equation, operands)
        total += count
        origins.update(zip(equation.outvars, outputs, strict=True))
    return total, [origin(variable) for variable in jaxpr.outvars]


def _count_equation(
    equation: core.JaxprEqn, operands: Sequence[Origin]
) -> tuple[int, list[Origin]]:
    name = equation.primitive.name
    if name == "cond":  # also what becomes of `jax.lax.platform_dependent`
        index, *operands = operands
        counts, outputs = zip(
            *(_count(branch.jaxpr, operands) for branch in equation.params["branches"]),
            strict=True,
        )
        return max(counts), [max(index, *column) for column in zip(*outputs, strict=True)]
    if name == "scan":
        return _count_scan(equation, operands)
    programs = [value for value in equation.params.values() if _is_program(value)]
    if programs:
        if len(programs) > 1:  # `while`: its condition and its body
            raise ValueError(
                f"Multiply-adds of {name} cannot be counted: its number of rounds is not known "
                "beforehand. `jax.lax.scan` has one."
            )
        program = getattr(programs[0], "jaxpr", programs[0])
        return _count(program, operands)
    outputs = [max(operands, default=Origin.CONSTANT)] * len(equation.outvars)
    product = name in COSTS and set(operands) == {Origin.WEIGHTS, Origin.DATA}
    return COSTS[name](equation) if product else 0, outputs


def _count_scan(equation: core.JaxprEqn, operands: Sequence[Origin]) -> tuple[int, list[Origin]]:
    """All rounds of a scan; what is carried on has the origins that it has in the last one."""
    parameters = equation.params
    begin = parameters["num_consts"]
    end = begin + parameters["num_carry"]
    origins = list(operands)
    while True:
        count, outputs = _count(parameters["jaxpr"].jaxpr, origins)
        carried = [max(pair) for pair in zip(origins[begin:end], outputs, strict=False)]
        if carried == origins[begin:end]:
            return parameters["length"] * count, outputs
        origins[begin:end] = carried


def _is_program(value: Any) -> bool:
    return isinstance(value, core.Jaxpr | core.ClosedJaxpr)


def _matrix_product(equation: core.JaxprEqn) -> int:
    (contracted, _), _ = equation.params["dimension_numbers"]
    left = _shape(equation.invars[0])
    return math.prod(_shape(equation.outvars[0])) * math.prod(left[axis] for axis in contracted)


def _convolution(equation: core.JaxprEqn) -> int:
    output_axis = equation.params["dimension_numbers"].rhs_spec[0]
    return _taps(equation, output_axis)


def _image_convolution(equation: core.JaxprEqn) -> int:
    """That of `models.convolution`, whose kernels are HWIO."""
    return _taps(equation, output_axis=3)


def _taps(equation: core.JaxprEqn, output_axis: int) -> int:
    kernel = _shape(equation.invars[1])
    return math.prod(_shape(equation.outvars[0])) * math.prod(kernel) // kernel[output_axis]


def _shape(variable: core.Var | core.Literal) -> tuple[int, ...]:
    """That of an array; products have no other operands and results."""
    return cast(ShapedArray, variable.aval).shape


COSTS = {
    "dot_general": _matrix_product,
    "conv_general_dilated": _convolution,
    "image_convolution": _image_convolution,
}
