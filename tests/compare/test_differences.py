"""Paired differences against SciPy's paired t-test; sentences about them."""

import math

import numpy as np
import pytest
from scipy import stats

from astmt_jax.compare.difference_tables import sentence
from astmt_jax.compare.differences import Difference, paired


@pytest.mark.parametrize("seeds", [2, 3, 5, 10])
def test_interval_is_that_of_the_paired_t_test(seeds):
    rng = np.random.default_rng(seeds)
    common = rng.normal(10, 5, seeds)
    ours, theirs = common + rng.normal(0, 1, seeds), common + rng.normal(1, 1, seeds)
    found = paired(dict(enumerate(ours)), dict(enumerate(theirs)))
    expected = stats.ttest_rel(ours, theirs).confidence_interval(0.95)
    assert found.mean == pytest.approx(np.mean(ours - theirs))
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    assert found.seeds == seeds
    assert found.is_shown == (stats.ttest_rel(ours, theirs).pvalue < 0.05)


def test_only_seeds_of_both_count():
    found = paired({0: 1.0, 1: 2.0, 2: 5.0, 3: math.nan}, {1: 1.0, 2: 1.0, 3: 0.0, 4: 7.0})
    assert (found.mean, found.seeds) == (2.5, 2)
    assert paired({0: 1.0}, {1: 1.0}) is None
    assert paired({0: math.nan}, {0: 1.0}) is None


def test_one_seed_shows_nothing():
    found = paired({0: 1.0}, {0: 3.0})
    assert found.mean == -2
    assert math.isnan(found.low)
    assert not found.is_shown


@pytest.mark.parametrize(
    ("difference", "expected"),
    [
        (
            Difference(-7.1, -9.2, -5.0, 3),
            "the average drop is 7.1 points lower (95% interval -9.2 to -5.0, 3 seeds).",
        ),
        (
            Difference(2.0, 0.5, 3.5, 4),
            "the average drop is 2.0 points higher (95% interval +0.5 to +3.5, 4 seeds).",
        ),
        (
            Difference(-0.1, -2.0, 1.8, 3),
            "no difference that 3 seeds could show (-0.1, 95% interval -2.0 to +1.8).",
        ),
        (
            Difference(1.0, math.nan, math.nan, 1),
            "the average drop is 1.0 points higher; one seed cannot show whether that is more "
            "than chance.",
        ),
    ],
)
def test_sentences(difference, expected):
    assert sentence(difference) == expected
