"""1x1 convolutions as convolutions, for runtimes that want them so.

Networks compute them as matrix products. LiteRT's converter refuses those of one image, whose
batch of 1 it drops from one side only; its convolutions are fast, too.
"""

from collections.abc import Sequence

import jax
from jax import lax

from astmt_jax.export.program import Program


def with_convolutions(predict: Program) -> Program:
    """The same program, in which products of images and a matrix are convolutions."""

    def run(images):
        traced, described = jax.make_jaxpr(predict, return_shape=True)(images)
        results = _evaluated(traced.jaxpr, [*traced.consts, images])
        return jax.tree.unflatten(jax.tree.structure(described), results)

    return run


def _evaluated(jaxpr, inputs: Sequence[jax.Array]) -> list[jax.Array]:
    """The results of a program of JAX's (`jax.extend.core.Jaxpr`), given its constants first."""
    known = dict(zip((*jaxpr.constvars, *jaxpr.invars), inputs, strict=True))

    def value(atom):
        return atom.val if hasattr(atom, "val") else known[atom]

    for equation in jaxpr.eqns:
        results = _results(equation, [value(atom) for atom in equation.invars])
        known.update(zip(equation.outvars, results, strict=True))
    return [value(atom) for atom in jaxpr.outvars]


def _results(equation, inputs: list[jax.Array]) -> list[jax.Array]:
    settings = equation.params
    inner = settings.get("jaxpr", settings.get("call_jaxpr"))
    if inner is not None:
        return _evaluated(inner.jaxpr, [*inner.consts, *inputs])
    if equation.primitive.name == "dot_general" and _is_pointwise(equation):
        images, kernel = inputs
        layout = ("NHWC", "HWIO", "NHWC")
        kernel = kernel[None, None]
        return [lax.conv_general_dilated(images, kernel, (1, 1), "VALID", dimension_numbers=layout)]
    computed = equation.primitive.bind(*inputs, **settings)
    return computed if equation.primitive.multiple_results else [computed]


def _is_pointwise(equation) -> bool:
    """Whether it is a product (B, H, W, in) x (in, out)."""
    ranks = [variable.aval.ndim for variable in equation.invars]
    return ranks == [4, 2] and equation.params["dimension_numbers"] == (((3,), (0,)), ((), ()))
