"""How differently the tasks modulate the shared network, layer by layer.

The paper claims (section 5, with a t-SNE of the activations of squeeze-and-excitation) that tasks
share what early layers do and part in deeper ones.
"""

import dataclasses
from typing import NamedTuple

import jax
import numpy as np
from sklearn.manifold import TSNE
from threadpoolctl import threadpool_limits

from astmt_jax.models.layers import SqueezeExcite
from astmt_jax.models.network import Network
from astmt_jax.models.normalization import BatchNorm
from astmt_jax.models.variables import Params, Stats, TaskParam
from astmt_jax.report.probes import observe


@dataclasses.dataclass(frozen=True)
class Modulation:
    """What the tasks own, by path of the layer and in the order of the forward pass.

    Attributes:
      gates: activations of squeeze-and-excitation, float32 (T, N, C) for N images, 0..1.
      scales: batch norm's factors, float32 (T, C).

    Layers that all tasks share are left out.
    """

    gates: dict[str, np.ndarray]
    scales: dict[str, np.ndarray]


class LayerDistances(NamedTuple):
    """Cosine distances (1 - cosine, 0 for equal directions) in one layer.

    Attributes:
      between_tasks: float64 (T, T), of gates the mean over images.
      between_images: the mean over pairs of images and over tasks; None for what does not depend on
        the image.
    """

    between_tasks: np.ndarray
    between_images: float | None

    def of_pairs(self) -> np.ndarray:
        """The distances of all pairs of different tasks, (T (T - 1) / 2,)."""
        return self.between_tasks[np.triu_indices(len(self.between_tasks), 1)]


def read_modulation(
    network: Network, params: Params, stats: Stats, images: np.ndarray
) -> Modulation:
    """Runs all tasks on images (N, S, S, 3) float32, scaled as the network was trained."""
    paths = {"gates": [], "scales": []}

    def run(task_params, task_stats, images):
        values_of = {"gates": [], "scales": []}

        def record(path, layer, x):
            if isinstance(layer, SqueezeExcite) and isinstance(layer.expand_kernel, TaskParam):
                kind, value = "gates", layer.gate(x)
            elif isinstance(layer, BatchNorm) and isinstance(layer.scale, TaskParam):
                kind, value = "scales", layer.scale[...]
            else:
                return
            values_of[kind].append(value)
            paths[kind].append(path)

        view = dataclasses.replace(params, task=task_params)
        observe(network.trunk(view, dataclasses.replace(stats, task=task_stats)), images, record)
        return values_of

    if not params.task:
        return Modulation({}, {})
    modulation = jax.device_get(
        jax.jit(jax.vmap(run, in_axes=(0, 0, None)))(params.task, stats.task, images)
    )
    return Modulation(
        **{kind: dict(zip(paths[kind], values, strict=True)) for kind, values in modulation.items()}
    )


def gate_distances(gates: np.ndarray) -> LayerDistances:
    """Distances of gates (T, N, C): between tasks on the same image, between images for a task."""
    unit = _unit(gates)
    between_tasks = 1 - np.einsum("anc,bnc->ab", unit, unit) / unit.shape[1]
    cosines = np.einsum("tnc,tmc->tnm", unit, unit)
    pairs = np.triu_indices(unit.shape[1], 1)
    between_images = float(np.mean(1 - cosines[:, *pairs])) if pairs[0].size else None
    return LayerDistances(between_tasks, between_images)


def scale_distances(scales: np.ndarray) -> LayerDistances:
    """Distances of batch norm's factors (T, C) between tasks."""
    unit = _unit(scales)
    return LayerDistances(1 - unit @ unit.T, None)


def embed(gates: np.ndarray, seed: int = 0) -> np.ndarray:
    """t-SNE of gates (T, N, C) by their cosine distances: float (T, N, 2)."""
    points = gates.reshape(-1, gates.shape[-1])
    perplexity = min(30.0, (len(points) - 1) / 3)
    tsne = TSNE(metric="cosine", perplexity=perplexity, init="pca", random_state=seed)
    with threadpool_limits(1):  # threads that wait for each other take minutes on a busy machine
        embedding = tsne.fit_transform(points)
    return embedding.reshape(*gates.shape[:2], 2)


def _unit(vectors: np.ndarray) -> np.ndarray:
    vectors = vectors.astype(np.float64)
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-30)
