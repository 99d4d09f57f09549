import json
import math
from typing import Any, NamedTuple

import golden_metrics
import numpy as np
import pytest
from golden_cases import GOLDEN
from hypothesis import given, settings
from hypothesis import strategies as st

from astmt_jax.labels import IGNORE
from astmt_jax.metrics import saliency
from astmt_jax.metrics.normals import NormalsMetric
from astmt_jax.metrics.regression import AlbedoMetric, DepthMetric
from astmt_jax.metrics.saliency import SaliencyMetric
from astmt_jax.metrics.segmentation import SegmentationMetric

CLASSES = 5
IMAGE_SIZES = [(6, 8), (5, 3), (7, 7), (1, 4)]


def pytest_generate_tests(metafunc):
    if "golden_case" in metafunc.fixturenames:
        cases = golden_metrics.find_cases(metafunc.config.getoption("golden_dir"))
        metafunc.parametrize("golden_case", cases, ids=str)


def test_golden(golden_case):
    golden_metrics.check(golden_case)


# Properties of all metrics


def shuffled(rng, values, size):
    """A map that holds every one of `values`, as far as it has room."""
    return rng.permutation(np.resize(values, np.prod(size))).reshape(size)


def class_maps(rng, size):
    truth = shuffled(rng, [*range(CLASSES), IGNORE], (*size, 1))
    return rng.integers(0, CLASSES, size), truth


def vector_maps(rng, size):
    prediction, truth = rng.standard_normal((2, *size, 3)).astype(np.float32)
    truth /= np.linalg.norm(truth, axis=-1, keepdims=True)
    truth[rng.random(size) < 0.2] = rng.choice([0, IGNORE])
    return prediction, truth


def probability_maps(rng, size):
    levels = rng.integers(0, 256, size, np.uint8)
    return np.float32(levels / 255), shuffled(rng, [0, 1, IGNORE], (*size, 1))


def depth_maps(rng, size):
    prediction = rng.uniform(-0.1, 9, size).astype(np.float32)
    truth = rng.uniform(0.5, 9, (*size, 1)).astype(np.float32)
    truth[rng.random(size) < 0.2] = rng.choice([0, IGNORE])
    return prediction, truth


def known_depth_maps(rng, size):
    """The reference's convention counts what is unknown, so that nothing is."""
    return rng.uniform(-0.1, 9, size), rng.uniform(0.5, 9, (*size, 1))


def albedo_maps(rng, size):
    prediction, truth = rng.random((2, *size, 3), np.float32)
    truth[rng.random(size) < 0.2] = IGNORE
    return prediction, truth


class Kind(NamedTuple):
    make: Any
    maps: Any
    perfect: dict[str, float]


ANGLES = {"mean": 0, "median": 0, "rmse": 0, "below_11.25": 100, "below_22.5": 100, "below_30": 100}
RIGHT = {"mIoU": 1, "pixel_accuracy": 1, "class_accuracy": 1}
SALIENT = {"mIoU": 1, "maxF": 1, "maxF_pooled": 1}
ALL_OF_SALIENCY = dict.fromkeys(saliency.NOTATION, 1)
NEAR = {"rmse": 0, "mse": 0, "log_rmse": 0}
NEAR_IN_ALL = NEAR | {"mae": 0, "abs_rel": 0, "sq_rel": 0, "delta1": 1, "delta2": 1, "delta3": 1}
KINDS = {
    "all_classes": Kind(lambda: SegmentationMetric(CLASSES), class_maps, RIGHT),
    "present_classes": Kind(
        lambda: SegmentationMetric(CLASSES, classes="present"), class_maps, RIGHT
    ),
    "parts": Kind(lambda: SegmentationMetric(CLASSES, skip_empty=True), class_maps, RIGHT),
    "normals": Kind(NormalsMetric, vector_maps, ANGLES),
    "sal": Kind(SaliencyMetric, probability_maps, SALIENT),
    "sal_numpy1": Kind(lambda: SaliencyMetric("astmt_numpy1"), probability_maps, SALIENT),
    "sal_objects": Kind(lambda: SaliencyMetric("successors"), probability_maps, ALL_OF_SALIENCY),
    "depth": Kind(DepthMetric, depth_maps, NEAR_IN_ALL),
    "depth_pooled": Kind(lambda: DepthMetric("pooled"), depth_maps, NEAR_IN_ALL),
    "depth_between": Kind(lambda: DepthMetric("pooled", 1, 7), depth_maps, NEAR_IN_ALL),
    "depth_reference": Kind(lambda: DepthMetric("reference"), known_depth_maps, NEAR),
    "albedo": Kind(AlbedoMetric, albedo_maps, {"rmse": 0, "mse": 0}),
}
REGULAR = [name for name in KINDS if name != "sal_objects"]
"""The S-measure knows left from right, as it rounds a centroid to one side, and the E-measure of a
perfect prediction is n / (n - 1) for n pixels; `test_salient_objects` has them."""


