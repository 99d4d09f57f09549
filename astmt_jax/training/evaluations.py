"""evaluations.json: what a run's evaluations during training came to, and the best among them.

With it a run that was interrupted evaluates nothing twice, leaves no evaluation out, and knows
which checkpoint was the best before.
"""

import pathlib
from collections.abc import Mapping
from typing import Any

from astmt_jax.files import documents, storage
from astmt_jax.metrics.summary import Results
from astmt_jax.runtime import distributed
from astmt_jax.runtime.console import CONSOLE
from astmt_jax.training.criterion import Criterion, SelectionError

EVALUATIONS_FILE = "evaluations.json"
EVALUATIONS, BEST = "evaluations", "best"
"""Fields of the file, beside what the evaluations are of."""
RULE = ("best_by", "baselines", "eval_every_epochs")
"""Fields that say how a best one is chosen, and nothing of what a score means."""


class Evaluations:
    """The evaluations of a run, in the order of their steps.

    Args:
      path: of the file. Every process reads it, and goes by what process 0 found.
      about: what they are of and by which choices, as plain values; with the fields of `RULE`,
        which count only where they decide.
      criterion: by which the best is chosen; None chooses none.

    Raises:
      SelectionError: the file cannot be read, or holds evaluations of something else, beside which
        a best one cannot be chosen. (Where none is chosen, the file is begun anew, with a line
        on the terminal.)
    """

    def __init__(self, path: pathlib.Path, about: Mapping[str, Any], criterion: Criterion | None):
        self._path = path
        self._about = dict(about)
        self._criterion = criterion
        found = self._read() if path.exists() else {}
        self._results: dict[int, Results] = distributed.fold(lambda first, _: first, found)

    def __contains__(self, step: int) -> bool:
        return step in self._results

    def best_step(self) -> int | None:
        """The step of the best evaluation; None where none is chosen, or there is none yet."""
        choice = self._choice()
        return None if choice is None else choice["step"]

    def add(self, step: int, results: Results) -> None:
        """Adds an evaluation; SelectionError if the number that decides is undefined."""
        self._results[step] = results
        self._choice()

    def write(self) -> None:
        """Writes the file as a whole."""
        listed = [{"step": step, "results": self._results[step]} for step in self._steps()]
        document = {**self._about, BEST: self._choice(), EVALUATIONS: listed}
        storage.write_json(self._path, document)

    def _steps(self) -> list[int]:
        return sorted(self._results)

    def _choice(self) -> dict[str, Any] | None:
        """Which evaluation is the best and how it was chosen, as plain values."""
        if self._criterion is None or not self._results:
            return None
        steps = self._steps()
        values = [self._criterion.value(self._results[step]) for step in steps]
        best = self._criterion.best(values)
        compared = self._criterion.compared_with
        return {
            "best_by": self._criterion.name,
            **({} if compared is None else {"baselines": compared}),
            "split": self._about["split"],
            "images": self._about["images"],
            "step": steps[best],
            "value": values[best],
            "among_steps": steps,
        }

    def _read(self) -> dict[int, Results]:
        """The results in the file, if they are of the same."""
        document = _document(self._path)
        try:
            found = {entry["step"]: _results(entry["results"]) for entry in document[EVALUATIONS]}
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise _unreadable(self._path, "it holds no evaluations") from error
        changed = [name for name in _differences(document, self._about) if self._counts(name)]
        if not changed:
            return found
        if self._criterion is None:
            CONSOLE.print(
                f"{self._path} holds evaluations with other settings ({', '.join(changed)}): it is "
                "begun anew."
            )
            return {}
        raise SelectionError(
            f"{self._path} holds evaluations with other settings ({', '.join(changed)}), beside "
            "which no best checkpoint can be chosen: choose another --workdir, or delete that file "
            "and the folder best next to it to choose among the checkpoints to come."
        )

    def _counts(self, name: str) -> bool:
        """Whether evaluations that differ in a field cannot stand side by side."""
        if self._criterion is None:
            return name not in RULE
        return name != "baselines" or self._criterion.compared_with is not None


def recorded_choice(path: pathlib.Path) -> dict[str, Any]:
    """How the best checkpoint was chosen, as evaluations.json says it.

    Raises:
      SelectionError: the file is missing, cannot be read or does not say it.
    """
    choice = _document(path).get(BEST)
    if not isinstance(choice, dict):
        raise _unreadable(path, "it names no best checkpoint")
    return choice


def earlier_best(path: pathlib.Path) -> int | None:
    """The step of the best checkpoint, unless that is of the newest evaluation, or there is none.

    Raises:
      SelectionError: the file is there, but cannot be read.
    """
    choice = _document(path).get(BEST) if path.exists() else None
    if not isinstance(choice, dict):
        return None
    step, steps = choice.get("step"), choice.get("among_steps")
    return step if isinstance(steps, list) and steps[-1:] != [step] else None


def _document(path: pathlib.Path) -> dict[str, Any]:
    try:
        document = documents.read_document(path)
    except (OSError, ValueError) as error:
        raise _unreadable(path, str(error).removeprefix(f"{path} ")) from error
    if not isinstance(document, dict):
        raise _unreadable(path, "it holds no evaluations")
    return document


def _unreadable(path: pathlib.Path, reason: str) -> SelectionError:
    return SelectionError(
        f"{path} cannot be read ({reason}): bring it back from a backup, or delete it and the "
        "folder best next to it to choose among the checkpoints to come."
    )


def _differences(document: Mapping[str, Any], about: Mapping[str, Any]) -> list[str]:
    """Names of what the evaluations in a file are not of."""
    noted = {name: value for name, value in document.items() if name not in (BEST, EVALUATIONS)}
    names = sorted({*noted, *about})
    return [name for name in names if _plain(noted.get(name)) != _plain(about.get(name))]


def _results(document: Mapping[str, Mapping[str, float | None]]) -> Results:
    """Results as they were, with NaN where null is."""
    return {
        task: {
            name: float("nan") if value is None else float(value) for name, value in metrics.items()
        }
        for task, metrics in document.items()
    }


def _plain(value: Any) -> Any:
    """As JSON has it: lists for tuples."""
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value
