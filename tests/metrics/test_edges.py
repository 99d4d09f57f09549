"""The boundary benchmark against golden cases, brute force, SciPy, scikit-image, NetworkX."""

import dataclasses
import json
import pickle
import warnings

import golden_edges
import networkx
import numpy as np
import pytest
from golden_cases import GOLDEN
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage, optimize, sparse, spatial
from skimage import morphology

from astmt_jax.metrics.edge_assignment import matched_pixels
from astmt_jax.metrics.edge_matching import matching_sizes, pairs_within
from astmt_jax.metrics.edge_nms import smooth_strength, suppress_non_maxima
from astmt_jax.metrics.edge_protocols import PROTOCOLS
from astmt_jax.metrics.edge_summary import BERKELEY, SEISM
from astmt_jax.metrics.edges import EdgeMetric, edge_metric, evaluate_image
from astmt_jax.metrics.thinning import thin, thin_levels
from astmt_jax.metrics.true_edges import (
    MAX_ANNOTATORS,
    annotated,
    annotators_edges,
    edge_map,
    region_boundaries,
)

few = settings(max_examples=60, deadline=None)


# ---------------------------------------------------------------------------- golden cases


def pytest_generate_tests(metafunc):
    folder = metafunc.config.getoption("golden_dir")
    found = {
        "golden_archive": golden_edges.find_archives(folder, "cases"),
        "golden_case": golden_edges.find_cases(folder),
        "golden_multi_gt": golden_edges.find_archives(folder, "multi_gt"),
    }
    for name in found.keys() & set(metafunc.fixturenames):
        metafunc.parametrize(name, found[name], ids=lambda case: getattr(case, "stem", str(case)))


def scores(metric: EdgeMetric) -> np.ndarray:
    result = metric.result()
    return np.array([result["odsF"], result["oisF"], result["AP"]])


def test_the_repository_has_golden_cases():
    assert {case.protocol for case in golden_edges.find_cases(GOLDEN)} >= {*golden_edges.OURS}
    assert golden_edges.find_archives(GOLDEN, "multi_gt")


def test_golden_suppression_is_bit_exact(golden_archive):
    arrays = golden_edges.load(golden_archive)
    for i in golden_edges.images(arrays):
        strength = arrays[f"pred_{i}"].astype(np.float32) / np.float32(255)
        suppressed = suppress_non_maxima(strength)
        assert suppressed.dtype == np.float32
        np.testing.assert_array_equal(suppressed, arrays[f"nms_{i}"])


def test_golden_true_edges(golden_archive):
    arrays = golden_edges.load(golden_archive)
    for i in golden_edges.images(arrays):
        edges = [region_boundaries(labels)[0] for labels in arrays[f"label_{i}"]]
        np.testing.assert_array_equal(edges, arrays[f"gt_{i}"])


def test_golden_thinning(golden_archive):
    arrays = golden_edges.load(golden_archive)
    for i in golden_edges.images(arrays):
        suppressed, raw = arrays[f"nms_{i}"] > np.float32(0.1), arrays[f"pred_{i}"] / 255 >= 0.1
        np.testing.assert_array_equal(thin(suppressed), arrays[f"thin_nms_gt0p1_{i}"])
        np.testing.assert_array_equal(thin(raw), arrays[f"thin_raw_ge0p1_{i}"])


def test_golden_counts_and_summary(golden_case):
    arrays, name = golden_edges.load(golden_case.archive), golden_case.protocol
    protocol = golden_edges.our_protocol(arrays, name)
    metric, numbers = EdgeMetric(protocol), golden_edges.images(arrays)
    assert len(numbers) == len(arrays[f"{name}/counts_exact"])
    for position, i in enumerate(numbers):
        truth = golden_edges.truth_of(arrays, name, i)
        counts = evaluate_image(arrays[f"pred_{i}"], truth, protocol)
        np.testing.assert_array_equal(counts, arrays[f"{name}/counts_exact"][position])
        assert np.all(counts[:, 0] >= arrays[f"{name}/cnt_max"][position])
        metric.add_counts(counts)
    np.testing.assert_allclose(scores(metric), arrays[f"{name}/summary_exact"], rtol=0, atol=1e-9)
    np.testing.assert_allclose(scores(metric), arrays[f"{name}/summary_seism"], rtol=0, atol=0.004)


