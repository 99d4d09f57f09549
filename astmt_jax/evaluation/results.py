"""results.json: what a split's predictions reach. Nothing else writes or reads it."""

import json
import math
import pathlib
from collections.abc import Mapping
from typing import Any

from astmt_jax.evaluation.scoring import Scores
from astmt_jax.files import storage

RESULTS_FILE = "results.json"


def notes_file(results: pathlib.Path) -> pathlib.Path:
    """The file that lets an evaluation go on which will write `results`; it stands beside it."""
    return results.with_suffix(".unfinished")


def write_results(path: pathlib.Path, scores: Scores, about: Mapping[str, Any]) -> None:
    """Writes results.json: `about`, then results and details; numbers that are undefined as null.

    Args:
      path: of the file.
      scores: of the split.
      about: what the scores are of, as plain values.
    """
    document = {**about, "results": scores.results, "details": scores.details}
    storage.write_json(path, document)


def read_results(path: pathlib.Path) -> dict[str, Any]:
    """What `write_results` wrote, with NaN where an undefined number of `results` is null.

    Returns:
      What the scores are of, `results`: task -> metric -> number, and `details`: task -> plain
      values.

    Raises:
      ValueError: the file is missing, unreadable or not of this form.
    """
    try:
        document = json.loads(path.read_text())
        results = {
            task: {name: _number(value) for name, value in metrics.items()}
            for task, metrics in document["results"].items()
        }
        return {"details": {}, **document, "results": results}
    except (OSError, KeyError, ValueError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{path} cannot be read ({error}): delete it, and have its network scored again."
        ) from error


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)
