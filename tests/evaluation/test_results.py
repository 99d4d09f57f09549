"""results.json, written, read again, and refused."""

import json
import math
import pathlib

import pytest

from astmt_jax.config import EvaluationConfig
from astmt_jax.evaluation.results import (
    noted_choices,
    notes_file,
    read_results,
    write_results,
)
from astmt_jax.evaluation.scoring import Scores

SCORES = Scores(
    {"depth": {"rmse": 0.5, "log_rmse": math.nan}, "semseg": {"mIoU": 0.25}},
    {"depth": {"convention": "masked", "images": 3}, "semseg": {"curve": [0.0, math.nan]}},
)


def test_what_is_written_is_read_again(tmp_path):
    path = tmp_path / "results.json"
    write_results(path, SCORES, {"step": 7})
    assert json.loads(path.read_text())["results"]["depth"] == {"rmse": 0.5, "log_rmse": None}
    document = read_results(path)
    assert list(document) == ["details", "step", "results"]
    assert document["step"] == 7
    assert math.isnan(document["results"]["depth"].pop("log_rmse"))
    assert document["results"] == {"depth": {"rmse": 0.5}, "semseg": {"mIoU": 0.25}}
    assert document["details"]["depth"] == SCORES.details["depth"]
    assert document["details"]["semseg"] == {"curve": [0.0, None]}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "{}",
        '{"results": []}',
        '{"results": {"depth": 1}}',
        '{"results": {"depth": {"rmse": "low"}}}',
    ],
)
def test_what_is_not_of_this_form_is_refused(text, tmp_path):
    path = tmp_path / "results.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=rf"^{path} cannot be read \(.*\): delete it") as caught:
        read_results(path)
    assert "\n" not in str(caught.value)


def test_choices_are_those_of_the_results():
    config = EvaluationConfig(quantize=False, edge_truth="edges")
    path = pathlib.Path("results.json")
    assert noted_choices({}, config, path) == config  # a file of before
    noted = {
        "protocol": "successors",
        "choices": {"depth_convention": "masked", "min_depth": None, "max_depth": 8},
    }
    assert noted_choices(noted, config, path) == EvaluationConfig(
        quantize=False, protocol="successors", depth_convention="masked", max_depth=8.0
    )


@pytest.mark.parametrize(
    ("noted", "words"),
    [
        ({"protocol": "other"}, "protocol is 'other', but must be one of: "),
        ({"protocol": 3}, "protocol is 3, but must be of"),
        ({"protocol": "astmt", "choices": []}, r"choices is \[\], but must be a section"),
        ({"protocol": "astmt", "choices": {"command": "x"}}, "command is not a field"),
        ({"protocol": "astmt", "choices": {"edge_protocol": None}}, "edge_protocol is None"),
        ({"protocol": "astmt", "choices": {"max_depth": "far"}}, "max_depth is 'far'"),
        ({"protocol": "astmt", "choices": {"min_depth": -1}}, "min_depth is -1.0"),
    ],
)
def test_choices_that_cannot_be_are_refused(noted, words, tmp_path):
    """As what is of another form: the file is wrong, and not the user's settings."""
    path = tmp_path / "results.json"
    again = r"[^.]\): delete it, and have its network scored again\."
    with pytest.raises(ValueError, match=rf"^{path} cannot be read \({words}.*{again}$") as caught:
        noted_choices(noted, EvaluationConfig(), path)
    assert "\n" not in str(caught.value)


def test_notes_stand_beside_the_results(tmp_path):
    assert notes_file(tmp_path / "results.json") == tmp_path / "results.unfinished"
