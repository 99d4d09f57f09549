"""Attentive Single-Tasking of Multiple Tasks (ASTMT, CVPR 2019) in JAX and Flax.

from astmt_jax import load
model = load("runs/scenes")
normals = model.predict("photo.jpg")["normals"]
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from astmt_jax.trained_model import Model, load

__all__ = ["Model", "load"]


def __getattr__(name: str):
    """The Python interface, imported on first use: most commands do without it."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from astmt_jax import trained_model

    return getattr(trained_model, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
