"""What `benchmarks.accelerator` finds, as Markdown and as plain values."""

import dataclasses
import datetime
import importlib.metadata
import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from astmt_jax.aot.roofline import Roofline
from benchmarks.golden_checks import Check
from benchmarks.networks import Measurement
from benchmarks.peaks import Peaks

GIB = 2**30


@dataclasses.dataclass(frozen=True)
class Device:
    """What is measured.

    Attributes:
      name: JAX's `device_kind`.
      platform: 'cpu', 'gpu' or 'tpu'.
      memory_bytes: that a program may use; None if the device does not say.
      peaks: published, or else as measured.
      measured: what two small programs reach.
    """

    name: str
    platform: str
    memory_bytes: int | None
    peaks: Peaks
    measured: Peaks


@dataclasses.dataclass(frozen=True)
class Case:
    """One way to train: a backbone, the dtype of activations, an update rule."""

    backbone: str
    dtype: str
    rule: str

    def __str__(self) -> str:
        return f"{self.backbone} {self.dtype} {self.rule}"


@dataclasses.dataclass(frozen=True)
class Speed:
    """A case and what was measured."""

    case: Case
    batch: int
    figures: Measurement

    def figures_on(self, device: Device) -> dict[str, Any]:
        """All figures as plain values; shares and times at best are those of a device's peaks."""
        found, peaks = self.figures, device.peaks
        roofline = Roofline(
            found.flops / peaks.flops[self.case.dtype], found.bytes_accessed / peaks.bandwidth
        )
        return {
            **dataclasses.asdict(self.case),
            "batch": self.batch,
            **dataclasses.asdict(found),
            "images_per_second": self.batch / found.seconds,
            "share_of_peak_flops": roofline.compute_seconds / found.seconds,
            "share_of_bandwidth": roofline.memory_seconds / found.seconds,
            "roofline_seconds": roofline.seconds,
            "roofline_bound": roofline.bound,
            "roofline_images_per_second": self.batch / roofline.seconds,
        }


@dataclasses.dataclass
class Report:
    """What has been found so far.

    Attributes:
      device: what is measured.
      settings: the command's flags.
      checks: comparisons with the golden cases.
      speeds: measurements.
      missing: what has no result -> why.
    """

    device: Device
    settings: dict[str, Any]
    checks: list[Check] = dataclasses.field(default_factory=list)
    speeds: list[Speed] = dataclasses.field(default_factory=list)
    missing: dict[str, str] = dataclasses.field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain values, for JSON."""
        return {
            "date": datetime.date.today().isoformat(),
            "python": platform.python_version(),
            "versions": {name: importlib.metadata.version(name) for name in ("jax", "flax")},
            "settings": self.settings,
            "device": dataclasses.asdict(self.device),
            "checks": [
                {**dataclasses.asdict(check), "passed": check.passed} for check in self.checks
            ],
            "training": [speed.figures_on(self.device) for speed in self.speeds],
            "missing": self.missing,
        }


SPEED_COLUMNS: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "network": lambda row: row["backbone"],
    "dtype": lambda row: row["dtype"],
    "update": lambda row: row["rule"],
    "batch": lambda row: str(row["batch"]),
    "ms": lambda row: f"{1000 * row['seconds']:.1f}",
    "images/s": lambda row: f"{row['images_per_second']:.2f}",
    "GFLOP": lambda row: f"{row['flops'] / 1e9:,.1f}",
    "of peak FLOP/s": lambda row: f"{row['share_of_peak_flops']:.1%}",
    "GB": lambda row: f"{row['bytes_accessed'] / 1e9:,.2f}",
    "of bandwidth": lambda row: f"{row['share_of_bandwidth']:.1%}",
    "roofline: images/s": lambda row: (
        f"{row['roofline_images_per_second']:.2f} ({row['roofline_bound']})"
    ),
    "program GiB": lambda row: f"{row['program_bytes'] / GIB:.2f}",
    "peak GiB": lambda row: f"{row['peak_bytes'] / GIB:.2f}",
    "compiled in": lambda row: f"{row['compile_seconds']:.0f} s",
}

CHECK_COLUMNS: dict[str, Callable[[Check], str]] = {
    "case": lambda check: check.case,
    "compared": lambda check: check.what,
    "error": lambda check: f"{check.error:.2g}",
    "at most": lambda check: f"{check.tolerance:.2g}",
    "result": lambda check: "passed" if check.passed else "**not passed**",
}


def markdown(report: Report) -> Iterator[str]:
    """Lines of a page with all figures."""
    device, settings = report.device, report.settings
    versions = report.to_dict()["versions"]
    yield f"# {device.name} ({device.platform})"
    yield ""
    if device.memory_bytes is None:
        yield "Memory: the device does not say how much it has; peaks are the process's."
    else:
        yield f"Memory: {device.memory_bytes / GIB:.1f} GiB for programs."
    yield f"jax {versions['jax']}, flax {versions['flax']}, Python {platform.python_version()}."
    yield ""
    yield from _peaks_lines(device)
    if report.checks:
        yield from ("", "## Golden cases", "")
        yield from _table(CHECK_COLUMNS, report.checks)
    if report.speeds:
        yield from ("", f"## Training steps, {settings['size']} x {settings['size']}", "")
        yield from _table(SPEED_COLUMNS, [speed.figures_on(device) for speed in report.speeds])
    if report.missing:
        yield from ("", "## Left out", "")
        yield from (f"* {job}: {reason}" for job, reason in report.missing.items())


def _peaks_lines(device: Device) -> Iterator[str]:
    if device.peaks is device.measured:
        yield f"No peaks are published here for {device.name!r}: shares are of what was measured."
    for peaks in {id(peaks): peaks for peaks in (device.peaks, device.measured)}.values():
        rates = [f"{dtype} {rate / 1e12:.2f} TFLOP/s" for dtype, rate in peaks.flops.items()]
        yield f"* {', '.join(rates)}, {peaks.bandwidth / 1e9:,.0f} GB/s ({peaks.source})"


def _table(columns: Mapping[str, Callable[[Any], str]], rows: Sequence[Any]) -> Iterator[str]:
    yield f"| {' | '.join(columns)} |"
    yield f"|{'---|' * len(columns)}"
    for row in rows:
        yield f"| {' | '.join(write(row) for write in columns.values())} |"
