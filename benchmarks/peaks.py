"""What a device can do at most: as published, and as two small programs find it."""

import dataclasses
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from astmt_jax.aot.tpu import CHIPS, Chip

REPEATS = 10


@dataclasses.dataclass(frozen=True)
class Peaks:
    """The most that a device does.

    Attributes:
      flops: dtype -> floating-point operations a second of dense products at JAX's default
        precision, which takes TF32 for float32 on NVIDIA's cards and bfloat16 on TPUs.
      bandwidth: bytes a second between the device and its memory.
      source: where the figures are from.
    """

    flops: Mapping[str, float]
    bandwidth: float
    source: str


def _card(bfloat16: float, float32: float, bandwidth: float, sheet: str) -> Peaks:
    """TFLOP/s without sparsity, accumulated in float32, and GB/s."""
    flops = {"bfloat16": 1e12 * bfloat16, "float32": 1e12 * float32}
    return Peaks(flops, 1e9 * bandwidth, f"NVIDIA, {sheet}")


def _chip(chip: Chip) -> Peaks:
    flops = dict.fromkeys(("bfloat16", "float32"), chip.peak_flops)
    return Peaks(flops, chip.hbm_bandwidth, chip.source)


_V4 = Peaks(
    dict.fromkeys(("bfloat16", "float32"), 275e12), 1200e9, "https://cloud.google.com/tpu/docs/v4"
)

PUBLISHED: dict[str, Peaks] = {
    "NVIDIA H200": _card(989.4, 494.7, 4800, "H200 data sheet"),
    "NVIDIA H100 80GB HBM3": _card(989.4, 494.7, 3350, "H100 data sheet"),
    "NVIDIA H100 NVL": _card(835.5, 417.5, 3900, "H100 data sheet"),
    "NVIDIA H100 PCIe": _card(756, 378, 2000, "H100 data sheet"),
    "NVIDIA A100-SXM4-80GB": _card(312, 156, 2039, "A100 data sheet"),
    "NVIDIA A100 80GB PCIe": _card(312, 156, 1935, "A100 data sheet"),
    "NVIDIA A100-SXM4-40GB": _card(312, 156, 1555, "A100 data sheet"),
    "NVIDIA A100-PCIE-40GB": _card(312, 156, 1555, "A100 data sheet"),
    "NVIDIA L40S": _card(362, 183, 864, "L40S data sheet"),
    "NVIDIA L4": _card(121, 60, 300, "L4 data sheet"),
    "NVIDIA A10": _card(125, 62.5, 600, "A10 data sheet"),
    # Neither bfloat16 nor TF32: both are computed in float32.
    "Tesla T4": _card(8.1, 8.1, 320, "T4 data sheet"),
    "NVIDIA RTX 6000 Ada Generation": _card(364.2, 182.1, 960, "Ada architecture whitepaper"),
    "NVIDIA RTX A6000": _card(154.8, 77.4, 768, "GA102 architecture whitepaper"),
    "NVIDIA GeForce RTX 5090": _card(209.5, 104.8, 1792, "Blackwell architecture whitepaper"),
    "NVIDIA GeForce RTX 4090": _card(165.2, 82.6, 1008, "Ada architecture whitepaper"),
    "NVIDIA GeForce RTX 3090": _card(71, 35.6, 936, "GA102 architecture whitepaper"),
    "TPU v4": _V4,
    "TPU v5 lite": _chip(CHIPS["v5e"]),
    "TPU v5e": _chip(CHIPS["v5e"]),
    "TPU v5": _chip(CHIPS["v5p"]),
    "TPU v5p": _chip(CHIPS["v5p"]),
    "TPU v6 lite": _chip(CHIPS["v6e"]),
    "TPU v6e": _chip(CHIPS["v6e"]),
}
"""`jax.Device.device_kind` -> what is published."""


def measured_peaks(dtypes: Sequence[str]) -> Peaks:
    """What one matrix product of each dtype, and adding 1 to a large array, reach here."""
    scale = 1 if jax.default_backend() == "cpu" else 4
    side, length = 2048 * scale, 2**26 * scale
    flops = {dtype: 2 * side**3 / _product_seconds(side, dtype) for dtype in dtypes}
    add = jax.jit(lambda x: x + 1, donate_argnums=0)
    seconds = _seconds(add, jnp.zeros(length, jnp.float32))
    source = f"measured: products of {side} x {side}, {4 * length / 2**20:.0f} MiB plus 1"
    return Peaks(flops, 2 * 4 * length / seconds, source)


def _product_seconds(side: int, dtype: str) -> float:
    other = jax.random.normal(jax.random.key(0), (side, side), dtype) / side**0.5
    return _seconds(jax.jit(lambda x: x @ other), other)


def _seconds(function: Callable[[Any], Any], value: Any) -> float:
    """Of one call, the median of calls on what the one before returned."""
    seconds = []
    for _ in range(1 + REPEATS):
        start = time.perf_counter()
        value = jax.block_until_ready(function(value))
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds[1:])
