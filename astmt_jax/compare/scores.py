"""What the finished runs of a comparison say: each method's metrics, average drop and cost."""

import dataclasses
import math
import pathlib
import statistics
from collections.abc import Iterable, Mapping, Sequence

from astmt_jax.compare.costs import method_cost
from astmt_jax.compare.methods import Method, Run
from astmt_jax.datasets import registry
from astmt_jax.evaluation.results import RESULTS_FILE, read_results
from astmt_jax.evaluation.scoring import conventions
from astmt_jax.metrics.summary import Results, average_drop
from astmt_jax.models.cost import TotalCost
from astmt_jax.tasks.task import Task


@dataclasses.dataclass(frozen=True)
class Statistic:
    """One number of one method.

    Attributes:
      by_seed: seed -> value, at least one; NaN where it is undefined.
    """

    by_seed: Mapping[int, float]

    @property
    def mean(self) -> float:
        """Mean over the seeds."""
        return statistics.fmean(self.by_seed.values())

    @property
    def spread(self) -> float:
        """Sample standard deviation over the seeds; NaN for one seed."""
        values = list(self.by_seed.values())
        if len(values) < 2 or not all(map(math.isfinite, values)):
            return math.nan
        return statistics.stdev(values)


@dataclasses.dataclass(frozen=True)
class MethodScores:
    """One method's numbers over the seeds that are finished.

    Attributes:
      method: which.
      results: task name -> metric -> value; tasks of networks that are not finished are missing.
      drop: task name or `AVERAGE` -> loss against single-task networks of the same seed in percent;
        empty where these or the method itself are not finished, and for single-task learning.
      cost: of its networks.
    """

    method: Method
    results: dict[str, dict[str, Statistic]]
    drop: dict[str, Statistic]
    cost: TotalCost


def summarize(
    compared: Sequence[Method],
    tasks: Sequence[Task],
    costs: Mapping[str, TotalCost],
    finished: Iterable[Run],
    workdir: pathlib.Path,
) -> list[MethodScores]:
    """The scores of all methods that have a finished run.

    Args:
      compared: the methods, in order.
      tasks: all that are compared, with the choices that they are scored by.
      costs: of every network, by name.
      finished: runs whose results are in their folders.
      workdir: the comparison's folder.

    Raises:
      ValueError: a results.json cannot be read, naming it.
    """
    scores: dict[str, dict[int, dict]] = {method.name: {} for method in compared}
    for run in finished:
        by_seed = scores[run.method].setdefault(run.config.seed, {})
        by_seed.update(_results(workdir / run.folder / RESULTS_FILE, run, tasks))
    return [
        MethodScores(
            method,
            _collect(scores[method.name]),
            _drops(scores[method.name], scores[method.single_task], tasks),
            method_cost(method, costs),
        )
        for method in compared
        if scores[method.name]
    ]


def _results(path: pathlib.Path, run: Run, tasks: Sequence[Task]) -> Results:
    """The results of a run; ValueError if the file is of other tasks, choices or images."""
    document, again = read_results(path), "delete it, and have its network scored again."
    results = document["results"]
    own = [task for task in tasks if task.name in run.config.tasks]
    for task in own:
        if task.headline not in results.get(task.name, {}):
            raise ValueError(f"{path} lacks {task.headline} of {task.name}: {again}")
    choices = conventions(run.config.evaluation, own)["choices"]
    if document.get("choices", choices) != choices:
        raise ValueError(f"{path} was scored by other choices than the comparison's: {again}")
    data = run.config.dataset
    split = registry.find(data.name).with_splits(data.train_split, data.eval_split).eval_split
    if document.get("split", split) != split:
        raise ValueError(f"{path} was scored on another split than {split!r}: {again}")
    by = run.config.train.best_by
    chosen_by = document.get("chosen_by")
    chosen = chosen_by.get("best_by") if isinstance(chosen_by, dict) else None
    if chosen != by:
        raise ValueError(
            f"{path} is of the checkpoint chosen by {chosen}, the comparison's by {by}: {again}"
        )
    return results


def _collect(by_seed: Mapping[int, Results]) -> dict[str, dict[str, Statistic]]:
    """Seed -> task -> metric -> value, turned inside out."""
    collected: dict[str, dict[str, dict[int, float]]] = {}
    for seed, results in by_seed.items():
        for task, metrics in results.items():
            for name, value in metrics.items():
                collected.setdefault(task, {}).setdefault(name, {})[seed] = value
    return {
        task: {name: Statistic(values) for name, values in metrics.items()}
        for task, metrics in collected.items()
    }


def _drops(
    by_seed: Mapping[int, Results], singles: Mapping[int, Results], tasks: Sequence[Task]
) -> dict[str, Statistic]:
    """Drops of the seeds in which all tasks can be compared; none for the singles themselves."""
    if by_seed is singles:
        return {}
    names = {task.name for task in tasks}
    drops: dict[str, dict[int, float]] = {}
    for seed, results in by_seed.items():
        reference = singles.get(seed, {})
        if not (names <= reference.keys() and names <= results.keys()):
            continue
        if all(reference[task.name][task.headline] for task in tasks):  # none is relative to 0
            for name, value in average_drop(results, reference, tasks).items():
                drops.setdefault(name, {})[seed] = value
    return {name: Statistic(values) for name, values in drops.items()}