def split(kind, seed):
    rng = np.random.default_rng(seed)
    return [kind.maps(rng, size) for size in IMAGE_SIZES]


def score(make, pairs):
    metric = make()
    for prediction, truth in pairs:
        metric.add(prediction, truth)
    return metric.result()


def assert_same(ours, theirs):
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        np.testing.assert_allclose(value, theirs[name], rtol=1e-12, atol=1e-12, err_msg=name)


def examples(count):
    return settings(max_examples=count, deadline=None)


@pytest.mark.parametrize("name", KINDS)
@given(seed=st.integers(0, 2**32), order=st.permutations(range(len(IMAGE_SIZES))))
@examples(10)
def test_order_of_images_does_not_matter(name, seed, order):
    pairs = split(KINDS[name], seed)
    reordered = [pairs[i] for i in order]
    assert_same(score(KINDS[name].make, reordered), score(KINDS[name].make, pairs))


@pytest.mark.parametrize("name", KINDS)
@given(seed=st.integers(0, 2**32), first=st.integers(0, len(IMAGE_SIZES)))
@examples(10)
def test_merging_parts_equals_the_whole(name, seed, first):
    kind, pairs = KINDS[name], split(KINDS[name], seed)
    parts = kind.make(), kind.make()
    for i, (prediction, truth) in enumerate(pairs):
        parts[i >= first].add(prediction, truth)
    parts[0].merge(parts[1])
    assert_same(parts[0].result(), score(kind.make, pairs))


@pytest.mark.parametrize("name", REGULAR)
@given(seed=st.integers(0, 2**32), axis=st.integers(0, 1))
@examples(10)
def test_flipping_prediction_and_truth_changes_nothing(name, seed, axis):
    pairs = split(KINDS[name], seed)
    flipped = [[np.flip(x, axis) for x in pair] for pair in pairs]
    assert_same(score(KINDS[name].make, flipped), score(KINDS[name].make, pairs))


@pytest.mark.parametrize("name", [name for name in KINDS if name != "depth_reference"])
@given(seed=st.integers(0, 2**32))
@examples(10)
def test_ignored_pixels_do_not_count(name, seed):
    pairs = split(KINDS[name], seed)
    rng = np.random.default_rng(seed)
    redrawn = []
    for prediction, truth in pairs:
        other, _ = KINDS[name].maps(rng, prediction.shape[:2])
        ignored = (truth == IGNORE).reshape(prediction.shape)
        redrawn.append((np.where(ignored, other, prediction), truth))
    assert_same(score(KINDS[name].make, redrawn), score(KINDS[name].make, pairs))


@pytest.mark.parametrize("name", REGULAR)
@given(seed=st.integers(0, 2**32))
@examples(10)
def test_perfect_prediction(name, seed):
    pairs = split(KINDS[name], seed)
    pairs = [(truth.reshape(prediction.shape), truth) for prediction, truth in pairs]
    assert score(KINDS[name].make, pairs) == pytest.approx(KINDS[name].perfect, abs=1e-5)


