"""A comparison as plain values, for comparison.json."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from astmt_jax.compare.differences import to_changed
from astmt_jax.compare.ranks import mean_ranks
from astmt_jax.compare.scores import MethodScores, Statistic
from astmt_jax.tasks.task import Task


def as_document(scores: Sequence[MethodScores], tasks: Sequence[Task]) -> dict[str, Any]:
    """Everything that is known of the methods, by their names."""
    ranks, differences = mean_ranks(scores, tasks), to_changed(scores)
    return {
        "tasks": {
            task.name: {"metric": task.headline, "higher_is_better": task.higher_is_better}
            for task in tasks
        },
        "methods": {
            row.method.name: {
                "label": row.method.label,
                "networks": len(row.method.configs),
                **dataclasses.asdict(row.cost),
                "results": {
                    task: {name: _plain(value) for name, value in metrics.items()}
                    for task, metrics in row.results.items()
                },
                "drop": {name: _plain(value) for name, value in row.drop.items()},
                "mean_rank": ranks.get(row.method.name),
                "compared_with": row.method.changed,
                "difference": {
                    name: dataclasses.asdict(value)
                    for name, value in differences.get(row.method.name, {}).items()
                },
            }
            for row in scores
        },
    }


def _plain(statistic: Statistic) -> dict[str, Any]:
    return {
        "mean": statistic.mean,
        "spread": statistic.spread,
        "by_seed": {str(seed): value for seed, value in statistic.by_seed.items()},
    }
