"""Do the tasks pull the shared weights in the same direction?

The paper (section 3.2) trains the tasks' gradients to be indistinguishable so that tasks that share
weights disturb each other less. The cosine between two tasks' gradients with respect to the shared
weights tells: 1 is the same direction, 0 none in common, below 0 they work against each other.
"""

import functools
import itertools
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import jax
import numpy as np

from astmt_jax.models.variables import Params, Stats, one_task
from astmt_jax.training.objective import Batch, Objective

Grams = dict[str, np.ndarray]
"""By path of the layer, the inner products of all tasks' gradients, float64 (T, T)."""


class GradientCosines(NamedTuple):
    """Means over batches; NaN for a task that no batch has a label for.

    Attributes:
      whole: (T, T), of all shared weights as one vector.
      by_layer: by path of the layer, the mean over pairs of tasks, in the order of the layers.
    """

    whole: np.ndarray
    by_layer: dict[str, float]

    def mean(self) -> float:
        """The mean over pairs of tasks."""
        return mean_of_pairs(self.whole)


def gradient_cosines(
    objective: Objective,
    params: Params,
    stats: Stats,
    batches: Iterable[Sequence[Batch]],
    layers: list[str],
) -> GradientCosines:
    """Cosines between the gradients of the tasks' objectives, as one training step has them.

    Args:
      objective: what is differentiated: with a discriminator its term is part of every task's, at
        the strength that it has at the end of training.
      params: of all tasks.
      stats: of all tasks.
      batches: of each, what every task sees of it, as `Objective` takes it.
      layers: paths of the trunk's layers in the order of the result; others are left out of
        `by_layer`.
    """
    gradients_of = _shared_gradients(objective)
    wholes, by_layer = [], []
    for batch in batches:
        grams = gram_matrices(
            gradients_of(params, stats, seen, index) for index, seen in enumerate(batch)
        )
        wholes.append(cosines(functools.reduce(np.add, grams.values())))
        by_layer.append(
            {path: mean_of_pairs(cosines(grams[path])) for path in layers if path in grams}
        )
    return GradientCosines(
        _nanmean(wholes),
        {path: float(_nanmean([means[path] for means in by_layer])) for path in by_layer[0]},
    )


def _shared_gradients(objective: Objective) -> Callable[[Params, Stats, dict, int], dict]:
    @jax.jit
    def gradients(params, stats, batch, index):
        views = one_task(params, index), one_task(stats, index)
        return objective.task_gradients(*views, batch, index, np.float32(1.0))[0].shared

    return lambda params, stats, batch, index: gradients(params, stats, batch, np.int32(index))


def gram_matrices(gradients: Iterable[Mapping]) -> Grams:
    """Inner products, layer by layer, of the tasks' gradients (nested dicts of arrays)."""
    by_task = [_by_layer(jax.device_get(tree)) for tree in gradients]
    grams = {}
    for path in by_task[0]:
        vectors = np.stack([layers[path] for layers in by_task])
        grams[path] = vectors @ vectors.T
    return grams


def _by_layer(tree: Mapping) -> dict[str, np.ndarray]:
    """Every layer's variables as one float64 vector, by the layer's path."""
    layers: dict[str, list[np.ndarray]] = {}
    for path, leaf in jax.tree.leaves_with_path(tree):
        layer = ".".join(str(key.key) for key in path[:-1])
        layers.setdefault(layer, []).append(np.ravel(leaf).astype(np.float64))
    return {layer: np.concatenate(parts) for layer, parts in layers.items()}


def cosines(gram: np.ndarray) -> np.ndarray:
    """Cosines (T, T) from inner products (T, T); NaN for a vector of length 0."""
    length = np.sqrt(np.diag(gram))
    length = np.where(length > 0, length, np.nan)
    return gram / np.outer(length, length)


def mean_of_pairs(matrix: np.ndarray) -> float:
    """Mean of a symmetric (T, T) over pairs of different tasks; NaN ones do not count."""
    pairs = [matrix[a, b] for a, b in itertools.combinations(range(len(matrix)), 2)]
    return float(_nanmean(pairs)) if pairs else float("nan")


def _nanmean(values: list) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # the mean of nothing is NaN, as it should
        return np.nanmean(np.array(values), axis=0)
