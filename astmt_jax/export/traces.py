"""Walking through a program of JAX's, equation by equation."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np


def evaluated(jaxpr, inputs: Sequence[Any], results: Callable[[Any, list], list]) -> list:
    """What a program comes to if each equation comes to what `results` says.

    Args:
      jaxpr: the program (`jax.extend.core.Jaxpr`).
      inputs: values of its constants and then of its arguments, of any kind.
      results: an equation and the values of its inputs -> those of its outputs. Literals in the
        program are NumPy arrays.
    """
    known = dict(zip((*jaxpr.constvars, *jaxpr.invars), inputs, strict=True))

    def value(atom):
        return np.asarray(atom.val, atom.aval.dtype) if hasattr(atom, "val") else known[atom]

    for equation in jaxpr.eqns:
        outputs = results(equation, [value(atom) for atom in equation.invars])
        known.update(zip(equation.outvars, outputs, strict=True))
    return [value(atom) for atom in jaxpr.outvars]


def called(equation):
    """The program that an equation only calls (`jax.extend.core.ClosedJaxpr`); None if it is none.

    A scan repeats its program, with other inputs than its own.
    """
    settings = equation.params
    if equation.primitive.name == "scan":
        return None
    return settings.get("jaxpr", settings.get("call_jaxpr"))
