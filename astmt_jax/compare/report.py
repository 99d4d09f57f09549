"""Writes what the finished runs of a comparison say: tables, figure, JSON."""

import pathlib
from collections.abc import Mapping, Sequence

from rich.table import Table

from astmt_jax.compare import figure, tables
from astmt_jax.compare.methods import Method, Run
from astmt_jax.compare.scores import as_document, summarize
from astmt_jax.config import Config
from astmt_jax.datasets import registry
from astmt_jax.files import storage
from astmt_jax.models.cost import TotalCost

NAME = "comparison"


def write_report(
    config: Config,
    compared: Sequence[Method],
    costs: Mapping[str, TotalCost],
    finished: Sequence[Run],
    num_runs: int,
    workdir: pathlib.Path,
) -> Table:
    """Writes comparison.json, comparison.md and comparison.png.

    Args:
      config: what the methods have in common.
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
    tasks = registry.tasks_of(config)
    scores = summarize(compared, tasks, costs, finished, workdir)
    state = "" if len(finished) == num_runs else f" ({len(finished)} of {num_runs} runs)"
    title = f"Comparison on {config.dataset.name}, {config.model.backbone}{state}"
    document = {
        "config": config.to_dict(),
        "finished": [str(run.folder) for run in finished],
        "complete": len(finished) == num_runs,
        **as_document(scores, tasks),
    }
    storage.write_json(workdir / f"{NAME}.json", document)
    storage.write_text(workdir / f"{NAME}.md", tables.markdown(scores, tasks, title))
    figure.draw(scores, tasks, workdir / f"{NAME}.png")
    return tables.terminal_table(scores, tasks, title)
