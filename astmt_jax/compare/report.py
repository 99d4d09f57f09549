"""Writes what the finished runs of a comparison say: tables, figure, JSON."""

import os
import pathlib
from collections.abc import Mapping, Sequence

from rich.table import Table

from astmt_jax.compare import difference_tables, figure, tables
from astmt_jax.compare.choice import Ladder
from astmt_jax.compare.document import as_document
from astmt_jax.compare.methods import Method, Run
from astmt_jax.compare.scores import MethodScores, summarize
from astmt_jax.config import Config
from astmt_jax.datasets import registry
from astmt_jax.evaluation import published
from astmt_jax.evaluation.published_tables import PUBLISHED
from astmt_jax.evaluation.scoring import applied_to
from astmt_jax.files import storage
from astmt_jax.files.documents import read_document
from astmt_jax.metrics.summary import AVERAGE
from astmt_jax.models.cost import TotalCost
from astmt_jax.tasks.task import Task

ROWS = "rows"
"""What the JSON calls the file that the rows come from."""


def check_report(ladder: Ladder, workdir: pathlib.Path) -> None:
    """Checks that a ladder's report replaces none of another file of rows of the same name.

    A file that is no longer there may have been this one, in another place.

    Raises:
      ValueError: it would.
    """
    path = workdir / f"{ladder.report}.json"
    if ladder.rows is None or not path.exists():
        return
    document = read_document(path)
    former = document.get(ROWS) if isinstance(document, dict) else None
    if isinstance(former, str) and former != str(ladder.rows) and os.path.exists(former):
        raise ValueError(f"{path} is about the rows of {former}: give {ladder.rows} another name.")


def write_report(
    config: Config,
    ladder: Ladder,
    compared: Sequence[Method],
    costs: Mapping[str, TotalCost],
    finished: Sequence[Run],
    num_runs: int,
    workdir: pathlib.Path,
) -> Table:
    """Writes a ladder's JSON, Markdown and PNG.

    Args:
      config: what the methods have in common.
      ladder: what is compared; its `report` is the name of the files, without their ending.
      compared: the methods.
      costs: of every network, by name.
      finished: the runs that have results.
      num_runs: how many there will be.
      workdir: the comparison's folder.

    Returns:
      The main table, for the terminal.

    Raises:
      ValueError: a run's results cannot be read, naming the file.
    """
    tasks = applied_to(config.evaluation, registry.tasks_of(config))
    scores = summarize(compared, tasks, costs, finished, workdir)
    state = "" if len(finished) == num_runs else f" ({len(finished)} of {num_runs} runs)"
    title = f"Comparison on {config.dataset.name}, {config.model.backbone}{state}"
    document = {
        "config": config.to_dict(),
        "finished": [str(run.folder) for run in finished],
        "complete": len(finished) == num_runs,
        ROWS: None if ladder.rows is None else str(ladder.rows),
        **as_document(scores, tasks),
    }
    page = (
        tables.main(scores, tasks, title),
        difference_tables.markdown(scores, tasks),
        tables.every_metric(scores, tasks),
        _published(config, scores, tasks),
    )
    storage.write_json(workdir / f"{ladder.report}.json", document)
    storage.write_text(workdir / f"{ladder.report}.md", "\n".join(filter(None, page)))
    figure.draw(scores, tasks, workdir / f"{ladder.report}.png")
    return tables.terminal_table(scores, tasks, title)


def _published(config: Config, scores: Sequence[MethodScores], tasks: Sequence[Task]) -> str:
    """The end of the page: what others published, where it means the same."""
    protocol, split = config.evaluation.protocol, config.dataset.eval_split
    beside = published.find(PUBLISHED, config, protocol, split, tasks)
    if isinstance(beside, str):
        return f"## Beside published results\n\n{beside}\n"
    ours = [_our_row(row, beside.tasks) for row in scores]
    table = tables.markdown_table(published.written(beside, ours))
    notes = "".join(f"\n{sentence}\n" for sentence in beside.notes)
    return f"## Beside published results\n\n{beside.published.setting}.\n\n{table}{notes}"


def _our_row(row: MethodScores, tasks: Sequence[Task]) -> published.Row:
    """A method's means over the seeds."""
    found = {t.name: row.results.get(t.name, {}).get(t.headline) for t in tasks}
    means = {name: statistic.mean for name, statistic in found.items() if statistic}
    drop = row.drop.get(AVERAGE)
    return published.our_row(
        f"ours, {row.method.label}",
        tasks,
        means,
        drop=None if drop is None else drop.mean,
        parameters=row.cost.parameters / 1e6,
    )
