"""Results of single-task networks, against which a run's average drop is computed."""

import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from astmt_jax.config import differences
from astmt_jax.evaluation.results import RESULTS_FILE, read_results
from astmt_jax.files import documents
from astmt_jax.tasks.task import Task

RUNS = (RESULTS_FILE, f"*/{RESULTS_FILE}", f"*/*/{RESULTS_FILE}")
"""Where a folder holds the results of runs: its own, and those of a comparison's, by seed."""


def read_baselines(
    path: pathlib.Path, tasks: Sequence[Task], about: Mapping[str, Any]
) -> dict[str, dict[str, float]]:
    """The headline metric of a single-task network for each task.

    Args:
      path: a file of the form of results.json, `{"results": {task: {metric: value}}}`, in the units
        of the metrics (odsF in 0..1); or a folder with runs in it, or in folders of it, as
        `astmt_jax.compare` makes them. Of a folder, the runs for one task count, and of several for
        the same task, such as several seeds, the mean.
      tasks: that need one, with the choices that they are scored by.
      about: `dataset`, `quantized` and `choices` of the results to compare, as results.json notes
        them. What a file notes of them must agree; its split may be another one.

    Returns:
      Task -> headline metric -> value.

    Raises:
      ValueError: a task has none, or one that is not positive or was scored in another way, or
        several that differ in more than their seed; names the file.
    """
    values: dict[str, list[float]] = {task.name: [] for task in tasks}
    first: dict[str, pathlib.Path] = {}
    for file in _files(path):
        document = read_results(file)
        results = document["results"]
        if path.is_dir() and len(results) != 1:
            continue
        for task in tasks:
            if task.headline in results.get(task.name, {}):
                _check_alike(file, document, task, about)
                _check_one_network(first.setdefault(task.name, file), file)
                values[task.name].append(_positive(file, task, results[task.name][task.headline]))
    missing = [f"{task.name} ({task.headline})" for task in tasks if not values[task.name]]
    if missing:
        raise ValueError(
            f"train.baselines is {path}, which has no result of a single-task network for "
            f"{', '.join(missing)}: name a results.json that has one for every task, or a folder "
            "of runs for one task each."
        )
    return {task.name: {task.headline: _mean(values[task.name])} for task in tasks}


def _files(path: pathlib.Path) -> Iterator[pathlib.Path]:
    if not path.is_dir():
        yield path
        return
    for pattern in RUNS:
        yield from sorted(path.glob(pattern))


def _check_alike(
    file: pathlib.Path, document: Mapping[str, Any], task: Task, about: Mapping[str, Any]
) -> None:
    """Raises ValueError if a result was scored in another way, naming the first difference."""
    ours = {name: about[name] for name in ("dataset", "quantized")}
    ours |= {name: about["choices"][name] for name in task.choices}
    noted = document.get("choices", {})
    theirs = {**document} | (noted if isinstance(noted, dict) else {})
    for name, value in ours.items():
        if theirs.get(name, value) != value:
            raise ValueError(
                f"{file} was scored with {name}={theirs[name]!r}, this run is with {value!r}: "
                "results that differ in it cannot be the baselines of train.baselines."
            )


def _check_one_network(file: pathlib.Path, other: pathlib.Path) -> None:
    """Raises ValueError if the runs of two results differ in more than their seed."""
    changed = differences(_settings(file), _settings(other))
    if changed:
        raise ValueError(
            f"{file} and {other} are results of different networks for one task "
            f"({'; '.join(changed[:3])}): name a folder by train.baselines that has one of each."
        )


def _settings(file: pathlib.Path) -> dict[str, Any]:
    """What a run was trained with and scored on, as far as its folder says it, but for the seed."""
    path = file.with_name("config.json")
    document = documents.read_document(path) if path.exists() else {}
    if not isinstance(document, dict):
        raise ValueError(f"{path} cannot be used: it is no section of settings.")
    split = read_results(file).get("split")
    return {**document, "seed": None, "split": split if isinstance(split, str) else None}


def _positive(file: pathlib.Path, task: Task, value: float) -> float:
    if not value > 0:
        raise ValueError(
            f"{file} has the {task.headline} {value:g} for {task.name}: a drop is relative to it, "
            "so that it must be more than 0."
        )
    return value


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
