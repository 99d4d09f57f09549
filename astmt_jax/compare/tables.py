"""A comparison as tables, for the terminal and as Markdown: means and spreads over the seeds."""

import math
from collections.abc import Mapping, Sequence

from rich.table import Table

from astmt_jax.compare.scores import AVERAGE, MethodScores, Statistic
from astmt_jax.metrics.notation import MetricNotation
from astmt_jax.tasks.task import Task

DROP = MetricNotation("drop", "↓", "%", decimals=1)
MISSING = "-"
EXPLANATION = (
    "Each method adds to the one before: batch norm (BN) and squeeze-and-excitation (SE) of each "
    "task's own, adapters, adversarial training. Mean ± sample standard deviation over the seeds. "
    "Average drop: relative loss of the tasks' metrics above against the single-task networks of "
    "the same seed; negative is a gain. Parameters: of all networks, without the discriminator. "
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
    headings = ["method", *titles, _heading(AVERAGE, DROP), "parameters", "GMAC", "seeds"]
    return [headings, *(_row(row, tasks, headlines) for row in scores)]


def _row(
    row: MethodScores, tasks: Sequence[Task], headlines: Mapping[str, MetricNotation]
) -> list[str]:
    statistics = {task.name: row.results.get(task.name, {}).get(task.headline) for task in tasks}
    return [
        row.method.label,
        *(cell(headlines[name], statistic) for name, statistic in statistics.items()),
        cell(DROP, row.drop.get(AVERAGE)),
        f"{row.cost.parameters / 1e6:.2f} M",
        f"{row.cost.multiply_adds / 1e9:.3f}",
        str(min(len(statistic.by_seed) if statistic else 0 for statistic in statistics.values())),
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


def markdown(scores: Sequence[MethodScores], tasks: Sequence[Task], title: str) -> str:
    """A page with the main table, and a table of every metric with one column a method."""
    every = [["metric", *(row.method.label for row in scores)]]
    for task in tasks:
        for name, metric in task.notation.items():
            statistics = [row.results.get(task.name, {}).get(name) for row in scores]
            if any(statistics):
                every.append([_heading(task.name, metric), *(cell(metric, x) for x in statistics)])
    for name in (*(task.name for task in tasks), AVERAGE):
        every.append([_heading(name, DROP), *(cell(DROP, row.drop.get(name)) for row in scores)])
    main = markdown_table(_main_table(scores, tasks))
    return f"# {title}\n\n{main}\n{EXPLANATION}\n\n## Every metric\n\n{markdown_table(every)}"


def markdown_table(rows: Sequence[Sequence[str]]) -> str:
    """Rows of cells, the headings first."""
    headings, *lines = rows
    rule = ["---", *("---:" for _ in headings[1:])]
    return "".join(f"| {' | '.join(line)} |\n" for line in (headings, rule, *lines))