def test_golden_summary_of_the_reference_counts(golden_case):
    arrays, name = golden_edges.load(golden_case.archive), golden_case.protocol
    metric = EdgeMetric(golden_edges.our_protocol(arrays, name))
    for counts in arrays[f"{name}/counts_seism"]:
        metric.add_counts(counts)
    np.testing.assert_allclose(scores(metric), arrays[f"{name}/summary_seism"], rtol=0, atol=1e-9)


def test_golden_empty_maps(golden_archive):
    arrays = golden_edges.load(golden_archive)
    if "edge/counts_seism" not in arrays:
        pytest.skip("no empty maps in this archive")
    protocol = golden_edges.our_protocol(arrays, "pascal_nms")
    inputs, expected = golden_edges.empty_inputs(arrays), arrays["edge/counts_seism"]
    metric, reference = EdgeMetric(protocol), EdgeMetric(protocol)
    for (prediction, truth), reference_counts in zip(inputs, expected, strict=True):
        counts = evaluate_image(prediction, truth, protocol)
        np.testing.assert_array_equal(counts[:, [1, 3]], reference_counts[:, [1, 3]])
        assert np.all(counts >= reference_counts)
        if not prediction.any():
            assert not counts[:, [0, 2, 3]].any()
        if truth.min() == truth.max():
            assert not counts[:, :3].any()
        metric.add_counts(counts)
        reference.add_counts(reference_counts)
    np.testing.assert_allclose(scores(metric), arrays["edge/summary_seism"], rtol=0, atol=0.004)
    np.testing.assert_allclose(scores(reference), arrays["edge/summary_seism"], rtol=0, atol=1e-9)
    curve = np.stack(reference.curve(), axis=1)
    np.testing.assert_allclose(curve, arrays["edge/prf_seism"], rtol=0, atol=1e-9)


def test_golden_several_ground_truths(golden_multi_gt):
    arrays, expected = golden_edges.beside(golden_multi_gt), golden_edges.load(golden_multi_gt)
    protocol = dataclasses.replace(
        PROTOCOLS["bsds"],
        thresholds=tuple(expected["thr"].tolist()),
        max_dist=float(expected["max_dist"]),
    )
    metric, reference = EdgeMetric(protocol), EdgeMetric(protocol)
    for position, i in enumerate(golden_edges.images(arrays)):
        counts = evaluate_image(arrays[f"pred_{i}"], annotated(arrays[f"gt_{i}"]), protocol)
        exact = expected["counts_mincost"][position]
        np.testing.assert_array_equal(counts[:, [0, 1, 3]], exact[:, [0, 1, 3]])
        np.testing.assert_allclose(counts[:, 2], exact[:, 2], rtol=0, atol=6)
        assert np.all(counts[:, 0] >= expected["cnt_max"][position, :, 0])
        metric.add_counts(counts)
        reference.add_counts(expected["counts_edgesEvalDir"][position])
    names = list(expected["summary_names"])
    published = expected["summary_edgesEvalDir"][[names.index(k) for k in ("odsF", "oisF", "AP")]]
    np.testing.assert_allclose(scores(metric), published, rtol=0, atol=0.004)
    np.testing.assert_allclose(scores(reference), published, rtol=0, atol=1e-9)


def test_berkeleys_summary_of_its_own_curve():
    """Counts in millions have the published ratios."""
    golden = json.loads((GOLDEN / "edges/bsds500_curve.json").read_text())
    matched_true, matched_predicted = (
        np.round(1e6 * np.array(golden[name])) for name in ("recall", "precision")
    )
    of = np.full(99, 1e6)
    counts = np.stack([matched_true, of, matched_predicted, of], axis=1).astype(np.int64)
    assert BERKELEY.ods(counts) == pytest.approx(golden["odsF"], abs=2e-6)
    assert BERKELEY.average_precision(counts) == pytest.approx(golden["AP"], abs=2e-6)
    assert SEISM.ods(counts) < golden["odsF"] - 1e-5


