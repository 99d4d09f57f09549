"""From the truth of an image to the edge maps that predictions are compared with."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from astmt_jax.metrics.thinning import thin

MAX_ANNOTATORS = 16
"""Of one image; as many bits has a number of their common map."""


class TrueEdges(Protocol):
    """A function from the truth of an image, (H, W), to boolean edge maps, one per annotator."""

    __name__: str

    def __call__(self, truth: np.ndarray, /) -> list[np.ndarray]: ...


def region_boundaries(truth: np.ndarray) -> list[np.ndarray]:
    """True edges from region ids, (H, W) integers: a pixel is boundary where it differs from its
    east, south or south-east neighbour; then thinned.

    Published NYUD numbers feed the edge PNG (0 and 255) through this as if it were a region map:
    a line one pixel wide becomes the outline of that line.
    """
    labels = _as_map(truth)
    padded = np.pad(labels, ((0, 1), (0, 1)), mode="edge")
    neighbours = padded[:-1, 1:], padded[1:, :-1], padded[1:, 1:]
    return [thin(np.any([labels != neighbour for neighbour in neighbours], axis=0))]


def edge_map(truth: np.ndarray) -> list[np.ndarray]:
    """True edges from an edge map, (H, W): the pixels that are not 0, thinned."""
    return [thin(_as_map(truth) != 0)]


def annotators_edges(truth: np.ndarray) -> list[np.ndarray]:
    """True edges from what `annotated` made of several people's edge maps, as they drew them.

    Those who drew nothing may be left out, which changes no count.
    """
    drawn_by = _as_map(truth)
    annotators = max(1, int(drawn_by.max()).bit_length())
    return [drawn_by & (1 << annotator) != 0 for annotator in range(annotators)]


def annotated(maps: Sequence[np.ndarray]) -> np.ndarray:
    """Several people's edge maps as one: bit i of a pixel says whether map i has an edge there.

    Args:
      maps: at most `MAX_ANNOTATORS`, (H, W) each; edges are not 0.

    Returns:
      (H, W) uint16.
    """
    if not 1 <= len(maps) <= MAX_ANNOTATORS:
        raise ValueError(f"edges of 1 to {MAX_ANNOTATORS} annotators are needed, not {len(maps)}")
    bits = np.zeros(maps[0].shape, np.uint16)
    for annotator, edges in enumerate(maps):
        bits |= np.uint16(1 << annotator) * (edges != 0)
    return bits


def _as_map(truth: np.ndarray) -> np.ndarray:
    edges = np.asarray(truth)
    if edges.ndim != 2:
        raise ValueError(f"the truth of edges must have shape (H, W), has {edges.shape}")
    return edges