@pytest.mark.parametrize("name", KINDS)
def test_without_labelled_pixels_the_result_is_nan(name):
    rng = np.random.default_rng(0)
    prediction, truth = KINDS[name].maps(rng, (4, 4))
    truth[:] = IGNORE
    result = score(KINDS[name].make, [(prediction, truth)])
    assert result.keys() == KINDS[name].perfect.keys()
    assert all(math.isnan(value) for value in result.values())


@pytest.mark.parametrize("name", KINDS)
def test_sizes_that_differ_are_refused(name):
    prediction, truth = KINDS[name].maps(np.random.default_rng(0), (4, 6))
    with pytest.raises(ValueError, match="prediction has shape"):
        KINDS[name].make().add(prediction, truth[:, :5])


@pytest.mark.parametrize("name", ["normals", "depth", "depth_pooled", "albedo"])
def test_predictions_that_are_not_finite_are_refused(name):
    prediction, truth = KINDS[name].maps(np.random.default_rng(0), (4, 6))
    with pytest.raises(ValueError, match="prediction holds nan"):
        KINDS[name].make().add(np.full_like(prediction, np.nan), truth)


@pytest.mark.parametrize("name", KINDS)
def test_details_are_plain_values(name):
    metric = KINDS[name].make()
    assert json.loads(json.dumps(metric.details())) == metric.details()
    for pair in split(KINDS[name], 0):
        metric.add(*pair)
    assert json.loads(json.dumps(metric.details())) == metric.details()


def test_details_hold_what_the_best_values_are_taken_from():
    metric = SaliencyMetric()
    for pair in split(KINDS["sal"], 0):
        metric.add(*pair)
    curves = metric.details()["curves"]
    assert {name: max(curve["values"]) for name, curve in curves.items()} == metric.result()
    assert [len(curve["thresholds"]) for curve in curves.values()] == [15, 15, 19]


def test_the_repository_has_golden_cases():
    tasks = {case.prefix for case in golden_metrics.find_cases(GOLDEN)}
    assert tasks == {"semseg", "human_parts", "normals", "sal", "depth", "albedo"}


# Segmentation


def test_classes_are_called_by_their_names():
    metric = SegmentationMetric(3, class_names=("ground", "tree", "sky"))
    metric.add(np.array([[0, 1, 1]]), np.array([[0, 0, 1]]))
    assert metric.details() == {
        "mean_over": "all classes",
        "images": 1,
        "classes": {
            "ground": {"iou": 0.5, "pixels": 2},
            "tree": {"iou": 0.5, "pixels": 1},
            "sky": {"iou": 0, "pixels": 0},
        },
    }


def iou_by_sets(pairs, class_id):
    sets = [set(), set()]
    for image, (prediction, truth) in enumerate(pairs):
        for pixel in np.ndindex(prediction.shape):
            if truth[pixel] != IGNORE:
                for members, values in zip(sets, (prediction, truth), strict=True):
                    if values[pixel] == class_id:
                        members.add((image, *pixel))
    predicted, actual = sets
    return len(predicted & actual) / max(len(predicted | actual), 1), len(actual)


@given(seed=st.integers(0, 2**32))
@examples(10)
def test_iou_agrees_with_sets_of_pixels(seed):
    rng = np.random.default_rng(seed)
    # Class 4 is predicted but never there; class 3 occurs nowhere.
    pairs = [
        (rng.choice([0, 1, 2, 4], size), rng.choice([0, 1, 2, IGNORE], size))
        for size in IMAGE_SIZES
    ]
    metric = SegmentationMetric(CLASSES)
    for pair in pairs:
        metric.add(*pair)
    expected = [iou_by_sets(pairs, class_id) for class_id in range(CLASSES)]
    assert [(row["iou"], row["pixels"]) for row in metric.per_class()] == expected
    mean_of_all = np.mean([iou for iou, _ in expected])
    mean_of_present = np.mean([iou for iou, pixels in expected if pixels])
    assert metric.result()["mIoU"] == pytest.approx(mean_of_all)
    present = score(lambda: SegmentationMetric(CLASSES, classes="present"), pairs)
    assert present["mIoU"] == pytest.approx(mean_of_present)