# ---------------------------------------------------------------------------- parts


@st.composite
def blobs(draw, dtype=bool, top=1):
    """Maps with structures of random size: smoothed noise, cut into `top` + 1 levels."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    noise = rng.normal(size=draw(st.tuples(st.integers(1, 40), st.integers(1, 40))))
    smooth = ndimage.gaussian_filter(noise, draw(st.floats(0, 3)))
    ranks = smooth.ravel().argsort().argsort().reshape(smooth.shape) / smooth.size
    density = draw(st.floats(0, 1))
    return np.clip(np.ceil((ranks - 1 + density) / max(density, 1e-9) * top), 0, top).astype(dtype)


@given(mask=blobs())
@few
def test_thin_equals_scikit_image(mask):
    np.testing.assert_array_equal(thin(mask), morphology.thin(mask))


@pytest.mark.parametrize("count", [1, 63, 64, 65, 130])
@given(data=st.data())
@settings(max_examples=4, deadline=None)
def test_thin_levels_thins_every_map(count, data):
    levels = data.draw(blobs(dtype=np.int64, top=count))
    y, x, member = thin_levels(levels, count)
    maps = np.zeros((count, *levels.shape), bool)
    maps[:, y, x] = member
    np.testing.assert_array_equal(maps, [morphology.thin(levels > k) for k in range(count)])
    assert member.any(axis=0).all()


@pytest.mark.parametrize("degrees", [0, 10, 45, 60, 85, 120, 170])
def test_suppression_keeps_the_crest_of_a_ridge(degrees):
    y, x = np.indices((60, 60)) - 29.5
    across = x * np.cos(np.deg2rad(degrees)) + y * np.sin(np.deg2rad(degrees))
    ridge = np.exp(-0.5 * (across / 2.5) ** 2).astype(np.float32)
    kept = suppress_non_maxima(ridge)[5:-5, 5:-5] > 0.01
    from_crest = np.abs(across)[5:-5, 5:-5]
    assert from_crest[kept].max() < 1
    # Every row (or column, for a flat ridge) of the crest keeps a pixel.
    crossed = (from_crest < 0.5).any(axis=1), (from_crest < 0.5).any(axis=0)
    axis = 1 if crossed[0].sum() >= crossed[1].sum() else 0
    assert np.all(kept.any(axis=axis)[crossed[1 - axis]])


def test_suppression_says_nothing_of_a_curvature_that_cancels():
    """Of these values one pixel's makes the denominator of its direction 0, which is no news."""
    edges = np.random.default_rng(8463).random((48, 48)) ** 8 * 2e-3
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isfinite(suppress_non_maxima(edges.astype(np.float32))).all()


def test_suppression_refuses_tiny_maps():
    with pytest.raises(ValueError, match=r"\(4, 9\).*at least 5 x 5"):
        suppress_non_maxima(np.zeros((4, 9), np.float32))


def test_smoothing_equals_scipy():
    strength = np.random.default_rng(0).random((7, 9), np.float32)
    kernel = np.outer([1, 2, 1], [1, 2, 1]) / 16
    expected = ndimage.convolve(strength.astype(np.float64), kernel, mode="nearest")
    smooth = smooth_strength(strength)
    assert smooth.dtype == np.float32
    np.testing.assert_allclose(smooth, expected, rtol=1e-6)


def test_annotators_are_told_apart_again():
    maps = np.random.default_rng(0).random((MAX_ANNOTATORS, 6, 7)) < 0.3
    for count in (1, 2, 5, MAX_ANNOTATORS):
        np.testing.assert_array_equal(annotators_edges(annotated(maps[:count])), maps[:count])
    (empty,) = annotators_edges(annotated(np.zeros((3, 6, 7))))
    assert empty.shape == (6, 7)
    assert not empty.any()
    for wrong in ([], [maps[0]] * (MAX_ANNOTATORS + 1)):
        with pytest.raises(ValueError, match=r"1 to 16 annotators are needed"):
            annotated(wrong)


