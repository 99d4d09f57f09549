"""The time below which a chip cannot run a program: the roofline model."""

import dataclasses

from astmt_jax.aot.tpu import Chip


@dataclasses.dataclass(frozen=True)
class Roofline:
    """Bounds on one run of a program, as if nothing but one resource of the chip took time.

    Communication between chips is not in it.

    Attributes:
      compute_seconds: its operations at the chip's peak.
      memory_seconds: its traffic with the memory at the published bandwidth.
    """

    compute_seconds: float
    memory_seconds: float

    @classmethod
    def of(cls, chip: Chip, flops: float, traffic: float) -> "Roofline":
        """Bounds for a program's operations and bytes on one chip."""
        return cls(flops / chip.peak_flops, traffic / chip.hbm_bandwidth)

    @property
    def seconds(self) -> float:
        """The greater of the two."""
        return max(self.compute_seconds, self.memory_seconds)

    @property
    def utilization(self) -> float:
        """Share of the chip's peak at which it would compute then, in 0..1."""
        return self.compute_seconds / self.seconds if self.seconds else 0.0

    @property
    def bound(self) -> str:
        """'compute' or 'memory': what takes that time."""
        return "compute" if self.compute_seconds >= self.memory_seconds else "memory"
