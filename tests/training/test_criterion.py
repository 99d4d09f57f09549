"""The best of several results, and settings that choose on images they must not be chosen on."""

import math

import pytest
from settings import assert_one_sentence, settings

from astmt_jax.config import from_config_dict
from astmt_jax.datasets import registry
from astmt_jax.pipeline.source import Source, Stored
from astmt_jax.training.criterion import Criterion, SelectionError, check_apart, check_settings

CONFIG = from_config_dict(settings(tasks=("semseg", "depth")))
TASKS = registry.tasks_of(CONFIG)
BASELINES = {"semseg": {"mIoU": 0.5}, "depth": {"rmse": 2.0}}
RESULTS = [
    {"semseg": {"mIoU": 0.40}, "depth": {"rmse": 1.0}},  # 20 % worse, 50 % better
    {"semseg": {"mIoU": 0.45}, "depth": {"rmse": 3.0}},  # 10 % worse, 50 % worse
    {"semseg": {"mIoU": 0.45}, "depth": {"rmse": 2.0}},  # 10 % worse, the same
]


def best(name, results=RESULTS):
    criterion = Criterion(name, TASKS, BASELINES)
    values = [criterion.value(result) for result in results]
    return values, criterion.best(values)


def test_the_best_is_chosen_by_the_metrics_direction():
    """Of equal ones the first."""
    assert best("semseg.mIoU") == ([0.40, 0.45, 0.45], 1)
    assert best("depth.rmse") == ([1.0, 3.0, 2.0], 0)


def test_the_best_by_average_drop_loses_least():
    values, chosen = best("average_drop")
    assert values == pytest.approx([(20 - 50) / 2, (10 + 50) / 2, 10 / 2])
    assert chosen == 0


def test_an_undefined_number_chooses_nothing():
    with pytest.raises(SelectionError, match=r"'depth\.rmse', which is undefined on") as caught:
        best("depth.rmse", [*RESULTS, {"depth": {"rmse": math.nan}}])
    assert_one_sentence(str(caught.value))


SPLITS = {
    "train__eval_every_epochs": 1,
    "dataset__train_split": "train[:90%]",
    "dataset__validation_split": "train[90%:]",
}
REFUSED = {
    "never evaluated": ({"train__best_by": "depth.rmse"}, ["eval_every_epochs is None"]),
    "split for nothing": (
        {"dataset__validation_split": "train[90%:]"},
        ["validation_split is 'train[90%:]'", "eval_every_epochs is None"],
    ),
    "on what is reported": (
        {"train__eval_every_epochs": 1, "train__best_by": "depth.rmse"},
        ["validation_split is not set", "too good", "train[90%:]"],
    ),
    "unknown task": (
        SPLITS | {"train__best_by": "edge.odsF"},
        ["'edge.odsF'", "semseg.mIoU, depth.rmse"],
    ),
    "unknown metric": (SPLITS | {"train__best_by": "depth.mIoU"}, ["'depth.mIoU'"]),
    "no baselines": (SPLITS | {"train__best_by": "average_drop"}, ["train.baselines"]),
}


@pytest.mark.parametrize(("changes", "words"), REFUSED.values(), ids=REFUSED)
def test_settings_that_choose_nothing_sound_are_refused(changes, words):
    config = from_config_dict(settings(tasks=CONFIG.tasks, **changes))
    with pytest.raises(ValueError, match="is") as caught:
        check_settings(config, TASKS)
    assert_one_sentence(str(caught.value))
    assert [word for word in words if word not in str(caught.value)] == []


@pytest.mark.parametrize("name", ["depth.rmse", "depth.log_rmse", "semseg.mIoU"])
def test_any_metric_of_a_task_can_decide(name):
    config = from_config_dict(settings(tasks=CONFIG.tasks, train__best_by=name, **SPLITS))
    check_settings(config, TASKS)


def source(name, *stored):
    """A split whose records are (file, start, stop)."""
    return Source(name, 0, None, None, stored=tuple(Stored(*it) for it in stored))


def test_splits_must_be_apart():
    train, rest = source("train[:8]", ("train", 0, 8)), source("train[8:]", ("train", 8, 10))
    val, half = source("val", ("val", 0, 5)), source("val[3:]", ("val", 3, 5))
    check_apart(rest, train, val)
    with pytest.raises(ValueError, match=r"val\[3:\], shares 2 of its images with val, which is"):
        check_apart(half, train, val)
    with pytest.raises(ValueError, match=r"shares 8 of its images .* is trained on") as caught:
        check_apart(source("train", ("train", 0, 10)), train, val)
    assert_one_sentence(str(caught.value))