def test_region_boundaries_by_hand():
    labels = np.zeros((6, 7), int)
    labels[3:, 4:] = 2
    # East, south or south-east of these is the other region; the corner is then thinned away.
    boundary = np.zeros((6, 7), bool)
    boundary[2, 3:] = boundary[2:, 3] = True
    np.testing.assert_array_equal(region_boundaries(labels), [morphology.thin(boundary)])
    assert not region_boundaries(np.full((6, 7), 3))[0].any()


small_mask = hnp.arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 9)))


@st.composite
def matching_problems(draw):
    """A stack of unrelated predicted maps, a truth, and a radius."""
    truth = draw(small_mask)
    predicted = draw(hnp.arrays(bool, (draw(st.integers(1, 6)), *truth.shape)))
    return predicted, truth, draw(st.floats(0.5, 4))


def as_problem(predicted, truth, radius):
    """The arguments of `matching_sizes` and `matched_pixels`."""
    y, x = np.nonzero(predicted.any(axis=0))
    return predicted[:, y, x], *pairs_within(y, x, truth, radius)


def distances(predicted, truth) -> np.ndarray:
    return spatial.distance.cdist(np.argwhere(predicted), np.argwhere(truth))


def brute_force_size(predicted, truth, radius) -> int:
    p, t = np.nonzero(distances(predicted, truth) <= radius)
    graph = networkx.Graph((("p", int(a)), ("t", int(b))) for a, b in zip(p, t, strict=True))
    sources = [node for node in graph if node[0] == "p"]
    return len(networkx.bipartite.hopcroft_karp_matching(graph, sources)) // 2


@given(mask=small_mask, truth=small_mask, radius=st.floats(0.5, 5))
@few
def test_pairs_within_equals_all_distances(mask, truth, radius):
    predicted = np.zeros(truth.shape, bool)
    h, w = np.minimum(mask.shape, truth.shape)
    predicted[:h, :w] = mask[:h, :w]
    pairs, true_count = pairs_within(*np.nonzero(predicted), truth, radius)
    found = np.full((predicted.sum(), true_count), np.inf)
    found[pairs.predicted, pairs.true] = np.sqrt(pairs.squared_distance)
    every = distances(predicted, truth)
    np.testing.assert_array_equal(found, np.where(every <= radius, every, np.inf))
    assert np.all(np.diff(pairs.squared_distance) >= 0)


@given(problem=matching_problems())
@settings(max_examples=150, deadline=None)
def test_matching_equals_brute_force(problem):
    predicted, truth, radius = problem
    expected = [brute_force_size(edges, truth, radius) for edges in predicted]
    np.testing.assert_array_equal(matching_sizes(*as_problem(*problem)), expected)


def related_maps():
    """A matching problem in which neighbouring maps share most pixels, as at neighbouring
    thresholds, but none contains another."""
    rng = np.random.default_rng(3)
    noise = ndimage.gaussian_filter(rng.normal(size=(4, 90, 120)), (0, 2, 2))
    truth = thin(np.abs(noise[0]) < 0.02)
    predicted = np.stack(
        [thin(np.abs(noise[0] + 0.6 * noise[1] + 0.02 * k * noise[2]) < 0.03) for k in range(12)]
    )
    return predicted, truth, 3.2


