"""The fraction of waiting by a clock that only moves when told, and the fullest device's memory."""

import types

import jax
import pytest

from astmt_jax.runtime import monitoring


@pytest.fixture
def clock(monkeypatch):
    """Stands still until its `now` is moved."""
    clock = types.SimpleNamespace(now=100.0)
    monkeypatch.setattr(monitoring.time, "perf_counter", lambda: clock.now)
    return clock


def test_waiting_is_what_batches_take_to_come(clock):
    """3 s for each of two batches and 1 s to find that there are no more, 2 s of work on each."""

    def batches():
        for batch in "ab":
            clock.now += 3
            yield batch
        clock.now += 1

    waiting = monitoring.InputClock()
    seen = []
    for batch in waiting.timed(batches()):
        seen.append(batch)
        clock.now += 2
        if batch == "a":
            assert waiting.take() == pytest.approx(3 / 5)
    assert seen == ["a", "b"]
    assert waiting.take() == pytest.approx(4 / 6)
    clock.now += 1
    assert waiting.take() == 0


def test_memory_is_that_of_the_fullest_device(monkeypatch):
    stats = [
        {"bytes_in_use": 2**30, "peak_bytes_in_use": 3 * 2**30, "other": 1},
        {"bytes_in_use": 2**31, "peak_bytes_in_use": 2**31, "other": 1},
    ]
    devices = [types.SimpleNamespace(memory_stats=lambda s=s: s) for s in stats]
    monkeypatch.setattr(jax, "local_devices", lambda: devices)
    found = monitoring.device_memory()
    assert found == {"device_memory_gib": 2.0, "device_memory_peak_gib": 3.0}


def test_devices_without_memory_statistics(monkeypatch):
    device = types.SimpleNamespace(memory_stats=lambda: None)
    monkeypatch.setattr(jax, "local_devices", lambda: [device])
    assert monitoring.device_memory() == {}
