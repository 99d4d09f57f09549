"""Whether two methods differ: paired differences of their drops, seed by seed."""

import dataclasses
import math
import statistics
from collections.abc import Iterable, Mapping, Sequence

from scipy import stats

from astmt_jax.compare.scores import MethodScores

CONFIDENCE = 0.95


@dataclasses.dataclass(frozen=True)
class Difference:
    """How much more one method loses than another, in percentage points of the drop.

    Attributes:
      mean: over the seeds that both have; negative where the first loses less.
      low: lower end of Student's confidence interval of the mean; NaN for one seed.
      high: its upper end.
      seeds: how many.
    """

    mean: float
    low: float
    high: float
    seeds: int

    @property
    def is_shown(self) -> bool:
        """Whether the interval leaves out 0."""
        return self.low > 0 or self.high < 0


def paired(drop: Mapping[int, float], other: Mapping[int, float]) -> Difference | None:
    """The difference of two drops that are given by seed, in percent.

    Both are relative to the same single-task networks of each seed, and what a seed makes harder or
    easier for both cancels. The interval is Student's, with one degree of freedom fewer than seeds.

    Returns:
      None without a common seed whose values are finite.
    """
    pairs = [(drop[seed], other[seed]) for seed in drop.keys() & other.keys()]
    values = [a - b for a, b in pairs if math.isfinite(a - b)]
    if not values:
        return None
    mean = statistics.fmean(values)
    if len(values) == 1:
        return Difference(mean, math.nan, math.nan, 1)
    error = statistics.stdev(values) / math.sqrt(len(values))
    width = float(stats.t.ppf((1 + CONFIDENCE) / 2, len(values) - 1)) * error
    return Difference(mean, mean - width, mean + width, len(values))


def to_changed(scores: Sequence[MethodScores]) -> dict[str, dict[str, Difference]]:
    """How each method differs from the one that it is a change to.

    Args:
      scores: of all methods that have a finished run.

    Returns:
      Method name -> task name or `AVERAGE` -> difference of the drops; methods without one, because
      seeds are missing or it is the first, are left out.
    """
    by_name = {row.method.name: row for row in scores}
    found = {}
    for row in scores:
        other = by_name.get(row.method.changed or "")
        if other is None:
            continue
        differences = {
            name: paired(drop.by_seed, _drop(other, name, drop.by_seed))
            for name, drop in row.drop.items()
        }
        found[row.method.name] = {name: d for name, d in differences.items() if d is not None}
    return {name: differences for name, differences in found.items() if differences}


def _drop(row: MethodScores, name: str, seeds: Iterable[int]) -> Mapping[int, float]:
    """Seed -> drop; single-task networks lose nothing."""
    if row.method.is_single_task:
        return dict.fromkeys(seeds, 0.0)
    return row.drop[name].by_seed if name in row.drop else {}