def test_matching_equals_maximum_flow_on_large_maps():
    predicted, truth, _ = problem = related_maps()
    member, pairs, true_count = as_problem(*problem)
    sizes = matching_sizes(member, pairs, true_count)
    for present, size in zip(member, sizes, strict=True):
        n = len(present)
        a, b = (ids[present[pairs.predicted]] for ids in (pairs.predicted, pairs.true))
        tail = np.concatenate([np.zeros(n, int), 2 + a, 2 + n + np.arange(true_count)])
        head = np.concatenate([2 + np.arange(n), 2 + n + b, np.ones(true_count, int)])
        capacity = (np.ones(len(tail), np.int32), (tail, head))
        graph = sparse.csr_array(capacity, shape=(2 + n + true_count,) * 2)
        assert size == sparse.csgraph.maximum_flow(graph, 0, 1, method="dinic").flow_value
    assert len(set(sizes.tolist())) > 1
    assert 200 < sizes.max() < min(truth.sum(), predicted[0].sum())


@given(problem=matching_problems())
@few
def test_matching_is_the_same_for_mirrored_maps(problem):
    predicted, truth, radius = problem
    sizes = matching_sizes(*as_problem(*problem))
    for mirror in (np.fliplr, np.flipud, np.transpose):
        mirrored = np.stack([mirror(edges) for edges in predicted]), mirror(truth), radius
        np.testing.assert_array_equal(matching_sizes(*as_problem(*mirrored)), sizes)


@given(problem=matching_problems())
@few
def test_assignment_is_maximum_and_of_least_distance(problem):
    member, pairs, true_count = as_problem(*problem)
    matched = matched_pixels(member, pairs, true_count)
    assert not np.any(matched & ~member)
    np.testing.assert_array_equal(matched.sum(axis=1), matching_sizes(*as_problem(*problem)))
    assert_least_distance(matched, problem)


def assert_least_distance(matched, problem):
    """Of all assignments of the maps' pixels, those of the matched ones have the least distance."""
    predicted, truth, radius = problem
    member, *_ = as_problem(*problem)
    every = distances(predicted.any(axis=0), truth)
    cost = np.where(every <= radius, every, 1e4)
    for present, chosen in zip(member, matched, strict=True):
        total, best = (
            sum(c for c in cost[rows][optimize.linear_sum_assignment(cost[rows])] if c < 1e4)
            for rows in (chosen, present)
        )
        assert total == pytest.approx(best, abs=1e-6)


def test_assignment_is_repaired_from_map_to_map():
    """In both directions: pixels come, go, compete for true pixels and cease to."""
    predicted, truth, radius = related_maps()
    thick = predicted.copy()
    thick[4:8] |= np.roll(predicted[4:8], 2, axis=2)  # more pixels than the truth has
    for problem in ((thick, truth, radius), (thick[::-1], truth, radius)):
        matched = matched_pixels(*as_problem(*problem))
        np.testing.assert_array_equal(matched.sum(axis=1), matching_sizes(*as_problem(*problem)))
        assert_least_distance(matched, problem)


def counts_of(rows) -> np.ndarray:
    return np.array(rows, np.int64)


def test_summary_by_hand():
    first = counts_of([[8, 10, 8, 16], [6, 10, 6, 6]])
    second = counts_of([[9, 10, 9, 10], [2, 10, 2, 4]])
    # Sums: 17/20 and 17/26, 8/20 and 8/10. Best: 6/10, 6/6 (F = 0.75) and 9/10, 9/10.
    np.testing.assert_allclose(SEISM.dataset_curve(first + second).recall, [17 / 20, 8 / 20])
    np.testing.assert_allclose(SEISM.dataset_curve(first + second).precision, [17 / 26, 8 / 10])
    assert SEISM.ods(first + second) == pytest.approx(2 * 17 / (20 + 26))
    recall = np.arange(40, 86) / 100
    line = 0.8 + (recall - 0.4) / 0.45 * (17 / 26 - 0.8)
    for summary in (SEISM, BERKELEY):
        best = summary.best_counts(first) + summary.best_counts(second)
        assert summary.ois(best) == pytest.approx(2 * 15 / (20 + 16))
        assert summary.average_precision(first + second) == pytest.approx(line.sum() / 100)


