"""results.json: what a split's predictions reach. Nothing else writes or reads it."""

import math
import pathlib
from collections.abc import Mapping
from typing import Any

from astmt_jax.config import EvaluationConfig
from astmt_jax.evaluation.scoring import Scores
from astmt_jax.files import documents, storage
from astmt_jax.records import build_record, shown, shown_name

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
      What the scores are of, by which choices (`noted_choices`), `results`: task -> metric ->
      number, and `details`: task -> plain values.

    Raises:
      ValueError: the file is missing, unreadable or not of this form.
    """
    try:
        document = _section(documents.read_document(path), "it")
        details = _section(document.get("details", {}), "details")
        for task, values in details.items():
            _section(values, f"details.{shown_name(task)}")
        results = {
            task: {
                name: _number(value, f"results.{shown_name(task)}.{shown_name(name)}")
                for name, value in _section(metrics, f"results.{shown_name(task)}").items()
            }
            for task, metrics in _section(document.get("results"), "results").items()
        }
    except (OSError, ValueError) as error:
        raise _unreadable(path, str(error).removeprefix(f"{path} ")) from error
    return {"details": {}, **document, "results": results}


def noted_choices(
    results: Mapping[str, Any], config: EvaluationConfig, path: pathlib.Path
) -> EvaluationConfig:
    """The choices that results were scored by, as they note them; `config` where they do not.

    Args:
      results: what `read_results` gave.
      config: the settings of the run that was scored.
      path: of the file that they were read from.

    Raises:
      ValueError: they note what cannot be chosen; names the file.
    """
    if "protocol" not in results:
        return config
    try:
        noted = {
            "quantize": config.quantize,
            "image_resize": config.image_resize,
            "protocol": results["protocol"],
            **_section(results.get("choices", {}), "choices"),
        }
        return build_record(EvaluationConfig, noted, "evaluation")
    except ValueError as error:  # 'evaluation' is the settings', not the file's
        raise _unreadable(path, str(error).removeprefix("evaluation.")) from error


def _unreadable(path: pathlib.Path, reason: str) -> ValueError:
    """The error that names the file, and what to do."""
    return ValueError(
        f"{path} cannot be read ({reason.removesuffix('.')}): delete it, and have its network "
        "scored again."
    )


def _section(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{where} is {shown(value)}, but must be a section with fields of its own")
    return value


def _number(value: Any, where: str) -> float:
    if value is None:
        return math.nan
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{where} is {shown(value)}, but must be a number or null")
    try:
        return float(value)
    except OverflowError as error:
        raise ValueError(f"{where} is {shown(value)}, which is too large") from error
