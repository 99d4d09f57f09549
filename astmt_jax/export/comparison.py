"""Whether what was exported computes what the network does."""

from collections.abc import Callable, Mapping, Sequence

import jax.numpy as jnp
import numpy as np

from astmt_jax.trained_model import Model

Run = Callable[[np.ndarray], Mapping[str, np.ndarray]]
"""Pictures (B, H, W, 3) float32 to predictions by task."""


class ExportError(ValueError):
    """What was exported does not compute what the network does."""


def checked(
    run: Run, model: Model, tasks: Sequence[str], shapes: Sequence[tuple[int, int, int]] = ()
) -> float:
    """How far what was exported is from the network, if that is no more than rounding.

    Args:
      run: what was exported.
      model: the network.
      tasks: that were exported.
      shapes: as in `difference`.

    Raises:
      ExportError: it is more.
    """
    far, limit = difference(run, model, tasks, shapes), tolerance(model)
    if not far <= limit:
        raise ExportError(
            f"The exported network's predictions are {far:.1e} from the network's own, but at most "
            f"{limit:.1e} is rounding: nothing is written."
        )
    return far


def difference(
    run: Run, model: Model, tasks: Sequence[str], shapes: Sequence[tuple[int, int, int]] = ()
) -> float:
    """How far the exported computation is from the network's, on random pictures.

    Args:
      run: what was exported.
      model: the network.
      tasks: that were exported.
      shapes: number, height and width of the pictures of each batch; by default two of them, with
        3,072 pixels or more, of which one may be of another class, where two classes tie.

    Returns:
      The largest of: mean difference as a share of the largest value, by task and size; for
      classes, share of the pixels that differ.
    """
    random = np.random.default_rng(0)
    distances = []
    for batch, height, width in shapes or ((1, 64, 64), (2, 32, 48)):
        pictures = random.integers(0, 256, (batch, height, width, 3)).astype(np.uint8)
        outputs = run(pictures.astype(np.float32))
        wanted = model.predict_batch(list(pictures), tasks, size=max(height, width))
        for name in tasks:
            expected = np.stack([prediction[name] for prediction in wanted])
            distances.append(_distance(outputs[name], expected))
    return float(np.max(distances))  # NaN if any is


def _distance(output: np.ndarray, expected: np.ndarray) -> float:
    if output.shape != expected.shape or output.dtype != expected.dtype:
        return float("inf")
    if np.issubdtype(expected.dtype, np.integer):
        return float((output != expected).mean())
    scale = max(float(np.abs(expected).max()), float(np.finfo(np.float32).tiny))
    return float(np.abs(output - expected).mean()) / scale


def tolerance(model: Model) -> float:
    """The largest `difference` that rounding in the network's dtype explains."""
    return float(jnp.finfo(model.config.model.compute_dtype).eps) ** 0.5
