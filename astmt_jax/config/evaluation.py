"""Settings of evaluation: what can be chosen where predictions are scored."""

import dataclasses

from astmt_jax.metrics import regression, saliency
from astmt_jax.metrics.edge_protocols import PROTOCOLS
from astmt_jax.metrics.segmentation import MEAN_OVER
from astmt_jax.records import check_choice

DEFAULT = "default"
CHOICES = {
    "edge_protocol": (DEFAULT, *PROTOCOLS),
    "edge_truth": (DEFAULT, "edges"),
    "semseg_classes": (DEFAULT, *MEAN_OVER),
    "depth_convention": (DEFAULT, *regression.CONVENTIONS),
    "sal_convention": (DEFAULT, *saliency.CONVENTIONS),
}
"""Values of those fields of `EvaluationConfig` that concern anybody's predictions."""
LIMITS = ("min_depth", "max_depth")
"""The same, of those fields that are numbers."""

EVALUATION_PROTOCOLS = {
    "astmt": {"depth_convention": "masked", "sal_convention": "astmt"},
    "successors": {"depth_convention": "pooled", "sal_convention": "successors"},
}
"""Whose published numbers ours are to mean the same as -> what is chosen, where it is 'default'.
What a protocol does not name is the dataset's own in it."""


@dataclasses.dataclass(frozen=True)
class EvaluationConfig:
    """How predictions are scored.

    What is 'default' is left to the protocol, and what that does not choose to the dataset.

    Attributes:
      quantize: score a network's predictions as they come back from the files that the reference
        implementation writes (8-bit levels; depth is not rounded), not as they are.
      image_resize: how images become as large as the network's input, a key of `augment.RESIZES`:
        'linear' as in training, or 'cubic', the reference implementation's.
      protocol: a key of `EVALUATION_PROTOCOLS`, which chooses what is 'default' below.
      edge_protocol: key of `metrics.edge_protocols.PROTOCOLS`; the truth stays the dataset's.
      edge_truth: 'edges' compares with the edge labels, thinned, and nothing else.
      semseg_classes: 'all' or 'present': the classes that mIoU is the mean over.
      depth_convention: 'masked', 'pooled', or 'reference' for the reference implementation's
        numbers; see `metrics.regression.DepthMetric`.
      min_depth: metres; depth is scored where the truth is more than that. None is 0.
      max_depth: metres; depth is scored where the truth is less than that. None is no limit.
      sal_convention: 'astmt', 'astmt_numpy1' or 'successors'; see `metrics.saliency`.

    Raises:
      ValueError: an unknown choice.
    """

    quantize: bool = True
    image_resize: str = "linear"
    protocol: str = "astmt"
    edge_protocol: str = DEFAULT
    edge_truth: str = DEFAULT
    semseg_classes: str = DEFAULT
    depth_convention: str = DEFAULT
    min_depth: float | None = None
    max_depth: float | None = None
    sal_convention: str = DEFAULT

    def __post_init__(self):
        check_choice("evaluation.protocol", self.protocol, EVALUATION_PROTOCOLS)
        for name, choices in CHOICES.items():
            check_choice(f"evaluation.{name}", getattr(self, name), choices)
        chosen = self.choices()
        regression.check_depth_range(
            str(chosen.get("depth_convention")), self.min_depth, self.max_depth
        )

    def choices(self) -> dict[str, str | float]:
        """What is chosen, here or by the protocol; what is left to the dataset is not in it."""
        written = {name: getattr(self, name) for name in (*CHOICES, *LIMITS)}
        said = {name: value for name, value in written.items() if value not in (DEFAULT, None)}
        return {**EVALUATION_PROTOCOLS[self.protocol], **said}
