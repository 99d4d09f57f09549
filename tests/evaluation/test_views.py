"""Views of a picture: mirror images, scales and tiles of functions with a closed form."""

import dataclasses

import numpy as np
import pytest
from measured import measured

from astmt_jax.evaluation.views import PLAIN, ValuePredictor, Views, mean_values, tiled_predictions
from astmt_jax.pictures.network_input import NetworkInput
from astmt_jax.tasks.registry import TASKS

STRIDE = 16
FLIPPED = Views(flip=True)


def network(values, task="depth"):
    """A network of one task that gives a function of the pixels (B, H, W, 3)."""
    record = TASKS[task]()
    return ValuePredictor(lambda batch: {task: values(batch)}, {task: record.averaging}, STRIDE)


def pictures(height, width, count=1):
    random = np.random.default_rng(0)
    return list(random.integers(0, 256, (count, height, width, 3)).astype(np.uint8))


def brightness(batch):
    """Of every pixel alone, so that it moves as the picture does."""
    return batch.mean(axis=-1, keepdims=True)


def columns(batch):
    """The number of every pixel's column, whatever the picture shows."""
    shape = (*batch.shape[:3], 1)
    return np.broadcast_to(np.arange(shape[2], dtype=np.float32)[:, None], shape)


def slopes(batch):
    """Which way brightness grows, as unit vectors: mirrored, its x has the other sign."""
    grey = np.pad(batch.mean(axis=-1), [(0, 0), (1, 1), (1, 1)], mode="edge")
    across = grey[:, 1:-1, 2:] - grey[:, 1:-1, :-2]
    down = grey[:, 2:, 1:-1] - grey[:, :-2, 1:-1]
    vectors = np.stack([across, down, np.full_like(down, 20)], axis=-1)
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def mean(of, given, views, size=None):
    (found,) = mean_values(of, given, size or max(given[0].shape[:2]), views).values()
    return found


@pytest.mark.parametrize(("values", "task"), [(brightness, "depth"), (slopes, "normals")])
def test_what_moves_with_the_picture_is_the_same_with_its_mirror_image(values, task):
    """At sides that are padded, too: the padding of the mirror image is at the other end."""
    given = pictures(32, 48, count=2)
    found = mean(network(values, task), given, FLIPPED)
    np.testing.assert_allclose(found, mean(network(values, task), given, PLAIN), atol=1e-5)
    np.testing.assert_allclose(found, values(np.stack(given).astype(np.float32)), atol=1e-5)
    odd = pictures(21, 37)
    found = mean(network(brightness), odd, FLIPPED)
    np.testing.assert_allclose(found, brightness(np.stack(odd).astype(np.float32)), atol=1e-5)


def test_what_stays_where_it_is_becomes_the_mean_of_both_ends():
    found = mean(network(columns), pictures(16, 32), FLIPPED)
    np.testing.assert_allclose(found, np.full((1, 16, 32, 1), 31 / 2))


def test_normals_that_face_left_everywhere_face_the_camera_in_the_mean():
    """A network that says 'left' of whatever it sees contradicts itself in the mirror."""
    left = np.array([-0.6, 0, 0.8], np.float32)
    found = mean(
        network(lambda batch: np.broadcast_to(left, batch.shape), "normals"),
        pictures(16, 16),
        FLIPPED,
    )
    np.testing.assert_allclose(found, np.broadcast_to([0, 0, 0.8], found.shape), atol=1e-6)


def test_the_mean_of_constants_over_scales_is_the_constant():
    of = network(lambda batch: np.full((*batch.shape[:3], 1), 7, np.float32))
    found = mean(of, pictures(33, 50), Views(scales=(0.5, 1, 1.7), flip=True))
    assert found.shape == (1, 33, 50, 1)
    np.testing.assert_allclose(found, 7)


def test_the_mean_is_over_scales_and_each_sees_the_picture_so_large():
    seen = []

    def width(batch):
        seen.append(batch.shape[1:3])
        return np.full((*batch.shape[:3], 1), batch.shape[2], np.float32)

    found = mean(network(width), pictures(32, 64), Views(scales=(0.5, 1, 2)))
    assert seen == [(16, 32), (32, 64), (64, 128)]
    np.testing.assert_allclose(found, (32 + 64 + 128) / 3, rtol=1e-6)


def test_a_smooth_picture_is_the_same_at_every_scale():
    """Half-pixel centres: no scale moves it. A plane is what bilinear interpolation keeps."""
    y, x = np.mgrid[0:32, 0:64]
    plane = np.repeat((2 * x + y)[..., None], 3, axis=2).astype(np.float32)
    found = mean(network(brightness), [plane], Views(scales=(0.5, 1, 1.5)))
    inside = np.s_[:, 2:-2, 2:-2]
    np.testing.assert_allclose(found[inside], brightness(plane[None])[inside], atol=1e-3)


