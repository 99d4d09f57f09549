"""How a metric's numbers are written: name, direction, unit and digits."""

import dataclasses
import math
from collections.abc import Mapping


@dataclasses.dataclass(frozen=True)
class MetricNotation:
    """How a metric is written.

    Attributes:
      label: its name in the field.
      better: '↑' if higher is better, '↓' if lower is.
      unit: what follows the number.
      scale: the number is the result times this (100 turns a fraction into percent).
      decimals: digits after the point.
    """

    label: str
    better: str
    unit: str = ""
    scale: float = 1.0
    decimals: int = 3

    @property
    def higher_is_better(self) -> bool:
        """Direction of the metric."""
        return self.better == "↑"

    @property
    def title(self) -> str:
        """Label and direction."""
        return f"{self.label} {self.better}"

    def number(self, value: float) -> str:
        """The value in its unit, which is left out; 'n/a' for NaN, the mean over nothing."""
        return "n/a" if math.isnan(value) else f"{self.scale * value:.{self.decimals}f}"

    def write(self, value: float) -> str:
        """The value with its unit; 'n/a' for NaN."""
        return self.number(value) + ("" if math.isnan(value) else self.unit)


def percent(label: str, scale: float = 100.0) -> MetricNotation:
    return MetricNotation(label, "↑", "%", scale, decimals=1)


def degrees(label: str) -> MetricNotation:
    return MetricNotation(label, "↓", "°", decimals=1)


Notation = Mapping[str, MetricNotation]
"""Key of a metric's `result()` -> how the number is written, in the order of tables."""
