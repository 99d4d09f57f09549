"""A comparison as tables, for the terminal and as Markdown: means and spreads over the seeds."""

import math
from collections.abc import Sequence

from rich.table import Table

from astmt_jax.compare.ranks import mean_ranks
from astmt_jax.compare.scores import MethodScores, Statistic
from astmt_jax.metrics.notation import MetricNotation
from astmt_jax.metrics.summary import AVERAGE
from astmt_jax.tasks.task import Task

DROP = MetricNotation("drop", "↓", "%", decimals=1)
RANK = MetricNotation("mean rank", "↓", decimals=1)
MISSING = "-"
EXPLANATION = (
    "BN, SE: batch norm and squeeze-and-excitation of each task's own; what begins with + adds to "
    "the method before. Mean ± sample standard deviation over the seeds. "
    "Average drop: relative loss of the tasks' metrics above against the single-task networks of "
    "the same seed; negative is a gain. Mean rank: of the tasks' metrics above among the methods. "
    "Parameters: of all networks, without the discriminator. "
    "GMAC: 10^9 multiply-adds for one image, all tasks at once."
)


def cell(metric: MetricNotation, statistic: Statistic | None) -> str:
    """Such as '55.8 ± 0.3', without the spread where there is one seed."""
    if statistic is None:
        return MISSING
    mean, spread = metric.number(statistic.mean), statistic.spread
    return mean if math.isnan(spread) else f"{mean} ± {metric.number(spread)}"


def _heading(name: str, metric: MetricNotation) -> str:
    unit = f" ({metric.unit.strip()})" if metric.unit else ""
    return f"{name} {metric.title}{unit}"


def _main_table(scores: Sequence[MethodScores], tasks: Sequence[Task]) -> list[list[str]]:
    """Headings, and one row a method."""
    headlines = {task.name: task.notation[task.headline] for task in tasks}
    titles = [_heading(name, metric) for name, metric in headlines.items()]
    measures = [_heading(AVERAGE, DROP), RANK.title, "parameters", "GMAC", "seeds"]
    ranks = mean_ranks(scores, tasks)
    lines = (_row(row, tasks, ranks.get(row.method.name)) for row in scores)
    return [["method", *titles, *measures], *lines]


def _row(row: MethodScores, tasks: Sequence[Task], rank: float | None) -> list[str]:
    found = [row.results.get(task.name, {}).get(task.headline) for task in tasks]
    return [
        row.method.label,
        *(cell(task.notation[task.headline], x) for task, x in zip(tasks, found, strict=True)),
        cell(DROP, row.drop.get(AVERAGE)),
        MISSING if rank is None else RANK.number(rank),
        f"{row.cost.parameters / 1e6:.2f} M",
        f"{row.cost.multiply_adds / 1e9:.3f}",
        str(min(len(statistic.by_seed) if statistic else 0 for statistic in found)),
    ]


def terminal_table(scores: Sequence[MethodScores], tasks: Sequence[Task], title: str) -> Table:
    """The main metric of every task, the average drop and the cost, one column a method.

    One row a method, as in the paper, would be too wide.
    """
    headings, *lines = zip(*_main_table(scores, tasks), strict=True)
    table = Table(*headings, title=title, caption=EXPLANATION)
    for column in table.columns[1:]:
        column.justify = "right"
    for line in lines:
        table.add_row(*line)
    return table


def main(scores: Sequence[MethodScores], tasks: Sequence[Task], title: str) -> str:
    """The beginning of a page: the table of `terminal_table`, one row a method."""
    table = markdown_table(_main_table(scores, tasks))
    return f"# {title}\n\n{table}\n{EXPLANATION}\n"


def every_metric(scores: Sequence[MethodScores], tasks: Sequence[Task]) -> str:
    """A section with a table of every metric and drop, one column a method."""
    rows = [["metric", *(row.method.label for row in scores)]]
    for task in tasks:
        for name, metric in task.notation.items():
            statistics = [row.results.get(task.name, {}).get(name) for row in scores]
            if any(statistics):
                rows.append([_heading(task.name, metric), *(cell(metric, x) for x in statistics)])
    for name in (*(task.name for task in tasks), AVERAGE):
        rows.append([_heading(name, DROP), *(cell(DROP, row.drop.get(name)) for row in scores)])
    return f"## Every metric\n\n{markdown_table(rows)}"


def markdown_table(rows: Sequence[Sequence[str]]) -> str:
    """Rows of cells, the headings first."""
    headings, *lines = rows
    rule = ["---", *("---:" for _ in headings[1:])]
    return "".join(f"| {' | '.join(line)} |\n" for line in (headings, rule, *lines))