@pytest.mark.parametrize("empty", [0, IGNORE])
def test_images_without_a_person_are_skipped_on_request(empty):
    truth = np.array([[0, 1], [2, IGNORE]])
    prediction = np.array([[0, 1], [1, 1]])
    pairs = [(prediction, truth), (np.ones((2, 2), int), np.full((2, 2), empty))]
    skipping = score(lambda: SegmentationMetric(3, skip_empty=True), pairs)
    assert skipping["mIoU"] == pytest.approx((1 + 1 / 2 + 0) / 3)
    counting = score(lambda: SegmentationMetric(3), pairs)
    false_positives = 4 if empty == 0 else 0
    background = 1 / (1 + false_positives)
    assert counting["mIoU"] == pytest.approx((background + 1 / (2 + false_positives)) / 3)


@pytest.mark.parametrize(
    ("prediction", "truth", "message"),
    [
        (IGNORE, 0, "prediction holds class id 255"),
        (0, 7, "ground truth holds class id 7"),
        (-1, 0, "prediction holds class id -1"),
    ],
)
def test_unknown_class_ids_are_refused(prediction, truth, message):
    with pytest.raises(ValueError, match=message):
        SegmentationMetric(CLASSES).add(np.full((2, 2), prediction), np.full((2, 2), truth))


def test_unknown_choice_of_classes_is_refused():
    with pytest.raises(ValueError, match="'some' is unknown"):
        SegmentationMetric(CLASSES, classes="some")


# Normals


def test_angles_of_known_rotations():
    angles = np.array([[0, 5, 11.24, 11.26], [20, 29.9, 90, 180]])
    radians = np.radians(angles)
    prediction = np.stack([np.sin(radians), np.zeros_like(radians), np.cos(radians)], -1)
    truth = np.broadcast_to([0.0, 0, 1], prediction.shape)
    assert score(NormalsMetric, [(3 * prediction, truth)]) == pytest.approx(
        {
            "mean": angles.mean(),
            "median": (11.26 + 20) / 2,
            "rmse": np.sqrt((angles**2).mean()),
            "below_11.25": 100 * 3 / 8,
            "below_22.5": 100 * 5 / 8,
            "below_30": 100 * 6 / 8,
        },
        abs=2e-5,
    )


@given(seed=st.integers(0, 2**32))
@examples(20)
def test_median_angle_agrees_with_numpy(seed):
    rng = np.random.default_rng(seed)
    size = (1, rng.integers(1, 30))
    prediction, truth = rng.standard_normal((2, *size, 3))
    cosines = (prediction * truth).sum(-1) / np.linalg.norm(prediction, axis=-1)
    angles = np.degrees(np.arccos(cosines / np.linalg.norm(truth, axis=-1)))
    result = score(NormalsMetric, [(prediction, truth)])
    assert result["median"] == pytest.approx(np.median(angles), abs=2e-5)
    assert result["mean"] == pytest.approx(angles.mean(), abs=1e-9)


@given(seed=st.integers(0, 2**32), degrees=st.sampled_from([1e-4, 0.01, 1, 170]))
@examples(20)
def test_median_angle_has_a_small_relative_error(seed, degrees):
    angles = degrees * np.random.default_rng(seed).uniform(1, 1.05, (1, 31))
    radians = np.radians(angles)
    prediction = np.stack([np.sin(radians), np.zeros_like(radians), np.cos(radians)], -1)
    truth = np.broadcast_to([0.0, 0, 1], prediction.shape)
    result = score(NormalsMetric, [(prediction, truth)])
    assert result["median"] == pytest.approx(np.median(angles), rel=4e-6)