def test_berkeleys_best_f_lies_between_thresholds():
    counts = counts_of([[9, 10, 9, 30], [3, 10, 3, 3]])
    # F of both thresholds is 0.45 and 0.46; on the line between (.9, .3) and (.3, 1) there is more.
    share = np.arange(100) / 99
    recall, precision = 0.9 - 0.6 * share, 0.3 + 0.7 * share
    best = (2 * recall * precision / (recall + precision)).max()
    assert best > 0.55
    assert BERKELEY.ods(counts) == pytest.approx(best, abs=1e-12)
    assert SEISM.ods(counts) == pytest.approx(2 * 0.3 / 1.3)
    assert BERKELEY.ods(counts[:1]) == SEISM.ods(counts[:1]) == pytest.approx(0.45)


def test_berkeley_counts_nothing_as_0():
    """A threshold without predicted pixels lowers the precision that AP interpolates."""
    counts = counts_of([[6, 10, 6, 6], [0, 10, 0, 0]])
    line = np.arange(61) / 60
    assert BERKELEY.average_precision(counts) == pytest.approx(line.sum() / 100)
    assert SEISM.average_precision(counts) == pytest.approx(61 / 100)
    assert not np.any(BERKELEY.dataset_curve(counts_of([[0, 0, 0, 5]])))


def test_image_without_a_match_gives_its_first_threshold():
    counts = counts_of([[0, 5, 0, 9], [0, 5, 0, 3], [0, 5, 0, 0]])
    np.testing.assert_array_equal(SEISM.best_counts(counts), counts[0])
    # F equal to six decimals is a tie.
    tie = counts_of(
        [[10**7, 2 * 10**7, 10**7, 10**7], [10**7 + 1, 2 * 10**7, 10**7 + 1, 10**7 + 1]]
    )
    np.testing.assert_array_equal(SEISM.best_counts(tie), tie[0])
    np.testing.assert_array_equal(BERKELEY.best_counts(tie), tie[1])


# ---------------------------------------------------------------------------- whole metric

plain = [PROTOCOLS["pascal_raw"], PROTOCOLS["bsds"]]


