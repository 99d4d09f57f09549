"""TPU chips and the shapes in which they are rented: `v5e:4x4` is a slice of sixteen v5e chips."""

import dataclasses
import importlib.util
import math
import os

import jax
from jax.experimental import topologies

GIB = 2**30

SQUARES = ("1x1", "2x2", "2x4", "4x4", "4x8", "8x8", "8x16", "16x16")
CUBES = (
    "2x2x1", "2x2x2", "2x2x4", "2x4x4", "4x4x4", "4x4x8", "4x8x8", "8x8x8", "8x8x12", "8x8x16",
    "8x16x16", "16x16x16", "16x16x24",
)  # fmt: skip


COMPILE_ONLY = {
    "TPU_SKIP_MDS_QUERY": "1",  # there is no metadata server to ask
    "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",  # several that compile do not exclude one another
    "TPU_ACCELERATOR_TYPE": "v5litepod-16",  # any: libtpu warns where it finds none
    "TPU_WORKER_HOSTNAMES": "localhost",
    "TPU_MIN_LOG_LEVEL": "3",
}
"""Environment of libtpu in a process that only compiles."""


@dataclasses.dataclass(frozen=True)
class Chip:
    """One kind of TPU chip.

    Attributes:
      name: as topologies have it before the colon.
      peak_flops: bfloat16 floating-point operations a second, as published.
      hbm_bandwidth: bytes a second between the chip and its memory, as published.
      hbm_bytes: memory that a program may use; what libtpu 0.0.42 names when it refuses one.
      shapes: of the slices that there are, chips along each axis.
      source: where the published figures are from.
    """

    name: str
    peak_flops: float
    hbm_bandwidth: float
    hbm_bytes: int
    shapes: tuple[str, ...]
    source: str


CHIPS = {
    chip.name: chip
    for chip in (
        Chip(
            "v5e", 197e12, 819e9, int(15.75 * GIB), SQUARES, "https://cloud.google.com/tpu/docs/v5e"
        ),
        Chip(
            "v5p", 459e12, 2765e9, int(95.74 * GIB), CUBES, "https://cloud.google.com/tpu/docs/v5p"
        ),
        Chip(
            "v6e", 918e12, 1638e9, int(31.25 * GIB), SQUARES, "https://cloud.google.com/tpu/docs/v6e"
        ),
    )
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Topology:
    """A slice of a TPU pod.

    Attributes:
      name: such as 'v5e:4x4'.
      chip: what it is made of.
      chips: how many.
    """

    name: str
    chip: Chip
    chips: int


def parse_topology(name: str) -> Topology:
    """The slice called `name`.

    Raises:
      ValueError: there is none of that name, listing those there are.
    """
    kind, _, shape = name.partition(":")
    if kind not in CHIPS:
        known = "; ".join(f"{chip.name}: {', '.join(chip.shapes)}" for chip in CHIPS.values())
        raise ValueError(
            f"--topology is {name!r}, but must be a chip and the shape of a slice, such as "
            f"v5e:4x4; there are {known}."
        )
    chip = CHIPS[kind]
    if shape not in chip.shapes:
        known = ", ".join(f"{kind}:{shape}" for shape in chip.shapes)
        raise ValueError(f"--topology is {name!r}, but slices of {kind} are: {known}.")
    return Topology(name, chip, math.prod(int(length) for length in shape.split("x")))


def describe_devices(topology: Topology) -> list[jax.Device]:
    """The slice's devices, for which programs can be compiled, but not run.

    Raises:
      ModuleNotFoundError: libtpu is not installed, naming the command that installs it.
    """
    if importlib.util.find_spec("libtpu") is None:
        raise ModuleNotFoundError(
            "compiling for TPUs needs libtpu, which is not installed: pip install '.[tpu]'."
        )
    for name, value in COMPILE_ONLY.items():
        os.environ.setdefault(name, value)
    # By default a host has four chips, more than the smallest slice.
    options = {"chips_per_host_bounds": (1, 1, 1)} if topology.chips == 1 else {}
    return topologies.get_topology_desc(topology.name, platform="tpu", **options).devices