@pytest.mark.parametrize("invalid", [0, IGNORE])
def test_invalid_normals_do_not_count(invalid):
    truth = np.array([[[0, 0, 1.0], [invalid] * 3]])
    prediction = np.array([[[0, 1.0, 0], [0, 0, 1.0]]])
    assert score(NormalsMetric, [(prediction, truth)])["mean"] == pytest.approx(90)


def test_a_prediction_without_direction_is_90_degrees_off():
    truth = np.array([[[0, 0, 1.0]]])
    assert score(NormalsMetric, [(np.zeros((1, 1, 3)), truth)])["mean"] == pytest.approx(90)


# Saliency


def per_image_saliency(pairs):
    best = {"mIoU": 0, "maxF": 0}
    for threshold in np.linspace(0.2, 0.9, 15):
        rows = []
        for prediction, truth in pairs:
            valid = truth[..., 0] != IGNORE
            predicted = (prediction.astype(np.float64) >= threshold)[valid]
            actual = (truth[..., 0] == 1)[valid]
            hits, union = (predicted & actual).sum(), (predicted | actual).sum()
            rows.append(
                (
                    hits / union if union else 1,
                    hits / predicted.sum() if predicted.any() else 0,
                    hits / actual.sum() if actual.any() else 0,
                )
            )
        iou, precision, recall = np.mean(rows, axis=0)
        best["mIoU"] = max(best["mIoU"], iou)
        if precision + recall:
            best["maxF"] = max(best["maxF"], 2 * precision * recall / (precision + recall))
    return best


def pooled_max_f(pairs):
    probabilities, actual = (np.concatenate([np.ravel(x[i]) for x in pairs]) for i in (0, 1))
    probabilities, actual = probabilities[actual != IGNORE], actual[actual != IGNORE] == 1
    best = 0
    for k in range(1, 20):
        predicted = probabilities >= 0.05 * k
        hits = (predicted & actual).sum()
        if hits:
            precision, recall = hits / predicted.sum(), hits / actual.sum()
            best = max(best, 1.3 * precision * recall / (0.3 * precision + recall))
    return best


@given(seed=st.integers(0, 2**32))
@examples(20)
def test_saliency_agrees_with_brute_force(seed):
    pairs = split(KINDS["sal"], seed)
    rng = np.random.default_rng(seed)
    pairs.append((np.float32(rng.integers(0, 60, (3, 3)) / 255), np.zeros((3, 3, 1), int)))
    expected = per_image_saliency(pairs) | {"maxF_pooled": pooled_max_f(pairs)}
    assert score(SaliencyMetric, pairs) == pytest.approx(expected)


