"""Differences between methods in words and as a table."""

import math
from collections.abc import Sequence

from astmt_jax.compare.differences import CONFIDENCE, Difference, to_changed
from astmt_jax.compare.scores import MethodScores
from astmt_jax.compare.tables import markdown_table
from astmt_jax.metrics.summary import AVERAGE
from astmt_jax.tasks.task import Task

EXPLANATION = (
    "Differences of the drops in percentage points, seed by seed: negative is better than the "
    f"method compared with. In brackets the {CONFIDENCE:.0%} confidence interval of the mean "
    "(Student's t over the seeds; each by itself, so that of twenty that leave out 0 one may do so "
    "by chance), bold where it leaves out 0."
)


def markdown(scores: Sequence[MethodScores], tasks: Sequence[Task]) -> str:
    """A section with a sentence for every method, and a table of every task's difference."""
    differences = to_changed(scores)
    labels = {row.method.name: row.method.label for row in scores}
    pairs = {
        row.method.name: f"{row.method.label}, against {labels[row.method.changed]}"
        for row in scores
        if row.method.changed in labels and AVERAGE in differences.get(row.method.name, {})
    }
    if not pairs:
        return ""
    names = [AVERAGE, *(task.name for task in tasks)]
    sentences = "".join(
        f"* {pair}: {sentence(differences[name][AVERAGE])}\n" for name, pair in pairs.items()
    )
    rows = [
        [pair, *(_cell(differences[name].get(column)) for column in names)]
        for name, pair in pairs.items()
    ]
    table = markdown_table([["method", *names], *rows])
    return f"## Differences\n\n{sentences}\n{table}\n{EXPLANATION}\n"


def sentence(difference: Difference) -> str:
    """What may be said of two average drops."""
    how_much = f"the average drop is {_points(difference.mean)}"
    if difference.seeds == 1:
        return f"{how_much}; one seed cannot show whether that is more than chance."
    interval = f"{CONFIDENCE:.0%} interval {difference.low:+.1f} to {difference.high:+.1f}"
    if difference.is_shown:
        return f"{how_much} ({interval}, {difference.seeds} seeds)."
    seeds = f"{difference.seeds} seeds"
    return f"no difference that {seeds} could show ({difference.mean:+.1f}, {interval})."


def _points(value: float) -> str:
    return f"{abs(value):.1f} points {'lower' if value < 0 else 'higher'}"


def _cell(difference: Difference | None) -> str:
    if difference is None:
        return "-"
    mean = f"{difference.mean:+.1f}"
    if math.isnan(difference.low):
        return mean
    text = f"{mean} [{difference.low:+.1f}, {difference.high:+.1f}]"
    return f"**{text}**" if difference.is_shown else text
