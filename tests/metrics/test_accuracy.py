"""Errors of depth and accuracies of class maps against scikit-learn, pixels pooled by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference

from astmt_jax.labels import IGNORE
from astmt_jax.metrics.regression import DepthMetric
from astmt_jax.metrics.segmentation import SegmentationMetric

SIZES = [(6, 8), (5, 3), (7, 7), (1, 4)]
few = settings(max_examples=25, deadline=None)


def depth_pairs(seed):
    """Images of several sizes; some predictions are 0 and less, some truths 0 or 255."""
    rng = np.random.default_rng(seed)
    pairs = []
    for size in SIZES:
        prediction = rng.uniform(-0.5, 9, size).astype(np.float32)
        truth = rng.uniform(0.5, 9, (*size, 1)).astype(np.float32)
        truth[rng.random(size) < 0.3] = rng.choice([0, IGNORE])
        pairs.append((prediction, truth))
    pairs.append((pairs[0][0], np.full_like(pairs[0][1], IGNORE)))  # without labels
    return pairs


def pooled(pairs, low=0.0, high=np.inf):
    """Predicted and true depths of all valid pixels, float64."""
    prediction, truth = (np.concatenate([np.ravel(x[i]) for x in pairs]) for i in (0, 1))
    valid = (truth != IGNORE) & (truth > low) & (truth < high)
    return np.maximum(prediction[valid], 1e-9).astype(np.float64), truth[valid].astype(np.float64)


def errors(predicted, actual):
    """By scikit-learn where it has them: relative errors are weighted ones."""
    ratio = np.maximum(predicted / actual, actual / predicted)
    weighted = {"sample_weight": 1 / actual}
    scale = (1 / actual).mean()
    return {
        "rmse": reference.root_mean_squared_error(actual, predicted),
        "mse": reference.mean_squared_error(actual, predicted),
        "log_rmse": reference.root_mean_squared_error(np.log(actual), np.log(predicted)),
        "mae": reference.mean_absolute_error(actual, predicted),
        "abs_rel": reference.mean_absolute_percentage_error(actual, predicted),
        "sq_rel": scale * reference.mean_squared_error(actual, predicted, **weighted),
        **{f"delta{k}": (ratio < 1.25**k).mean() for k in (1, 2, 3)},
    }


def scored(metric, pairs):
    for prediction, truth in pairs:
        metric.add(prediction, truth)
    return metric.result()


@given(seed=st.integers(0, 2**32), limits=st.sampled_from([(None, None), (1, None), (0.6, 7.5)]))
@few
def test_pooled_errors_of_depth(seed, limits):
    pairs = depth_pairs(seed)
    low, high = limits
    expected = errors(*pooled(pairs, low or 0, high or np.inf))
    assert scored(DepthMetric("pooled", low, high), pairs) == pytest.approx(expected, abs=1e-6)


@given(seed=st.integers(0, 2**32))
@few
def test_errors_of_depth_averaged_over_images(seed):
    """Predictions are above 0: how others count depends on the convention."""
    pairs = [(abs(prediction) + 0.1, truth) for prediction, truth in depth_pairs(seed)]
    valid = [pair for pair in map(pooled, ([pair] for pair in pairs)) if pair[0].size]
    by_image = [errors(*pair) for pair in valid]
    expected = {name: np.mean([row[name] for row in by_image]) for name in by_image[0]}
    assert scored(DepthMetric(), pairs) == pytest.approx(expected, abs=1e-6)


def test_large_images_weigh_more_when_pixels_are_pooled():
    """9 pixels that are right and 1 that is 10 m off: 10 / sqrt(10) m, not (0 + 10) / 2 m."""
    pairs = [(np.ones((3, 3)), np.ones((3, 3))), (np.full((1, 1), 11.0), np.ones((1, 1)))]
    assert scored(DepthMetric("pooled"), pairs)["rmse"] == pytest.approx(np.sqrt(10))
    assert scored(DepthMetric(), pairs)["rmse"] == pytest.approx(5)


def test_limits_of_depth_are_those_of_the_truth_and_excluded():
    truth, prediction = np.array([[1.0, 2, 3, 4, 5]]), np.array([[9.0, 3, 3, 8, 9]])
    metric = DepthMetric("masked", min_depth=1, max_depth=5)
    assert scored(metric, [(prediction, truth)])["mae"] == pytest.approx((1 + 0 + 4) / 3)
    assert metric.details()["pixels"] == 3


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("masked", 3, 3), "min_depth is 3 and max_depth 3"),
        (("masked", -1, None), "min_depth is -1"),
        (("pooled", None, 0), "max_depth 0"),
        (("reference", 1, None), "with depth_convention=reference"),
    ],
)
def test_impossible_limits_are_refused(arguments, words):
    with pytest.raises(ValueError, match=words):
        DepthMetric(*arguments)


@pytest.mark.parametrize("mean_over", ["all", "present"])
@given(seed=st.integers(0, 2**32))
@few
def test_accuracies_of_class_maps(mean_over, seed):
    """Class 3 occurs nowhere; class 4 is predicted only."""
    rng = np.random.default_rng(seed)
    pairs = [
        (rng.choice([0, 1, 2, 4], size), rng.choice([0, 1, 2, IGNORE], (*size, 1)))
        for size in SIZES
    ]
    pairs.append((pairs[0][0], np.full_like(pairs[0][1], IGNORE)))
    prediction, truth = (np.concatenate([np.ravel(x[i]) for x in pairs]) for i in (0, 1))
    valid = truth != IGNORE
    classes = np.unique(truth[valid])
    recalls = {"labels": classes, "average": "macro", "zero_division": 0}
    found = scored(SegmentationMetric(5, classes=mean_over), pairs)
    accuracy = reference.accuracy_score(truth[valid], prediction[valid])
    assert found["pixel_accuracy"] == pytest.approx(accuracy, abs=1e-12)
    expected = reference.recall_score(truth[valid], prediction[valid], **recalls)
    assert found["class_accuracy"] == pytest.approx(expected, abs=1e-12)


def test_accuracies_skip_images_without_a_person():
    truth = np.array([[0, 1], [1, IGNORE]])
    pairs = [(np.array([[0, 1], [0, 1]]), truth), (np.ones((2, 2), int), np.zeros((2, 2), int))]
    found = scored(SegmentationMetric(3, skip_empty=True), pairs)
    assert found["pixel_accuracy"] == pytest.approx(2 / 3)
    assert found["class_accuracy"] == pytest.approx((1 + 1 / 2) / 2)
