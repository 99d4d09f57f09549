"""All tasks: name -> what makes the record, which a dataset may have made in its own way."""

from collections.abc import Callable, Mapping

from astmt_jax.tasks.albedo import albedo
from astmt_jax.tasks.depth import depth
from astmt_jax.tasks.edge import edge
from astmt_jax.tasks.human_parts import human_parts
from astmt_jax.tasks.normals import normals
from astmt_jax.tasks.sal import sal
from astmt_jax.tasks.semseg import semseg
from astmt_jax.tasks.task import Task

TASKS: Mapping[str, Callable[..., Task]] = {
    "edge": edge,
    "semseg": semseg,
    "human_parts": human_parts,
    "normals": normals,
    "sal": sal,
    "depth": depth,
    "albedo": albedo,
}
"""Each can be called without arguments, and makes a record of that name."""