@st.composite
def region_maps(draw):
    """Region maps with a boundary: nearest of some random points."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    shape = draw(st.tuples(st.integers(12, 40), st.integers(12, 40)))
    points = rng.uniform(size=(draw(st.integers(2, 8)), 2)) * shape
    labels = spatial.cKDTree(points).query(np.indices(shape).reshape(2, -1).T)[1].reshape(shape)
    labels[:, -1] = -1  # there is a boundary even if all points share a pixel
    return labels


@given(labels=region_maps())
@few
def test_perfect_prediction_scores_one(labels):
    (edges,) = region_boundaries(labels)
    for protocol, truth in zip(plain, (labels, annotated([edges, edges])), strict=True):
        metric = EdgeMetric(protocol)
        metric.add(edges.astype(np.float32), truth)
        result = metric.result()
        assert result["odsF"] == result["oisF"] == 1
        curve = metric.curve()
        assert np.all(curve.precision == 1)
        assert np.all(curve.recall == 1)


@given(labels=region_maps())
@settings(max_examples=20, deadline=None)
def test_empty_prediction_scores_zero(labels):
    for protocol in PROTOCOLS.values():
        (edges,) = region_boundaries(labels)
        truth = annotated([edges, edges]) if protocol.true_edges is annotators_edges else labels
        metric = EdgeMetric(protocol)
        metric.add(np.zeros(labels.shape, np.float32), truth)
        assert metric.result() == {"odsF": 0, "oisF": 0, "AP": 0}


@given(data=st.data())
@few
def test_isolated_pixels_score_the_same_mirrored(data):
    """Thinning prefers sides, so only maps that it leaves alone mirror exactly."""
    shape = 2 * data.draw(st.integers(3, 15)), 2 * data.draw(st.integers(3, 15))
    prediction, truth = np.zeros((2, *shape), np.uint8)
    coarse = (shape[0] // 2, shape[1] // 2)
    prediction[::2, ::2] = data.draw(hnp.arrays(np.uint8, coarse))
    truth[1::2, ::2] = data.draw(hnp.arrays(np.uint8, coarse, elements=st.integers(0, 1)))
    protocol = dataclasses.replace(PROTOCOLS["bsds"], max_dist=0.07, true_edges=edge_map)
    counts = evaluate_image(prediction, truth, protocol)
    for mirror in (np.fliplr, np.flipud, np.transpose):
        mirrored = evaluate_image(mirror(prediction), mirror(truth), protocol)
        np.testing.assert_array_equal(mirrored, counts)


@pytest.fixture(scope="module")
def noisy_images():
    """Three soft predictions with their region maps."""
    rng = np.random.default_rng(0)
    images = []
    for size in (30, 34, 40):
        points = rng.uniform(size=(5, 2)) * size
        query = np.indices((size, size)).reshape(2, -1).T
        labels = spatial.cKDTree(points).query(query)[1].reshape(size, size)
        soft = ndimage.gaussian_filter(region_boundaries(labels)[0].astype(np.float32), 1.2)
        soft = soft / soft.max() * rng.uniform(0.3, 1, size=(size, size))
        images.append((soft.astype(np.float32), labels))
    return images


@pytest.mark.parametrize("name", ["pascal", "pascal_raw", "nyud"])
def test_order_and_merging_do_not_matter(noisy_images, name):
    together, backwards = EdgeMetric(PROTOCOLS[name]), EdgeMetric(PROTOCOLS[name])
    left, right = EdgeMetric(PROTOCOLS[name]), EdgeMetric(PROTOCOLS[name])
    for image in noisy_images:
        together.add(*image)
    for image in reversed(noisy_images):
        backwards.add(*image)
    left.add(*noisy_images[0])
    right.add(*noisy_images[1])
    right.add(*noisy_images[2])
    left.merge(right)
    assert together.result() == backwards.result() == left.result()
    assert 0 < together.result()["odsF"] < 1


def test_probabilities_are_truncated_to_eight_bits(noisy_images):
    for probability, labels in noisy_images:
        stored = np.floor(255 * probability).astype(np.uint8)
        np.testing.assert_array_equal(
            evaluate_image(probability, labels, PROTOCOLS["pascal"]),
            evaluate_image(stored, labels, PROTOCOLS["pascal"]),
        )


def test_floats_are_compared_as_they_are_given():
    """The benchmark of BSDS500 truncates nothing: .005 above a threshold is above it."""
    strengths = np.float64([[0.3 + 1e-12, 0.3 - 1e-12, 0.305, 0.2999]])
    assert PROTOCOLS["bsds"].levels(strengths).tolist() == [[30, 29, 30, 29]]
    assert PROTOCOLS["pascal_raw"].levels(strengths).tolist() == [[29, 29, 30, 29]]


def test_berkeleys_thresholds_are_those_of_matlabs_linspace():
    """Its own demonstration has pixels of 85 / 255, and does not count them at the second of five
    thresholds; nor does NumPy's linspace."""
    for name, count in (("bsds", 99), ("bsds_nms", 99), ("bsds_5", 5)):
        expected = np.linspace(1 / (count + 1), 1 - 1 / (count + 1), count)
        np.testing.assert_allclose(PROTOCOLS[name].thresholds, expected, rtol=0, atol=1e-15)
    levels = PROTOCOLS["bsds_5"].levels(np.array([[84, 85, 86]], np.uint8))
    assert levels.tolist() == [[1, 1, 2]]


def test_suppression_is_a_choice_of_its_own_for_several_annotators(noisy_images):
    soft, labels = noisy_images[0]
    (edges,) = region_boundaries(labels)
    truth = annotated([edges, np.roll(edges, 1, axis=0)])
    thin_map = suppress_non_maxima(smooth_strength(soft))
    suppressed = evaluate_image(soft, truth, PROTOCOLS["bsds_nms"])
    np.testing.assert_array_equal(suppressed, evaluate_image(thin_map, truth, PROTOCOLS["bsds"]))
    assert not np.array_equal(suppressed, evaluate_image(soft, truth, PROTOCOLS["bsds"]))


