"""Mean rank: where a method stands among all, averaged over the tasks."""

import math
from collections.abc import Sequence

import numpy as np
from scipy import stats

from astmt_jax.compare.scores import MethodScores
from astmt_jax.tasks.task import Task


def mean_ranks(scores: Sequence[MethodScores], tasks: Sequence[Task]) -> dict[str, float]:
    """Mean over the tasks of the rank by the main metric's mean over the seeds; 1 is the best.

    Methods that are equal share the mean of their ranks. Unlike the average drop it is the same
    whatever the metrics' units are, but it changes with the company.

    Returns:
      Method name -> mean rank, of the methods that have a finite result for every task.
    """
    means = {
        row.method.name: [_mean(row, task) * (-1 if task.higher_is_better else 1) for task in tasks]
        for row in scores
    }
    complete = {name: row for name, row in means.items() if np.isfinite(row).all()}
    if not complete:
        return {}
    ranks = stats.rankdata(list(complete.values()), axis=0)
    return dict(zip(complete, ranks.mean(axis=1).tolist(), strict=True))


def _mean(row: MethodScores, task: Task) -> float:
    found = row.results.get(task.name, {}).get(task.headline)
    return found.mean if found else math.nan
