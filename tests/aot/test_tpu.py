"""Names of TPU slices, and the roofline of their chips; libtpu is not needed."""

import importlib.util

import pytest

from astmt_jax.aot import tpu
from astmt_jax.aot.roofline import Roofline


@pytest.mark.parametrize(
    ("name", "chip", "chips"),
    [("v5e:4x4", "v5e", 16), ("v5p:2x2x1", "v5p", 4), ("v6e:16x16", "v6e", 256)],
)
def test_topology(name, chip, chips):
    topology = tpu.parse_topology(name)
    assert (topology.name, topology.chip.name, topology.chips) == (name, chip, chips)


@pytest.mark.parametrize("name", ["v5e:3x3", "v5e", "v5p:2x2", "v6e:4X4", "v5e:4x4x1"])
def test_unknown_shape_lists_those_of_the_chip(name):
    chip = name.partition(":")[0]
    with pytest.raises(ValueError, match=f"--topology is '{name}'") as error:
        tpu.parse_topology(name)
    message = str(error.value)
    assert all(f"{chip}:{shape}" in message for shape in tpu.CHIPS[chip].shapes)
    assert "\n" not in message


@pytest.mark.parametrize("name", ["v9:2x2", "2x2", ""])
def test_unknown_chip_lists_everything(name):
    with pytest.raises(ValueError, match="such as v5e:4x4") as error:
        tpu.parse_topology(name)
    assert all(
        f"{chip.name}: {', '.join(chip.shapes)}" in str(error.value) for chip in tpu.CHIPS.values()
    )


def test_without_libtpu_the_command_that_installs_it(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install '\.\[tpu\]'"):
        tpu.describe_devices(tpu.parse_topology("v5e:2x2"))


def test_roofline():
    """By hand: at the ridge, 459e12 / 2765e9 = 166 operations a byte, both bounds are equal."""
    chip = tpu.CHIPS["v5p"]
    compute = Roofline.of(chip, flops=4.59e12, traffic=2.765e9)
    assert (compute.seconds, compute.bound) == (pytest.approx(0.01), "compute")
    assert compute.memory_seconds == pytest.approx(0.001)
    assert compute.utilization == 1
    memory = Roofline.of(chip, flops=4.59e11, traffic=2.765e10)
    assert (memory.seconds, memory.bound) == (pytest.approx(0.01), "memory")
    assert memory.utilization == pytest.approx(0.1)
