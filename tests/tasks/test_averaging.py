"""What each task averages: that it becomes what the task predicts, and its closed forms."""

import numpy as np
import pytest
from scipy.special import softmax

from astmt_jax.tasks.depth import disparity
from astmt_jax.tasks.registry import TASKS

RECORDS = {name: make() for name, make in TASKS.items()} | {"disparity": disparity()}


def logits(task, seed=0, size=(3, 4)):
    return np.random.default_rng(seed).normal(0, 2, (*size, task.channels)).astype(np.float32)


def values(task, of):
    return np.asarray(task.averaging.values(of))


@pytest.mark.parametrize("name", RECORDS)
def test_the_mean_of_one_is_what_the_task_predicts(name):
    task = RECORDS[name]
    given = logits(task)
    found = task.averaging.prediction(values(task, given))
    predicted = np.asarray(task.predict(given))
    assert found.dtype == predicted.dtype
    np.testing.assert_allclose(found, predicted, atol=1e-6)


@pytest.mark.parametrize("name", ["semseg", "human_parts"])
def test_classes_are_the_likeliest_by_the_mean_probability(name):
    """Not by the mean of logits, nor by the number of votes: one view is sure of class 2."""
    task = RECORDS[name]
    views = np.full((3, 1, 1, task.channels), -30, np.float32)
    views[:2, ..., 1], views[:2, ..., 2] = 0.2, 0.0
    views[2, ..., 2] = 10
    mean = np.mean([values(task, view) for view in views], axis=0)
    np.testing.assert_allclose(mean, softmax(views, axis=-1).mean(axis=0), atol=1e-6)
    assert task.averaging.prediction(mean).item() == 2
    assert [int(task.predict(view).item()) for view in views] == [1, 1, 2]


@pytest.mark.parametrize("name", ["edge", "sal"])
def test_probabilities_are_averaged_not_logits(name):
    task = RECORDS[name]
    mean = (values(task, np.full((1, 1, 1), 50)) + values(task, np.full((1, 1, 1), 0.0))) / 2
    assert task.averaging.prediction(mean).item() == pytest.approx(0.75)


def test_normals_are_brought_back_to_unit_length():
    task = RECORDS["normals"]
    mean = (values(task, np.array([[[3.0, 0, 0]]])) + values(task, np.array([[[0, 0, 5.0]]]))) / 2
    np.testing.assert_allclose(
        task.averaging.prediction(mean), [[[0.5**0.5, 0, 0.5**0.5]]], atol=1e-6
    )


def test_a_mirror_changes_the_values_of_normals_only():
    """What faces right faces left in the mirror; up and towards the camera stay."""
    for name, task in RECORDS.items():
        given = values(task, logits(task))
        expected = given * [-1, 1, 1] if name == "normals" else given
        np.testing.assert_array_equal(task.averaging.unmirrored(given), expected, err_msg=name)


def test_albedo_is_averaged_within_its_range():
    task = RECORDS["albedo"]
    mean = (values(task, np.full((1, 1, 3), 3.0)) + values(task, np.full((1, 1, 3), -1.0))) / 2
    np.testing.assert_allclose(task.averaging.prediction(mean), 0.5)
