"""1x1 convolutions as convolutions, for runtimes that want them so.

Networks compute them as matrix products. LiteRT's converter refuses those of one image, whose
batch of 1 it drops from one side only; its convolutions are fast, too.
"""

import jax
from jax import lax

from astmt_jax.export.program import Program
from astmt_jax.export.traces import called, evaluated


def with_convolutions(predict: Program) -> Program:
    """The same program, in which products of images and a matrix are convolutions."""

    def run(images):
        traced, described = jax.make_jaxpr(predict, return_shape=True)(images)
        results = evaluated(traced.jaxpr, [*traced.consts, images], _results)
        return jax.tree.unflatten(jax.tree.structure(described), results)

    return run


def _results(equation, inputs: list[jax.Array]) -> list[jax.Array]:
    settings = equation.params
    inner = called(equation)
    if inner is not None:
        return evaluated(inner.jaxpr, [*inner.consts, *inputs], _results)
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
