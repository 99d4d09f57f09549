"""Measures of salient object detection against PySODMetrics, scikit-learn and their definitions."""

import golden_saliency
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import fbeta_score, mean_absolute_error

from astmt_jax.labels import IGNORE
from astmt_jax.metrics.saliency import SaliencyMetric
from astmt_jax.metrics.salient_objects import NOTATION

CASES = golden_saliency.cases()
few = settings(max_examples=15, deadline=None)


def scored(*pairs):
    """The accumulator after some pairs of prediction and truth."""
    metric = SaliencyMetric("successors")
    for prediction, truth in pairs:
        metric.add(prediction, truth)
    return metric


def as_pair(case, dtype=np.float32):
    return case.levels.astype(dtype) / dtype(255), case.truth


def expected(cases):
    """Means over images of what PySODMetrics gave for each."""
    values = {name: np.mean([c.values[name] for c in cases]) for name in golden_saliency.VALUES}
    curves = {n: np.mean([c.curves[n] for c in cases], axis=0) for n in golden_saliency.CURVES}
    for name, curve in curves.items():
        values |= {f"max{name}": curve.max(), f"mean{name}": curve.mean()}
    return values, curves


def random_pair(seed, size=None):
    """Levels of 8 bits as probabilities, float32, and a blob with holes; some of both salient."""
    rng = np.random.default_rng(seed)
    size = size or tuple(rng.integers(6, 30, 2))
    truth = rng.random(size) < 0.1
    truth[1:4, 2:5] = True
    truth[0, 0] = False
    levels = np.clip(rng.normal(100 + 60 * truth, 50), 0, 255).astype(np.uint8)
    return np.float32(levels / 255), truth.astype(np.uint8)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("number", range(len(CASES)))
def test_each_image_as_pysodmetrics_scores_it(number, dtype):
    """Several sizes, and truths and predictions that are empty, full, constant or one pixel."""
    case = CASES[number]
    metric = scored(as_pair(case, dtype))
    values, curves = expected([case])
    result = metric.result()
    assert {name: result[name] for name in values} == pytest.approx(values, abs=1e-9)
    for name, curve in curves.items():
        found = metric.details()["curves"][name]
        np.testing.assert_allclose(found["values"], curve, rtol=0, atol=1e-9)
        np.testing.assert_allclose(found["thresholds"], np.arange(256) / 255)


def test_a_split_as_pysodmetrics_scores_it():
    metric = scored(*map(as_pair, CASES))
    values, _ = expected(CASES)
    assert values.keys() == NOTATION.keys()
    result = metric.result()
    assert {name: result[name] for name in values} == pytest.approx(values, abs=1e-9)


@pytest.mark.parametrize("number", range(len(CASES)))
def test_pixels_without_a_label_are_as_beyond_the_border(number):
    """PySODMetrics has none; an image with a frame of them has the scores of what it frames."""
    case = CASES[number]
    prediction, truth = as_pair(case)
    rng = np.random.default_rng(number)
    margins = ((3, 2), (1, 4))
    framed = np.pad(prediction, margins)
    outside = np.pad(np.zeros_like(truth), margins, constant_values=1) == 1
    framed[outside] = rng.random(outside.sum())
    unknown = np.pad(truth, margins, constant_values=IGNORE)
    values, _ = expected([case])
    result = scored((framed, unknown)).result()
    assert {name: result[name] for name in values} == pytest.approx(values, abs=1e-9)


@given(seed=st.integers(0, 2**32))
@few
def test_unknown_pixels_inside_leave_f_and_mae_of_the_others(seed):
    prediction, truth = random_pair(seed)
    rng = np.random.default_rng(seed)
    truth[(rng.random(truth.shape) < 0.2) & (np.indices(truth.shape).sum(0) > 3)] = IGNORE
    known = truth != IGNORE
    result = scored((prediction, truth)).result()
    flat = prediction[known][None], truth[known][None]
    alone = scored(flat).result()
    for name in ("MAE", "maxFm", "meanFm", "adpFm", "maxEm", "meanEm", "adpEm"):
        assert result[name] == pytest.approx(alone[name], abs=1e-12), name
    redrawn = np.where(known, prediction, rng.random(truth.shape))
    assert scored((redrawn, truth)).result() == pytest.approx(result, abs=1e-12)


@given(seed=st.integers(0, 2**32))
@few
def test_f_and_mae_agree_with_scikit_learn(seed):
    pairs = [random_pair(seed + i) for i in range(3)]
    curves, errors = [], []
    for prediction, truth in pairs:
        levels = np.rint(255 * prediction.astype(np.float64)) / 255
        scaled = (levels - levels.min()) / (levels.max() - levels.min())
        errors.append(mean_absolute_error(truth.ravel(), scaled.ravel()))
        steps = (255 * scaled).astype(int)
        thresholds = np.unique(np.linspace(0, 255, 18).astype(int))
        curves.append(
            [
                fbeta_score(truth.ravel(), (steps >= t).ravel(), beta=np.sqrt(0.3), zero_division=0)
                for t in thresholds
            ]
        )
    metric = scored(*pairs)
    found = np.array(metric.details()["curves"]["Fm"]["values"])[thresholds]
    np.testing.assert_allclose(found, np.mean(curves, axis=0), rtol=0, atol=1e-9)
    assert metric.result()["MAE"] == pytest.approx(np.mean(errors), abs=1e-9)


@given(seed=st.integers(0, 2**32), threshold=st.integers(0, 255))
@few
def test_e_agrees_with_its_definition(seed, threshold):
    """Fan et al., IJCAI 2018: the alignment of both maps less their means, pixel by pixel."""
    prediction, truth = random_pair(seed)
    levels = np.rint(255 * prediction.astype(np.float64)) / 255
    scaled = (levels - levels.min()) / (levels.max() - levels.min())
    chosen = (255 * scaled).astype(int) >= threshold
    a, b = (x - x.mean() for x in (chosen.astype(float), truth.astype(float)))
    alignment = 2 * a * b / (a**2 + b**2)
    value = ((alignment + 1) ** 2 / 4).sum() / (truth.size - 1)
    found = scored((prediction, truth)).details()["curves"]["Em"]["values"][threshold]
    assert found == pytest.approx(value, abs=1e-9)


def test_perfect_predictions():
    pairs = [(np.float32(truth), truth) for _, truth in (random_pair(seed) for seed in range(4))]
    result = scored(*pairs).result()
    perfect = {"Smeasure": 1, "wFmeasure": 1, "MAE": 0, "maxFm": 1, "adpFm": 1}
    assert {name: result[name] for name in perfect} == pytest.approx(perfect, abs=1e-6)


def test_parts_without_pixels_do_not_count():
    """Where the objects' centroid is in the last column PySODMetrics' S-measure is NaN."""
    truth = np.zeros((9, 7), np.uint8)
    truth[2:5, -1] = 1
    result = scored((np.float32(truth), truth)).result()
    assert result["Smeasure"] == pytest.approx(1)
