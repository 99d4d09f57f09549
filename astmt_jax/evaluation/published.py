"""Results that the paper published, to be set beside those of a run."""

import dataclasses
from collections.abc import Mapping

from astmt_jax.config import Config


@dataclasses.dataclass(frozen=True)
class Published:
    """A table of the paper.

    Attributes:
      setting: what was trained and scored, in words.
      backbone: of the networks.
      headlines: method -> task -> value of the task's headline metric, in the unit in which
        its `notation` writes it.
      drops: method -> average drop against the single-task networks, in percent.
    """

    setting: str
    backbone: str
    headlines: Mapping[str, Mapping[str, float]]
    drops: Mapping[str, float]


PUBLISHED: Mapping[str, Published] = {
    "pascal_context": Published(
        setting="PASCAL-Context, 5,105 validation images, ResNet-101 pretrained on ImageNet",
        backbone="resnet101",
        headlines={
            "single-task networks": {
                "edge": 72.7,
                "semseg": 68.30,
                "human_parts": 60.70,
                "normals": 14.61,
                "sal": 65.40,
            },
            "multi-task without ASTMT": {
                "edge": 69.2,
                "semseg": 63.20,
                "human_parts": 55.10,
                "normals": 16.04,
                "sal": 63.60,
            },
            "ASTMT": {
                "edge": 72.4,
                "semseg": 68.00,
                "human_parts": 61.12,
                "normals": 14.68,
                "sal": 65.71,
            },
        },
        drops={"multi-task without ASTMT": 6.81, "ASTMT": 0.04},
    ),
}
"""By name of the dataset. The paper has other datasets, too; their tables are not at hand."""


def published_for(config: Config) -> Published | None:
    """The paper's table for a run's dataset; None where there is none."""
    return PUBLISHED.get(config.dataset.name)