@pytest.mark.parametrize("size", [(33, 70), (64, 16), (10, 100), (48, 48)])
def test_tiles_of_what_sees_single_pixels_are_the_whole(size):
    (picture,) = pictures(*size)
    seen = NetworkInput.of(size, max(size), STRIDE)
    shapes = set()

    def values(batch):
        shapes.add(batch.shape[1:3])
        return brightness(batch)

    views = Views(tile=32, overlap=16, flip=True)
    found = tiled_predictions(network(values), picture, seen, views, 3)["depth"]
    np.testing.assert_allclose(found, picture.astype(np.float32).mean(-1), atol=1e-4)
    assert shapes == {tuple(min(32, -(-side // STRIDE) * STRIDE) for side in size)}


def test_a_tile_is_predicted_as_a_picture_of_its_own():
    """What a network says of the whole of what it sees: tiles differ, and blend."""
    (picture,) = pictures(32, 48)
    seen = NetworkInput.of((32, 48), 48, STRIDE)

    def mean_brightness(batch):
        of_all = batch.mean(axis=(1, 2, 3), keepdims=True)
        return np.broadcast_to(of_all, (*batch.shape[:3], 1))

    of = network(mean_brightness)
    views = Views(tile=32, overlap=16)
    found = tiled_predictions(of, picture, seen, views, 8)["depth"]
    left, right = picture[:, :32].mean(), picture[:, 16:].mean()
    weight = np.interp(np.arange(48), [15.5, 31.5], [0, 1])
    np.testing.assert_allclose(
        found, np.tile((1 - weight) * left + weight * right, (32, 1)), rtol=1e-5
    )


def test_tiles_of_a_picture_seen_smaller_are_of_what_is_seen():
    (picture,) = pictures(64, 128)
    seen = NetworkInput.of((64, 128), 64, STRIDE)
    found = tiled_predictions(network(brightness), picture, seen, Views(tile=32), 8)["depth"]
    np.testing.assert_allclose(found, seen.scaled(picture).mean(axis=-1), atol=1e-4)


def predict_classes():
    """Of a picture whose probabilities of 21 classes would fill 336 MB."""
    record = TASKS["semseg"]()

    def values(batch):
        return {"semseg": np.zeros((*batch.shape[:3], record.channels), np.float32)}

    of = ValuePredictor(values, {"semseg": record.averaging}, STRIDE)
    picture = np.zeros((1000, 4000, 3), np.uint8)
    seen = NetworkInput.of(picture.shape[:2], 4000, STRIDE)
    tiled_predictions(of, picture, seen, Views(tile=96, overlap=16), 8)


def test_memory_is_that_of_one_strip():
    """A strip of 96 rows has 32 MB; the picture and what is returned have 16."""
    found = measured(predict_classes)
    assert not found.told
    assert found.memory < 2**27


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ({"tile": 0}, "tile is 0, but must be at least 1."),
        ({"tile": 64, "overlap": 64},
         "overlap is 64, but must be at least 0 and less than the tile, 64."),
        ({"tile": 64, "overlap": -16},
         "overlap is -16, but must be at least 0 and less than the tile, 64."),
        ({"overlap": 16}, "overlap is 16, but there is no tile."),
        ({"scales": ()}, "There are no scales, but must be one, such as 1."),
        ({"scales": (1, 0)}, "A scale is 0, but must be more than 0 and at most 8."),
        ({"scales": (-0.5,)}, "A scale is -0.5, but must be more than 0 and at most 8."),
        ({"scales": (float("nan"),)}, "A scale is nan, but must be more than 0 and at most 8."),
        ({"scales": (100,)}, "A scale is 100, but must be more than 0 and at most 8."),
    ],
)  # fmt: skip
def test_views_that_there_are_not_are_told(chosen, message):
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        Views(**chosen)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("tile", "overlap", "message"),
    [
        (500, 64, "tile is 500, but must be a multiple of the network's output stride, 16: "
                  "such as 512."),
        (512, 60, "overlap is 60, but must be a multiple of the network's output stride, 16: "
                  "such as 64."),
    ],
)  # fmt: skip
def test_tiles_begin_where_features_do(tile, overlap, message):
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        Views(tile, overlap).grid(STRIDE)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("tile", "overlap"), [(512, 64), (256, 32), (96, 16), (16, 0), (1024, 128)]
)
def test_the_overlap_is_an_eighth_where_nothing_is_said(tile, overlap):
    assert Views(tile).grid(STRIDE) == (tile, overlap)


def test_tasks_that_cannot_be_averaged_say_so():
    task = dataclasses.replace(TASKS["depth"](), averaging=None)
    with pytest.raises(
        ValueError, match=r"^Predictions of depth cannot be averaged, which tiles, "
    ):
        task.averaged_by()
