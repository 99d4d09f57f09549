"""Tiles: where they lie, that their weights sum to one, and what comes of them as a whole."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from astmt_jax.pictures.tiles import Cover, blended, window

SIDES = st.tuples(st.integers(1, 200), st.integers(1, 64), st.integers(0, 63)).filter(
    lambda it: it[2] < it[1]
)


@given(SIDES)
def test_tiles_cover_a_side_and_their_weights_sum_to_one(chosen):
    side, tile, overlap = chosen
    cover = Cover.of(side, tile, overlap)
    assert cover.length == min(tile, side)
    assert cover.side == side
    assert cover.starts[0] == 0
    assert all(
        0 < later - start <= tile - overlap for start, later in itertools.pairwise(cover.starts)
    )
    assert (cover.weights > 0).all()
    total = np.zeros(side)
    for start, weights in zip(cover.starts, cover.weights, strict=True):
        total[start : start + cover.length] += weights
    np.testing.assert_allclose(total, 1, atol=1e-6)


def test_weights_go_from_tile_to_tile_linearly():
    cover = Cover.of(14, 8, 2)
    assert cover.starts == (0, 6)
    np.testing.assert_allclose(cover.weights[0], [1, 1, 1, 1, 1, 1, 0.75, 0.25])
    np.testing.assert_allclose(cover.weights[1], [0.25, 0.75, 1, 1, 1, 1, 1, 1])


def test_the_last_tile_ends_with_the_side():
    assert Cover.of(20, 8, 2).starts == (0, 6, 12)
    assert Cover.of(21, 8, 2).starts == (0, 6, 12, 13)
    assert Cover.of(8, 8, 2).starts == (0,)
    assert Cover.of(5, 8, 2).starts == (0,)


@pytest.mark.parametrize("batch_size", [1, 2, 5])
@pytest.mark.parametrize(
    ("size", "tile", "overlap"), [((21, 34), 8, 2), ((5, 30), 8, 0), ((9, 8), 8, 7)]
)
def test_tiles_of_a_map_give_the_map(size, tile, overlap, batch_size):
    whole = np.random.default_rng(0).normal(size=(*size, 3)).astype(np.float32)
    rows, columns = (Cover.of(side, tile, overlap) for side in size)
    asked = []

    def values(top, lefts):
        asked.append(len(lefts))
        shape = (rows.length, columns.length)
        return {"map": np.stack([window(whole, top, left, shape) for left in lefts])}

    tops, strips = zip(
        *((top, strip["map"].copy()) for top, strip in blended(rows, columns, values, batch_size)),
        strict=True,
    )
    np.testing.assert_allclose(np.concatenate(strips), whole, atol=1e-6)
    assert tops == rows.starts
    assert max(asked) <= batch_size
    assert sum(asked) == len(rows.starts) * len(columns.starts)


def test_where_tiles_differ_the_blend_is_their_weighted_mean():
    """Each tile is constant, its number: in overlaps of two, weights go from one to the other."""
    rows, columns = Cover.of(14, 8, 2), Cover.of(20, 8, 2)

    def values(top, lefts):
        number = {0: 0.0, 6: 10.0}[top]
        return {"map": np.stack([np.full((8, 8, 1), number + left, np.float32) for left in lefts])}

    whole = np.concatenate([s["map"].copy() for _, s in blended(rows, columns, values, 2)])[..., 0]
    down = np.interp(np.arange(14), [5, 6, 7, 8], [0, 2.5, 7.5, 10])
    across = np.interp(
        np.arange(20), [5, 6, 7, 8, 11, 12, 13, 14], [0, 1.5, 4.5, 6, 6, 7.5, 10.5, 12]
    )
    np.testing.assert_allclose(whole, down[:, None] + across, atol=1e-5)


def test_a_window_beyond_the_picture_repeats_its_last_row_and_column():
    image = np.arange(12).reshape(2, 2, 3)
    np.testing.assert_array_equal(
        window(image, 1, 1, (2, 3)), np.broadcast_to(image[1, 1], (2, 3, 3))
    )
    np.testing.assert_array_equal(window(image, 0, 0, (2, 2)), image)
