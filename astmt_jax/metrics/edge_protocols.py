"""The protocols of the boundary benchmark: all that changes the score of one prediction."""

import dataclasses
from typing import Literal, NamedTuple

import numpy as np

from astmt_jax.metrics.edge_nms import smooth_strength, suppress_non_maxima
from astmt_jax.metrics.edge_summary import BERKELEY, SEISM, Summary
from astmt_jax.metrics.true_edges import (
    TrueEdges,
    annotators_edges,
    edge_map,
    region_boundaries,
)


class Comparison(NamedTuple):
    """How a strength passes a threshold: the type of both, and the side of `numpy.searchsorted`."""

    dtype: type[np.floating]
    side: Literal["left", "right"]


COMPARISONS = {
    "float32 >": Comparison(np.float32, "left"),
    "float64 >=": Comparison(np.float64, "right"),
}


@dataclasses.dataclass(frozen=True)
class Protocol:
    """Everything that changes the score of one and the same prediction.

    Attributes:
      name: what results are labelled with.
      max_dist: how far apart a predicted and a true pixel may be, as a part of the image diagonal.
      thresholds: ascending, in 0 < t <= 1.
      suppress: whether non-maximum suppression precedes the thresholds.
      true_edges: turns the truth of an image into boolean edge maps, one per annotator: a function
        of `metrics.true_edges`.
      comparison: how a pixel's strength passes a threshold, a key of `COMPARISONS`. Each
        thresholded map is then thinned.
      quantize: whether predictions are taken in 8 bits: 255 p, truncated. If not, they are
        compared as they are given; uint8 is v / 255 in any case.
      smooth: whether the prediction is smoothed before it is suppressed.
      summary: what becomes of the counts.
    """

    name: str
    max_dist: float
    thresholds: tuple[float, ...]
    suppress: bool
    true_edges: TrueEdges
    comparison: str = "float32 >"
    quantize: bool = True
    smooth: bool = False
    summary: Summary = SEISM

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
            "smoothing": self.smooth,
            "comparison": self.comparison,
            "quantized": self.quantize,
            "true_edges": self.true_edges.__name__,
            "summary": self.summary.name,
            "ods_between_thresholds": self.summary.interpolated,
        }

    def levels(self, prediction: np.ndarray) -> np.ndarray:
        """Number of thresholds that each pixel of a prediction passes.

        Args:
          prediction: (H, W), floats in 0..1 or uint8.

        Returns:
          (H, W) int.
        """
        dtype, side = COMPARISONS[self.comparison]
        strength = to_uint8(prediction) if self.quantize else prediction
        if strength.dtype == np.uint8:
            strength = strength.astype(dtype) / dtype(255)
        if self.suppress:
            soft = strength.astype(np.float32)
            strength = suppress_non_maxima(smooth_strength(soft) if self.smooth else soft)
        levels = np.zeros(strength.shape, np.intp)
        edges = strength > 0
        thresholds = np.array(self.thresholds, dtype)
        levels[edges] = np.searchsorted(thresholds, strength[edges].astype(dtype), side)
        return levels


def to_uint8(prediction: np.ndarray) -> np.ndarray:
    """Truncates 255 * probability to uint8, as saving it as a PNG does; uint8 passes unchanged."""
    return prediction if prediction.dtype == np.uint8 else (255 * prediction).astype(np.uint8)


_HUNDREDTHS = tuple(i / 100 for i in range(1, 100))
_SEISM_THRESHOLDS = (0.001, *_HUNDREDTHS, 0.999)


def _linspace(count: int) -> tuple[float, ...]:
    """Berkeley's thresholds, rounded as MATLAB's linspace rounds: the second of five is a little
    more than 85 / 255, so that no pixel of this level passes it."""
    first, last = 1 / (count + 1), 1 - 1 / (count + 1)
    return tuple(first + i * (last - first) / (count - 1) for i in range(count))


# BSDS500, 200 test images, several annotators. Methods bring their own suppression, so predictions
# are taken as they are.
_BSDS = Protocol(
    name="bsds",
    max_dist=0.0075,
    thresholds=_linspace(99),
    suppress=False,
    true_edges=annotators_edges,
    comparison="float64 >=",
    quantize=False,
    summary=BERKELEY,
)

PROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        # ASTMT on its 5,105 validation images; InvPT and TaskPrompter on 2,498 of them.
        Protocol("pascal", 0.0075, _SEISM_THRESHOLDS, True, region_boundaries),
        # MTI-Net: soft maps without suppression, on the same 2,498 images.
        Protocol("pascal_raw", 0.0075, _HUNDREDTHS, False, region_boundaries, "float64 >="),
        # NYUD's 654 test images; the truth is the edge PNG, see `region_boundaries`.
        Protocol("nyud", 0.011, _SEISM_THRESHOLDS, True, region_boundaries),
        # Any edge maps: as `pascal`, the truth being the edges themselves.
        Protocol("edge_map", 0.0075, _SEISM_THRESHOLDS, True, edge_map),
        _BSDS,
        # As deep networks' soft maps are scored since HED: smoothed and suppressed first.
        dataclasses.replace(_BSDS, name="bsds_nms", suppress=True, smooth=True),
        # The benchmark's demonstration.
        dataclasses.replace(_BSDS, name="bsds_5", thresholds=_linspace(5)),
    )
}
