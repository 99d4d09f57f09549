"""results.json: what a split's predictions reach, as every other part of the project reads it."""

import json
import math
import pathlib
from collections.abc import Mapping
from typing import Any

from astmt_jax.evaluation.scoring import Scores
from astmt_jax.files import storage

RESULTS_FILE = "results.json"


def write_results(path: pathlib.Path, scores: Scores, about: Mapping[str, Any]) -> None:
    """Writes results.json: `about`, then results and details; numbers that are undefined as null.

    Args:
      path: of the file.
      scores: of the split.
      about: what the scores are of, as plain values.
    """
    write_json(path, {**about, "results": scores.results, "details": scores.details})


def write_json(path: pathlib.Path, document: Mapping[str, Any]) -> None:
    """Writes plain values to a file, all or nothing; numbers that are undefined as null."""
    text = json.dumps(_without_nan(document), indent=2, allow_nan=False)
    storage.write_text(path, text + "\n")


def _without_nan(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def unfinished(path: pathlib.Path) -> pathlib.Path:
    """The file of what an interrupted evaluation has counted, beside its results."""
    return path.with_suffix(".unfinished")
