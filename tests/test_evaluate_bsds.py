"""Scoring of boundaries that several people drew, by the command, in every form of file."""

import json

import archives
import numpy as np
import pytest
import scipy.io
from PIL import Image
from prepared import prepared_once, read_examples

from astmt_jax import evaluate
from astmt_jax.datasets import registry
from astmt_jax.metrics.edge_protocols import PROTOCOLS
from astmt_jax.metrics.edges import EdgeMetric

RESULTS = "results.json"


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    return prepared_once("bsds500", archives.make_bsds500, tmp_path_factory.mktemp("bsds"))


@pytest.fixture(scope="module")
def truths(data_dir):
    """name -> what its annotators drew, (H, W)."""
    examples = read_examples(registry.find("bsds500").open(data_dir, {}, "test"))
    return {name: example["annotators"][..., 0] for name, example in examples.items()}


@pytest.fixture(scope="module")
def strengths(truths):
    """name -> float64 (H, W), of which some lie on thresholds."""
    random = np.random.default_rng(0)
    maps = {}
    for name, truth in truths.items():
        strength = np.round(random.random(truth.shape), random.integers(1, 4))
        maps[name] = np.where((truth > 0) | (random.random(truth.shape) < 0.1), strength, 0)
    return maps


def save_ucm2(path, strength):
    """Of double size, with other values between the pixels."""
    height, width = strength.shape
    ucm2 = np.ones((2 * height + 1, 2 * width + 1))
    ucm2[2::2, 2::2] = strength
    scipy.io.savemat(path.with_suffix(".mat"), {"ucm2": ucm2})


FORMS = {
    "ucm2": save_ucm2,
    "pb": lambda path, strength: scipy.io.savemat(path.with_suffix(".mat"), {"pb": strength}),
    "npy": lambda path, strength: np.save(path.with_suffix(".npy"), strength),
    "png": lambda path, strength: Image.fromarray(np.uint8(255 * strength)).save(
        path.with_suffix(".png")
    ),
}


@pytest.fixture
def score(data_dir, tmp_path):
    """Writes maps in a form, runs the command on them; returns its results.json."""

    def run(maps, form, *arguments):
        (tmp_path / "edge").mkdir()
        for name, strength in maps.items():
            FORMS[form](tmp_path / "edge" / name, strength)
        where = [f"--predictions={tmp_path}", "--dataset=bsds500", f"--data_dir={data_dir}"]
        evaluate.main([*where, "--num_workers=1", *arguments])
        return json.loads((tmp_path / RESULTS).read_text())

    return run


def expected(maps, truths, protocol):
    metric = EdgeMetric(PROTOCOLS[protocol])
    for name, strength in maps.items():
        metric.add(strength, truths[name])
    return metric


@pytest.mark.parametrize("form", FORMS)
def test_floats_are_scored_as_they_are_and_pictures_as_bytes(score, strengths, truths, form):
    results = score(strengths, form)
    given = {n: np.uint8(255 * s) if form == "png" else s for n, s in strengths.items()}
    assert results["results"]["edge"] == expected(given, truths, "bsds").result()
    assert results["split"] == "test"
    details = results["details"]["edge"]
    assert details["compared_with"] == "annotators"
    assert details["protocol"] == PROTOCOLS["bsds"].settings()
    assert details["images"] == len(truths)


def test_bytes_and_floats_differ(strengths, truths):
    """Otherwise the test above could not fail."""
    levels = {name: np.uint8(255 * strength) for name, strength in strengths.items()}
    as_bytes, as_floats = (expected(maps, truths, "bsds") for maps in (levels, strengths))
    assert as_bytes.result() != as_floats.result()


@pytest.mark.parametrize("protocol", ["bsds_nms", "bsds_5"])
def test_protocols_are_chosen_by_name_and_recorded(score, strengths, truths, protocol):
    results = score(strengths, "npy", f"--edge_protocol={protocol}")
    assert results["results"]["edge"] == expected(strengths, truths, protocol).result()
    assert results["details"]["edge"]["protocol"] == PROTOCOLS[protocol].settings()


def test_an_annotator_scores_high_and_all_of_them_count(score, truths):
    """All that one of them drew is right, but others drew more."""
    first = {name: (truth & 1).astype(float) for name, truth in truths.items()}
    results = score(first, "pb")
    curve = results["details"]["edge"]["curve"]
    assert min(curve["precision"]) == 1
    assert 0.5 < min(curve["recall"]) == max(curve["recall"]) < 1
