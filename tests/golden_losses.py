"""Losses that the reference implementation computed, and the comparison with ours.

An archive `losses*.npz` holds DATASET/TASK/{logits,label,loss,grad}.
"""

import functools
import pathlib
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from astmt_jax import losses

EDGE_LOSS = {
    dataset: functools.partial(losses.balanced_binary_cross_entropy, positive_weight=weight)
    for dataset, weight in {"pascal": 0.95, "nyud": 0.8}.items()
}
LOSS = {
    "semseg": losses.softmax_cross_entropy,
    "human_parts": losses.softmax_cross_entropy,
    "normals": losses.normals_l1,
    "sal": losses.balanced_binary_cross_entropy,
    "depth": functools.partial(losses.depth_l1, mask_gradient=False),
    "albedo": losses.albedo_l1,
}
LOSS_TOLERANCE = {"float64": 1e-9, "float32": 1e-5}
GRADIENT_TOLERANCE = {"float64": 1e-6, "float32": 2e-3}


class Case(NamedTuple):
    archive: pathlib.Path
    dataset: str
    task: str

    def __str__(self) -> str:
        return f"{self.archive.stem}-{self.dataset}-{self.task}"


def find_cases(golden_dir: pathlib.Path) -> list[Case]:
    """All cases of all `losses*.npz` in a folder."""
    cases = []
    for archive in sorted(golden_dir.glob("losses*.npz")):
        with np.load(archive) as arrays:
            cases += [Case(archive, *k.split("/")[:2]) for k in arrays if k.endswith("/logits")]
    return cases


def check(case: Case, dtype: str) -> None:
    """Asserts that loss and gradient agree with the reference's, computed in `dtype`."""
    prefix = f"{case.dataset}/{case.task}/"
    with np.load(case.archive) as arrays:
        logits, labels, loss, gradient = (
            arrays[prefix + name] for name in ("logits", "label", "loss", "grad")
        )
    with jax.enable_x64(dtype == "float64"):
        value_and_grad = _value_and_grad(
            EDGE_LOSS[case.dataset] if case.task == "edge" else LOSS[case.task]
        )
        outputs = value_and_grad(jnp.asarray(logits, dtype), jnp.asarray(labels))
    our_loss, our_gradient = jax.device_get(outputs)
    assert our_loss.dtype == our_gradient.dtype == dtype
    np.testing.assert_allclose(our_loss, loss, rtol=LOSS_TOLERANCE[dtype])
    error = np.linalg.norm(our_gradient - gradient)
    assert error <= GRADIENT_TOLERANCE[dtype] * np.linalg.norm(gradient)


@functools.cache  # so that cases of one shape are compiled once
def _value_and_grad(loss):
    return jax.jit(jax.value_and_grad(loss))
