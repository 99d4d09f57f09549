"""The boundary benchmark: odsF, oisF and AP of predicted edges under a named protocol."""

import dataclasses
import functools
import typing
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from astmt_jax.metrics.edge_assignment import matched_pixels
from astmt_jax.metrics.edge_matching import matching_sizes, pairs_within
from astmt_jax.metrics.edge_nms import suppress_non_maxima
from astmt_jax.metrics.edge_summary import (
    PrecisionRecall,
    average_precision,
    best_counts,
    dataset_curve,
    ods,
    ois,
)
from astmt_jax.metrics.notation import Notation, percent
from astmt_jax.metrics.thinning import thin, thin_levels

Truth = np.ndarray | Sequence[np.ndarray]


class TrueEdges(typing.Protocol):
    """A function from the truth of an image to boolean edge maps, one per annotator."""

    __name__: str

    def __call__(self, truth: Truth, /) -> list[np.ndarray]: ...


def region_boundaries(truth: Truth) -> list[np.ndarray]:
    """True edges from region ids, (H, W) integers: a pixel is boundary where it differs from its
    east, south or south-east neighbour; then thinned.

    Published NYUD numbers feed the edge PNG (0 and 255) through this as if it were a region map:
    a line one pixel wide becomes the outline of that line.
    """
    labels = _as_map(truth)
    padded = np.pad(labels, ((0, 1), (0, 1)), mode="edge")
    neighbours = padded[:-1, 1:], padded[1:, :-1], padded[1:, 1:]
    return [thin(np.any([labels != neighbour for neighbour in neighbours], axis=0))]


def edge_map(truth: Truth) -> list[np.ndarray]:
    """True edges from an edge map, (H, W): the pixels that are not 0, thinned."""
    return [thin(_as_map(truth) != 0)]


def annotators_edges(truth: Truth) -> list[np.ndarray]:
    """True edges from several people's edge maps, (H, W) each: pixels that are not 0, as given."""
    return [_as_map(edges) != 0 for edges in truth]


def _as_map(truth: Truth) -> np.ndarray:
    edges = np.asarray(truth)
    if edges.ndim != 2:
        raise ValueError(f"each truth of edges must have shape (H, W), has {edges.shape}")
    return edges


@dataclasses.dataclass(frozen=True)
class Protocol:
    """Everything that changes the score of one and the same prediction.

    Predictions are 8 bit: float32 probabilities become uint8 by truncating 255 p.

    Attributes:
      name: what results are labelled with.
      max_dist: how far apart a predicted and a true pixel may be, as a part of the image diagonal.
      thresholds: ascending, in 0 < t <= 1.
      suppress: whether non-maximum suppression precedes the thresholds. If so a pixel is edge where
        it is > t, both in float32; else where v / 255 >= t in float64. Either way each thresholded
        map is thinned.
      true_edges: turns the truth of an image into boolean edge maps, one per annotator:
        `region_boundaries`, `edge_map` or `annotators_edges`.
    """

    name: str
    max_dist: float
    thresholds: tuple[float, ...]
    suppress: bool
    true_edges: TrueEdges

    def __post_init__(self):
        t = np.array(self.thresholds)
        if not (t.size and t[0] > 0 and t[-1] <= 1 and np.all(np.diff(t) > 0)):
            raise ValueError(f"protocol {self.name}: thresholds must ascend within 0 < t <= 1")
        if not self.max_dist > 0:
            raise ValueError(f"protocol {self.name}: max_dist must be > 0, is {self.max_dist}")

    def settings(self) -> dict[str, object]:
        """The choices as plain values, to be stored beside the scores."""
        return {
            "name": self.name,
            "max_dist": self.max_dist,
            "thresholds": list(self.thresholds),
            "non_maximum_suppression": self.suppress,
            "comparison": "float32 >" if self.suppress else "float64 >=",
            "true_edges": self.true_edges.__name__,
        }

    def levels(self, prediction: np.ndarray) -> np.ndarray:
        """Number of thresholds that each pixel of a uint8 (H, W) map passes, (H, W) int."""
        if not self.suppress:
            passed = np.searchsorted(self.thresholds, np.arange(256) / 255, side="right")
            return passed[prediction]
        maxima = suppress_non_maxima(prediction.astype(np.float32) / np.float32(255))
        return np.searchsorted(np.array(self.thresholds, np.float32), maxima, side="left")


_HUNDREDTHS = tuple(i / 100 for i in range(1, 100))
_SEISM_THRESHOLDS = (0.001, *_HUNDREDTHS, 0.999)

PROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        # ASTMT on its 5,105 validation images; InvPT and TaskPrompter on 2,498 of them.
        Protocol("pascal", 0.0075, _SEISM_THRESHOLDS, True, region_boundaries),
        # MTI-Net: soft maps without suppression, on the same 2,498 images.
        Protocol("pascal_raw", 0.0075, _HUNDREDTHS, False, region_boundaries),
        # NYUD's 654 test images; the truth is the edge PNG, see `region_boundaries`.
        Protocol("nyud", 0.011, _SEISM_THRESHOLDS, True, region_boundaries),
        # Any edge maps: as `pascal`, the truth being the edges themselves.
        Protocol("edge_map", 0.0075, _SEISM_THRESHOLDS, True, edge_map),
        # BSDS500, 200 test images, several annotators. Methods bring their own suppression, so
        # predictions are taken as they are.
        Protocol("bsds", 0.0075, _HUNDREDTHS, False, annotators_edges),
    )
}


def evaluate_image(prediction: np.ndarray, truth: Truth, protocol: Protocol) -> np.ndarray:
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
    prediction = to_uint8(prediction)
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
        matched = [matched_pixels(member, *pairs) for pairs in near]
        matched_true = np.sum([m.sum(axis=1) for m in matched], axis=0)
        matched_predicted = np.any(matched, axis=0).sum(axis=1)
    true = sum(np.count_nonzero(true_map) for true_map in true_maps)
    columns = matched_true, np.full(len(member), true), matched_predicted, member.sum(axis=1)
    return np.stack(columns, axis=1)


def to_uint8(prediction: np.ndarray) -> np.ndarray:
    """Truncates 255 * probability to uint8, as saving it as a PNG does; uint8 passes unchanged."""
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
    return (255 * prediction).astype(np.uint8)


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

    def add(self, prediction: np.ndarray, truth: Truth) -> None:
        """Adds one image; arguments as `evaluate_image` takes them."""
        self.add_counts(self.counting(prediction, truth))

    @property
    def counting(self) -> Callable[[np.ndarray, Truth], np.ndarray]:
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
        self._best += best_counts(counts)

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
        return dataset_curve(self._total)

    def details(self) -> dict[str, Any]:
        """The `protocol`, how many `images` were compared, and the precision-recall `curve`, one
        value for each threshold of the protocol."""
        curve = {name: values.tolist() for name, values in self.curve()._asdict().items()}
        return {"protocol": self.protocol.settings(), "images": self._images, "curve": curve}

    def result(self) -> dict[str, float]:
        """odsF, oisF and AP, each in 0..1; higher is better."""
        return {
            "odsF": ods(self._total),
            "oisF": ois(self._best),
            "AP": average_precision(self._total),
        }
