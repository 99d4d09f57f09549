"""How long the runs of a comparison will take that are still to do."""

from collections.abc import Iterable, Mapping


class TimeLeft:
    """Learns from the runs that were done.

    A network takes as long as it took with another seed, or, as long as that is not known, as its
    share of multiply-adds says.

    Args:
      multiply_adds: of every network, by name.
    """

    def __init__(self, multiply_adds: Mapping[str, int]):
        self._multiply_adds = multiply_adds
        self._seconds: dict[str, float] = {}

    def add(self, name: str, seconds: float) -> None:
        """Takes how long a network took from beginning to end."""
        self._seconds[name] = seconds

    def of(self, names: Iterable[str]) -> float | None:
        """Seconds that the networks with these names will take; None before any was done."""
        if not self._seconds:
            return None
        known = sum(self._multiply_adds[name] for name in self._seconds)
        rate = sum(self._seconds.values()) / known
        return sum(self._seconds.get(name, rate * self._multiply_adds[name]) for name in names)
