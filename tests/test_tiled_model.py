"""Photos in tiles, against the network's own predictions of the whole and of each tile alone."""

import numpy as np
import pytest
from test_trained_model import assert_same, photo
from tiny_run import TASKS, tiny_model

from astmt_jax.evaluation.views import Views

REACH = 12
"""Pixels that the tiny network without squeeze-and-excitation sees around one, at most: its stem 1,
its second convolution and the enlargement of what it predicts 4 each, its stride up to 3."""


@pytest.fixture(scope="module")
def local_model():
    return tiny_model(model__decoder_se=False)


@pytest.fixture(scope="module")
def model():
    return tiny_model()


def undisturbed(side, tile, overlap):
    """Bool (side,): pixels from which every tile that covers them ends further than `REACH`."""
    starts = [*range(0, side - tile, tile - overlap), side - tile]
    found = np.ones(side, bool)
    for start in starts:
        if start > 0:
            found[start : start + REACH] = False
        if start + tile < side:
            found[start + tile - REACH : start + tile] = False
    return found


@pytest.mark.parametrize("overlap", [0, 16, 32])
def test_inside_tiles_predictions_are_those_of_the_whole(local_model, overlap):
    """Where what the network sees around a pixel does not reach the end of a tile."""
    picture = photo(96, 144)
    whole = local_model.predict(picture, size=144)
    tiled = local_model.predict(picture, tile=64, overlap=overlap)
    rows, columns = (undisturbed(side, 64, overlap) for side in (96, 144))
    inside = rows[:, None] & columns
    assert 0.1 < inside.mean() < 0.9
    assert_same(
        {name: values[inside] for name, values in tiled.items()},
        {name: values[inside] for name, values in whole.items()},
    )
    assert np.abs(tiled["depth"] - whole["depth"])[~inside].max() > 0.01


def test_a_tile_is_predicted_as_it_is_alone(model):
    """With squeeze-and-excitation, which sees all of a tile, and so not as within the whole."""
    picture = photo(64, 112)
    tiled = model.predict(picture, tile=64, overlap=16)
    alone = model.predict(picture[:, :64], size=64)
    only_there = np.s_[:, :48]
    assert_same(
        {name: values[only_there] for name, values in tiled.items()},
        {name: values[only_there] for name, values in alone.items()},
    )
    whole = model.predict(picture, size=112)
    assert np.abs(whole["depth"] - tiled["depth"])[only_there].max() > 0.01


def test_a_photo_within_one_tile_is_predicted_as_a_whole(model):
    for size in ((64, 64), (50, 33)):
        picture = photo(*size)
        whole = model.predict(picture, size=max(size))
        assert_same(model.predict(picture, tile=64), whole)


def test_tiles_of_a_photo_seen_smaller(local_model):
    """The rest is as without tiles: brought back to the photo's own resolution."""
    picture = photo(200, 300)
    found = local_model.predict(picture, size=96, tile=96)
    assert_same(found, local_model.predict(picture, size=96))


def test_mirror_image_of_a_photo_has_the_mirror_image_of_its_predictions(model):
    """As both see the same two pictures; in tiles, too, where the grid is its own mirror image."""
    picture = photo(64, 112)
    for options in ({"size": 112}, {"tile": 64, "overlap": 16}, {"size": 112, "scales": (1, 1.5)}):
        found = model.predict(picture, flip=True, **options)
        mirrored = model.predict(picture[:, ::-1], flip=True, **options)
        expected = {name: values[:, ::-1] for name, values in found.items()}
        expected["normals"] = expected["normals"] * [-1, 1, 1]
        assert_same(mirrored, expected)


def test_scales_are_the_mean_of_predictions_at_each(model):
    picture = photo(64, 96)
    each = [model.predict(picture, ["depth"], size=size)["depth"] for size in (96, 144)]
    found = model.predict(picture, ["depth"], size=96, scales=(1, 1.5))["depth"]
    np.testing.assert_allclose(found, np.mean(each, axis=0), rtol=1e-4, atol=1e-4)


def test_photos_together_are_predicted_as_alone(model):
    pictures = [photo(40, 60, seed) for seed in range(3)] + [photo(60, 40), photo(41, 60)]
    views = {"flip": True, "scales": (1.0, 1.5)}
    found = model.predict_batch(pictures, views=Views(**views))
    for picture, predictions in zip(pictures, found, strict=True):
        assert_same(predictions, model.predict(picture, **views))


def test_all_tiles_of_all_photos_have_one_shape():
    """And their numbers are powers of two: four and two a row here."""
    fresh = tiny_model()
    for size in ((100, 150), (200, 147), (331, 160), (64, 64), (90, 200)):
        fresh.predict(photo(*size), tasks=["edge"], tile=64, overlap=16)
    assert fresh._features._cache_size() <= 3


def test_units_are_those_promised(model):
    found = model.predict(photo(70, 90), tile=48, overlap=16, flip=True, scales=(0.75, 1, 1.25))
    assert list(found) == list(TASKS)
    assert found["semseg"].dtype == np.uint8
    assert found["edge"].dtype == found["normals"].dtype == found["depth"].dtype == np.float32
    assert found["semseg"].shape == found["edge"].shape == found["depth"].shape == (70, 90)
    assert 0 <= found["edge"].min() <= found["edge"].max() <= 1
    np.testing.assert_allclose(np.linalg.norm(found["normals"], axis=-1), 1, atol=1e-5)
