"""What TensorBoard shows of a run besides its losses: time, waiting for data, and memory."""

import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

import jax

T = TypeVar("T")


class InputClock:
    """Measures which part of the time a loop spends waiting for its next batch."""

    def __init__(self):
        self._waited = 0.0
        self._since = time.perf_counter()

    def timed(self, batches: Iterable[T]) -> Iterator[T]:
        """Yields `batches`, counting the time that each one takes to come.

        The devices may still be busy with an earlier batch meanwhile.
        """
        iterator = iter(batches)
        while True:
            start = time.perf_counter()
            try:
                batch = next(iterator)
            except StopIteration:
                return
            finally:
                self._waited += time.perf_counter() - start
            yield batch

    def take(self) -> float:
        """Fraction of the time since the last call (or since creation) that was waiting, 0..1."""
        now = time.perf_counter()
        fraction = self._waited / max(now - self._since, 1e-9)
        self._waited, self._since = 0.0, now
        return fraction


def device_memory() -> dict[str, float]:
    """Memory of this process's fullest device in GiB, now and at its peak.

    Returns:
      `device_memory_gib` and `device_memory_peak_gib`; empty for devices that do not tell (CPUs).
    """
    stats = [device.memory_stats() or {} for device in jax.local_devices()]
    names = {"device_memory_gib": "bytes_in_use", "device_memory_peak_gib": "peak_bytes_in_use"}
    return {
        name: max(s[key] for s in stats) / 2**30
        for name, key in names.items()
        if all(key in s for s in stats)
    }
