"""evaluations.json: nothing is forgotten, and nothing compared that means something else."""

import json
import math

import pytest
from settings import assert_one_sentence
from test_criterion import BASELINES, RESULTS, TASKS

from astmt_jax.training.criterion import Criterion, SelectionError
from astmt_jax.training.evaluations import (
    EVALUATIONS_FILE,
    Evaluations,
    earlier_best,
    recorded_choice,
)

ABOUT = {"split": "train[90%:]", "images": 60, "choices": {"depth": ("a", "b")}}
CRITERION = Criterion("depth.rmse", TASKS, None)


@pytest.fixture
def path(tmp_path):
    return tmp_path / EVALUATIONS_FILE


def write(path, about=ABOUT, criterion=CRITERION, results=RESULTS):
    evaluations = Evaluations(path, about, criterion)
    for number, result in enumerate(results, 1):
        evaluations.add(10 * number, result)
    evaluations.write()
    return evaluations


def test_a_run_that_goes_on_finds_its_evaluations(path):
    """In any order; undefined numbers of other metrics, too."""
    write(path, results=RESULTS[:1])
    evaluations = Evaluations(path, ABOUT, CRITERION)
    assert 10 in evaluations
    assert 20 not in evaluations
    evaluations.add(30, RESULTS[2])
    evaluations.add(20, {"semseg": {"mIoU": math.nan}, "depth": {"rmse": 0.5}})
    evaluations.write()
    again = Evaluations(path, ABOUT, CRITERION)
    assert again.best_step() == 20
    before = path.read_bytes()
    again.write()
    assert path.read_bytes() == before


def test_the_file_says_how_the_best_was_chosen(path):
    write(path)
    assert recorded_choice(path) == {
        "best_by": "depth.rmse",
        "split": "train[90%:]",
        "images": 60,
        "step": 10,
        "value": 1.0,
        "among_steps": [10, 20, 30],
    }


def test_nothing_is_chosen_where_nothing_was_asked_for(path):
    evaluations = write(path, criterion=None)
    assert evaluations.best_step() is None
    assert earlier_best(path) is None
    with pytest.raises(SelectionError, match="names no best checkpoint"):
        recorded_choice(path)


RULE = {"best_by": "depth.rmse", "eval_every_epochs": 2, "baselines": BASELINES}
OTHER_RULE = {"best_by": None, "eval_every_epochs": 3, "baselines": None}


def test_without_a_choice_its_rule_may_change(path):
    """The scores mean the same, whenever and for whatever they were made."""
    write(path, about=ABOUT | RULE)
    assert 10 in Evaluations(path, ABOUT | OTHER_RULE, None)
    with pytest.raises(SelectionError, match=r"settings \(best_by, eval_every_epochs\)"):
        Evaluations(path, ABOUT | OTHER_RULE, CRITERION)


def test_baselines_count_where_they_decide(path):
    write(path, about=ABOUT | RULE)
    others = ABOUT | RULE | {"baselines": {"depth": {"rmse": 9.0}}}
    assert 10 in Evaluations(path, others, CRITERION)
    with pytest.raises(SelectionError, match=r"settings \(baselines\)"):
        Evaluations(path, others, Criterion("average_drop", TASKS, BASELINES))


def test_the_best_is_not_chosen_among_other_things(path, capsys):
    write(path)
    changed = ABOUT | {"split": "train[80%:]", "choices": {}}
    with pytest.raises(SelectionError, match=r"other settings \(choices, split\)") as caught:
        Evaluations(path, changed, CRITERION)
    assert_one_sentence(str(caught.value))
    assert 10 not in Evaluations(path, changed, None)  # curves go on with what is to come
    told = " ".join(capsys.readouterr().out.split())
    assert told.endswith("other settings (choices, split): it is begun anew.")


@pytest.mark.parametrize("text", ["{", "[]", '{"evaluations": 3}', '{"evaluations": [{}]}'])
def test_a_damaged_file_is_told_in_one_sentence(path, text):
    path.write_text(text)
    with pytest.raises(SelectionError, match="cannot be read") as caught:
        Evaluations(path, ABOUT, CRITERION)
    assert_one_sentence(str(caught.value))


def test_an_undefined_number_is_not_written(path):
    evaluations = write(path, results=RESULTS[:1])
    with pytest.raises(SelectionError, match="undefined"):
        evaluations.add(20, {"depth": {"rmse": math.nan}})
    assert [entry["step"] for entry in json.loads(path.read_text())["evaluations"]] == [10]


def test_the_average_drop_is_that_against_the_baselines(path):
    write(path, criterion=Criterion("average_drop", TASKS, BASELINES))
    choice = recorded_choice(path)
    assert choice["value"] == pytest.approx(-15)
    assert choice["baselines"] == BASELINES
