"""The boundary benchmark: odsF, oisF and AP of predicted edges under a named protocol."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from astmt_jax.metrics.edge_assignment import matched_pixels
from astmt_jax.metrics.edge_matching import Pairs, matching_sizes, pairs_within
from astmt_jax.metrics.edge_protocols import PROTOCOLS, Protocol
from astmt_jax.metrics.edge_summary import PrecisionRecall
from astmt_jax.metrics.notation import Notation, percent
from astmt_jax.metrics.thinning import thin_levels
from astmt_jax.metrics.true_edges import TrueEdges


def evaluate_image(prediction: np.ndarray, truth: np.ndarray, protocol: Protocol) -> np.ndarray:
    """Counts of one image at each threshold.

    With one true edge map the matched pixels are counted by a maximum bipartite matching of
    predicted and true pixels at most max_dist * diagonal apart, exactly. (The reference
    implementation approximates it at random, up to some pixels lower.) With several, true pixels
    are summed over the maps and a predicted pixel counts once if the minimum-distance maximum
    matching with any of them matches it.

    Args:
      prediction: (H, W) edge probability, float in 0..1, or uint8 in 0..255.
      truth: what the protocol's `true_edges` takes, of the same height and width.
      protocol: the choices.

    Returns:
      (K, 4) int64: matched true pixels, true pixels, matched predicted pixels, predicted pixels.

    Raises:
      ValueError: a prediction of another type, range or shape, or a truth of another shape.
    """
    true_maps = protocol.true_edges(truth)
    prediction = _checked(prediction)
    for true_map in true_maps:
        if true_map.shape != prediction.shape:
            raise ValueError(
                f"predicted edges have shape {prediction.shape}, the truth {true_map.shape}"
            )
    y, x, member = thin_levels(protocol.levels(prediction), len(protocol.thresholds))
    radius = protocol.max_dist * np.hypot(*prediction.shape)
    near = [pairs_within(y, x, true_map, radius) for true_map in true_maps]
    if len(near) == 1:
        matched_true = matched_predicted = matching_sizes(member, *near[0])
    else:
        matched_true, matched_predicted = _of_several(member, near)
    true = sum(np.count_nonzero(true_map) for true_map in true_maps)
    columns = matched_true, np.full(len(member), true), matched_predicted, member.sum(axis=1)
    return np.stack(columns, axis=1)


def _of_several(member: np.ndarray, near: list[tuple[Pairs, int]]) -> tuple[np.ndarray, np.ndarray]:
    """Matched true and predicted pixels, (K,) each, where none or several people drew edges."""
    matched_true, by_any = np.zeros(len(member), np.int64), np.zeros_like(member)
    for pairs, true_count in near:
        matched = matched_pixels(member, pairs, true_count)
        matched_true += matched.sum(axis=1)
        by_any |= matched
    return matched_true, by_any.sum(axis=1)


def _checked(prediction: np.ndarray) -> np.ndarray:
    """The prediction; ValueError if it is no (H, W) map of uint8, or of floats in 0..1."""
    prediction = np.asarray(prediction)
    if prediction.ndim != 2:
        raise ValueError(f"predicted edges must have shape (H, W), have {prediction.shape}")
    if prediction.dtype == np.uint8:
        return prediction
    if not np.issubdtype(prediction.dtype, np.floating):
        raise ValueError(f"predicted edges must be float or uint8, are {prediction.dtype}")
    if not (prediction.min() >= 0 and prediction.max() <= 1):
        raise ValueError(
            "predicted edges must be probabilities in 0..1, are in "
            f"{prediction.min():g}..{prediction.max():g}"
        )
    return prediction


NOTATION: Notation = {"odsF": percent("odsF"), "oisF": percent("oisF"), "AP": percent("AP")}


def edge_metric(protocol: str, true_edges: TrueEdges | None = None) -> "EdgeMetric":
    """The accumulator of a protocol by name, with its own `true_edges` if None are given."""
    chosen = PROTOCOLS[protocol]
    return EdgeMetric(dataclasses.replace(chosen, true_edges=true_edges or chosen.true_edges))


def _are_counts(counts: np.ndarray) -> bool:
    """Whether no more pixels match than there are, and no more are there than an image has."""
    matched, present = counts[:, 0::2], counts[:, 1::2]
    return bool(((matched >= 0) & (matched <= present) & (present < 2**40)).all())


class EdgeMetric:
    """Accumulates the boundary benchmark over images, in any order.

    Attributes:
      protocol: the choices that the scores depend on; store `protocol.settings()` beside them.
    """

    def __init__(self, protocol: Protocol):
        self.protocol = protocol
        self._images = 0
        self._total = np.zeros((len(protocol.thresholds), 4), np.int64)
        self._best = np.zeros(4, np.int64)

    def add(self, prediction: np.ndarray, truth: np.ndarray) -> None:
        """Adds one image; arguments as `evaluate_image` takes them."""
        self.add_counts(self.counting(prediction, truth))

    @property
    def counting(self) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
        """The slow part, which needs no accumulator: one image to what `add_counts` takes.

        Can be pickled, so that other processes do it.
        """
        return functools.partial(evaluate_image, protocol=self.protocol)

    def add_counts(self, counts: np.ndarray) -> None:
        """Adds the (K, 4) counts that `evaluate_image` returned for one image.

        Raises:
          ValueError: they are not such counts.
        """
        if counts.shape != self._total.shape or not _are_counts(counts):
            raise ValueError(f"counts of {len(self._total)} thresholds are needed, not {counts!r}")
        self._images += 1
        self._total += counts
        self._best += self.protocol.summary.best_counts(counts)

    def merge(self, other: "EdgeMetric") -> None:
        """Adds the images that another accumulator of the same protocol has seen."""
        if other.protocol != self.protocol:
            raise ValueError(
                f"cannot merge scores of protocol {other.protocol.name} into {self.protocol.name}"
            )
        self._images += other._images
        self._total += other._total
        self._best += other._best

    def curve(self) -> PrecisionRecall:
        """Precision, recall and F of the data set at each of `protocol.thresholds`."""
        return self.protocol.summary.dataset_curve(self._total)

    def details(self) -> dict[str, Any]:
        """The `protocol`, how many `images` were compared, and the precision-recall `curve`, one
        value for each threshold of the protocol."""
        curve = {name: values.tolist() for name, values in self.curve()._asdict().items()}
        return {"protocol": self.protocol.settings(), "images": self._images, "curve": curve}

    def result(self) -> dict[str, float]:
        """odsF, oisF and AP, each in 0..1; higher is better."""
        summary = self.protocol.summary
        return {
            "odsF": summary.ods(self._total),
            "oisF": summary.ois(self._best),
            "AP": summary.average_precision(self._total),
        }