def test_counting_can_be_sent_to_a_process(noisy_images):
    counting = EdgeMetric(PROTOCOLS["pascal"]).counting
    copy = pickle.loads(pickle.dumps(counting))
    expected = evaluate_image(*noisy_images[0], PROTOCOLS["pascal"])
    np.testing.assert_array_equal(copy(*noisy_images[0]), expected)


def test_details_hold_the_protocol_and_the_curve(noisy_images):
    metric = EdgeMetric(PROTOCOLS["pascal_raw"])
    for image in noisy_images:
        metric.add(*image)
    details = json.loads(json.dumps(metric.details()))
    assert details["protocol"] == PROTOCOLS["pascal_raw"].settings()
    assert details["images"] == len(noisy_images)
    assert len(details["curve"]["precision"]) == len(details["protocol"]["thresholds"])
    assert max(details["curve"]["f"]) == metric.result()["odsF"]
    np.testing.assert_array_equal(details["curve"]["recall"], metric.curve().recall)


def test_a_protocol_by_name_keeps_the_form_of_the_truth():
    metric = edge_metric("pascal_raw", true_edges=edge_map)
    assert metric.protocol == dataclasses.replace(PROTOCOLS["pascal_raw"], true_edges=edge_map)
    assert edge_metric("nyud").protocol == PROTOCOLS["nyud"]


def test_settings_say_what_was_chosen():
    settings_of = {name: protocol.settings() for name, protocol in PROTOCOLS.items()}
    assert json.loads(json.dumps(settings_of)) == settings_of
    assert settings_of["nyud"]["max_dist"] == 0.011
    assert settings_of["nyud"]["true_edges"] == "region_boundaries"
    assert len(settings_of["pascal"]["thresholds"]) == 101
    assert len(settings_of["pascal_raw"]["thresholds"]) == 99
    assert not settings_of["pascal_raw"]["non_maximum_suppression"]
    bsds, suppressed = settings_of["bsds"], settings_of["bsds_nms"]
    differing = {key for key in bsds if bsds[key] != suppressed[key]}
    assert differing == {"name", "non_maximum_suppression", "smoothing"}
    assert (bsds["quantized"], bsds["summary"], bsds["ods_between_thresholds"]) == (
        *(False, "berkeley"),
        True,
    )


zeros = np.zeros((8, 8), np.float32)


@pytest.mark.parametrize(
    ("prediction", "message"),
    [
        (zeros[None], r"shape \(H, W\), have \(1, 8, 8\)"),
        (zeros.astype(int), "float or uint8, are int64"),
        (zeros + 2, r"0\.\.1, are in 2\.\.2"),
        (zeros * np.nan, r"0\.\.1, are in nan"),
        (zeros[:7], r"shape \(7, 8\), the truth \(8, 8\)"),
    ],
)
def test_bad_predictions_are_refused(prediction, message):
    with pytest.raises(ValueError, match=message):
        evaluate_image(prediction, np.zeros((8, 8), int), PROTOCOLS["pascal"])


@pytest.mark.parametrize(
    ("name", "truth"),
    [("pascal", zeros[..., None]), ("bsds", np.zeros((2, 8, 8), int))],
)
def test_truths_of_another_shape_are_refused(name, truth):
    with pytest.raises(ValueError, match=r"the truth of edges must have shape \(H, W\), has \("):
        evaluate_image(zeros, truth, PROTOCOLS[name])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"thresholds": (0.2, 0.1)}, "ascend"),
        ({"thresholds": ()}, "ascend"),
        ({"thresholds": (0.0, 0.5)}, "0 < t"),
        ({"max_dist": 0.0}, "max_dist must be > 0"),
    ],
)
def test_impossible_protocols_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(PROTOCOLS["pascal"], **change)


def test_merging_another_protocol_is_refused():
    with pytest.raises(ValueError, match="nyud into pascal"):
        EdgeMetric(PROTOCOLS["pascal"]).merge(EdgeMetric(PROTOCOLS["nyud"]))
