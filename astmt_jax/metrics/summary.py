"""One number for all tasks: how much a multi-task network loses against single-task ones."""

from collections.abc import Iterable, Mapping
from typing import Protocol

Results = Mapping[str, Mapping[str, float]]
"""Task name -> the `result()` of its metric."""


class Headlined(Protocol):
    """What a task says of its headline metric."""

    @property
    def name(self) -> str:
        """Of the task."""

    @property
    def headline(self) -> str:
        """Key of the metric's `result()` that stands for the task."""

    @property
    def higher_is_better(self) -> bool:
        """Direction of that number."""


AVERAGE = "average"
"""Key of the mean over the tasks among the drops."""


def average_drop(
    results: Results, single_task_results: Results, tasks: Iterable[Headlined]
) -> dict[str, float]:
    """Relative loss of each task's headline metric against its single-task network, in percent.

    For a metric M with single-task value S this is (S - M) / S * 100 where higher is better and
    (M - S) / S * 100 where lower is better: positive is worse than single-task, negative better.

    Args:
      results: results of the system to judge, in the units of `single_task_results`.
      single_task_results: per task, results of the network trained on this task alone.
      tasks: the tasks to compare; their records name the headline metric and its direction.

    Returns:
      The drop per task name, and their mean as `AVERAGE`.

    Raises:
      ValueError: no task is given, a headline value is missing, or a single-task value is 0.
    """
    tasks = list(tasks)
    if not tasks:
        raise ValueError("the average drop needs at least one task; none was given")
    _require_headlines({"results": results, "single_task_results": single_task_results}, tasks)
    drops = {}
    for task in tasks:
        value = results[task.name][task.headline]
        single = single_task_results[task.name][task.headline]
        if single == 0:
            raise ValueError(
                f"single_task_results: {task.name} has {task.headline} 0; "
                "a relative drop needs another value"
            )
        sign = -1 if task.higher_is_better else 1
        drops[task.name] = sign * (value - single) / single * 100
    return {**drops, AVERAGE: sum(drops.values()) / len(drops)}


def _require_headlines(sources: Mapping[str, Results], tasks: list[Headlined]) -> None:
    missing = [
        f"{source}: {task.name} {task.headline}"
        for source, results in sources.items()
        for task in tasks
        if task.headline not in results.get(task.name, {})
    ]
    if missing:
        raise ValueError(
            f"the average drop needs every task's headline metric; missing: {', '.join(missing)}"
        )