@given(seed=st.integers(0, 2**32))
@examples(10)
def test_saliency_as_numpy_1_computed_it(seed):
    """With 8 bits, 52, 103, 154 and 205 are the first levels above .2, .4, .6 and .8."""
    pairs = split(KINDS["sal"], seed)
    lowered = [
        (np.where(np.isin(np.rint(255 * p), (51, 102, 153, 204)), p - 1 / 255, p), truth)
        for p, truth in pairs
    ]
    found = score(lambda: SaliencyMetric("astmt_numpy1"), pairs)
    assert found == pytest.approx(
        per_image_saliency(lowered) | {"maxF_pooled": pooled_max_f(pairs)}
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_numpy_1_differs_in_levels_that_sit_on_a_threshold(dtype):
    for level in range(256):
        pair = np.array([[level, 0]], dtype) / dtype(255), np.array([[1, 0]])
        curves = []
        for convention in ("astmt", "astmt_numpy1"):
            metric = SaliencyMetric(convention)
            metric.add(*pair)
            curves.append(metric.curves()["mIoU"])
        assert np.array_equal(*curves) != (level in (51, 102, 153, 204))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_levels_of_8_bit_maps_that_sit_on_a_threshold_are_salient(dtype):
    for level, threshold in ((51, 0.2), (102, 0.4), (153, 0.6), (204, 0.8)):
        metric = SaliencyMetric()
        metric.add(np.array([[level, level - 1]], dtype) / dtype(255), np.array([[1, 0]]))
        index = np.argmin(abs(np.linspace(0.2, 0.9, 15) - threshold))
        assert metric.curves()["mIoU"][index] == 1


def test_nothing_predicted_and_nothing_there():
    empty = np.zeros((3, 3))
    result = score(SaliencyMetric, [(empty, empty)])
    assert result == {"mIoU": 1, "maxF": 0, "maxF_pooled": 0}


def test_empty_prediction_of_a_salient_image_gives_zero():
    result = score(SaliencyMetric, [(np.zeros((3, 3)), np.eye(3))])
    assert result == {"mIoU": 0, "maxF": 0, "maxF_pooled": 0}


def test_saliency_that_is_no_probability_is_refused():
    with pytest.raises(ValueError, match=r"0\.0\.\.255\.0"):
        SaliencyMetric().add(np.array([[0, 255]]), np.array([[0, 1]]))


def test_curves_without_images_are_refused():
    with pytest.raises(ValueError, match="no image"):
        SaliencyMetric().curves()


# Regression

DEPTHS = [
    (np.array([[2.0, 4.0]]), np.array([[1.0, 2.0]])),
    (np.array([[3.0, 5.0]]), np.array([[3.0, 0.0]])),
    (np.array([[np.e, 9.0]]), np.array([[1.0, 255.0]])),
]


def test_depth_errors_of_valid_pixels_averaged_over_images():
    squares, logs = [2.5, 0, (np.e - 1) ** 2], [np.log(2), 0, 1]
    expected = {
        "rmse": np.mean(np.sqrt(squares)),
        "mse": np.mean(squares),
        "log_rmse": np.mean(logs),
        "mae": np.mean([1.5, 0, np.e - 1]),
        "abs_rel": np.mean([1, 0, np.e - 1]),
        "sq_rel": np.mean([1.5, 0, (np.e - 1) ** 2]),
        **dict.fromkeys(("delta1", "delta2", "delta3"), 1 / 3),
    }
    assert score(DepthMetric, DEPTHS) == pytest.approx(expected)


def test_reference_convention_of_depth_counts_unknown_pixels():
    squares = [2.5, 25 / 2, ((np.e - 1) ** 2 + 81) / 2]
    logs = [np.log(2), np.log(5 / 1e-9) / np.sqrt(2), np.sqrt((1 + np.log(9 / 1e-9) ** 2) / 2)]
    assert score(lambda: DepthMetric("reference"), DEPTHS) == pytest.approx(
        {"rmse": np.mean(np.sqrt(squares)), "mse": np.mean(squares), "log_rmse": np.median(logs)}
    )


@pytest.mark.parametrize(("convention", "rmse"), [("masked", 3), ("reference", 2)])
def test_negative_depth(convention, rmse):
    result = score(lambda: DepthMetric(convention), [(np.array([[-1.0]]), np.array([[2.0]]))])
    assert result["rmse"] == pytest.approx(rmse)
    assert result["log_rmse"] == pytest.approx(np.log(2 / 1e-9))


def test_unknown_convention_is_refused():
    for metric in (DepthMetric, SaliencyMetric):
        with pytest.raises(ValueError, match="'fixed' is unknown"):
            metric("fixed")


def test_albedo_errors_averaged_over_images():
    truth = np.full((2, 2, 3), 0.5)
    half_known = truth.copy()
    half_known[0] = IGNORE
    pairs = [(truth + 0.1, truth), (truth - [0.3, 0, 0], half_known)]
    squares = [0.01, 0.03]
    assert score(AlbedoMetric, pairs) == pytest.approx(
        {"rmse": np.mean(np.sqrt(squares)), "mse": np.mean(squares)}
    )
