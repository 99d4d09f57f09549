"""Colours of maps against published tables and closed forms."""

import numpy as np
import pytest
from skimage.color import rgb2lab

from astmt_jax.tasks import colormaps
from astmt_jax.tasks.albedo import colorize_albedo
from astmt_jax.tasks.edge import colorize_edges
from astmt_jax.tasks.human_parts import colorize_parts
from astmt_jax.tasks.normals import INVALID_NORMAL_COLOR, colorize_normals
from astmt_jax.tasks.sal import colorize_saliency
from astmt_jax.tasks.semseg import colorize_classes

CREAM = (224, 224, 192)

# The first ids of the table published with the PASCAL VOC development kit.
VOC_COLORS = {
    0: (0, 0, 0),
    1: (128, 0, 0),
    2: (0, 128, 0),
    3: (128, 128, 0),
    4: (0, 0, 128),
    5: (128, 0, 128),
    6: (0, 128, 128),
    7: (128, 128, 128),
    8: (64, 0, 0),
    9: (192, 0, 0),
    15: (192, 128, 128),
    16: (0, 64, 0),
    20: (0, 64, 128),
    255: CREAM,
}


@pytest.mark.parametrize(("index", "color"), VOC_COLORS.items())
def test_classes_have_the_published_voc_colors(index, color):
    colors = colorize_classes(np.full((2, 3, 1), index, np.uint8))
    assert colors.dtype == np.uint8
    assert colors.shape == (2, 3, 3)
    assert (colors == color).all()


def test_voc_palette_has_a_color_of_its_own_for_every_id():
    assert len(np.unique(colormaps.voc_palette(), axis=0)) == 256


def test_parts_are_told_apart():
    parts = colorize_parts(np.arange(7, dtype=np.uint8)[None])
    lab = rgb2lab(parts)[0]
    distances = np.linalg.norm(lab[:, None] - lab[None], axis=-1)[np.triu_indices(7, 1)]
    assert distances.min() > 20  # nearly ten times what the eye just notices
    assert (colorize_parts(np.full((1, 1), 255)) == CREAM).all()


def test_unknown_part_is_refused():
    with pytest.raises(ValueError, match="human part 7 is unknown"):
        colorize_parts(np.full((1, 1), 7))


@pytest.mark.parametrize(
    ("vector", "color"),
    [
        ((1, 0, 0), (255, 128, 128)),
        ((-1, 0, 0), (0, 128, 128)),
        ((0, 1, 0), (128, 255, 128)),
        ((0, 0, 1), (128, 128, 255)),
        ((0.28, -0.96, 0), (163, 5, 128)),
        ((0, 0, 0), INVALID_NORMAL_COLOR),
        ((255, 255, 255), INVALID_NORMAL_COLOR),
    ],
)
def test_normals_are_mapped_from_the_cube_to_rgb(vector, color):
    values = np.tile(np.float32(vector), (2, 2, 1))
    assert (colorize_normals(values) == color).all()


def test_edges_are_dark_on_white_and_saliency_white_on_black():
    values = np.float32([[0, 1, 0.2, 255]])
    edges = colorize_edges(values)
    assert edges[0].tolist() == [[255] * 3, [0] * 3, [204] * 3, list(CREAM)]
    saliency = colorize_saliency(values[..., None])
    assert saliency[0].tolist() == [[0] * 3, [255] * 3, [51] * 3, list(CREAM)]
    labels = np.uint8([[0, 1, 255]])
    assert (colorize_edges(labels) == edges[:, [0, 1, 3]]).all()


def test_albedo_is_shown_as_it_is():
    values = np.float32([[(0, 0.5, 1), (-1, 2, 0.2), (255, 255, 255)]])
    colors = colorize_albedo(values)
    assert colors[0].tolist() == [[0, 128, 255], [0, 255, 51], list(CREAM)]


def test_depth_goes_through_viridis_in_equal_steps_of_ratio():
    depth = np.geomspace(1, 32, 6, dtype=np.float32)[None]
    viridis = ["440154", "414487", "2a788e", "22a884", "7ad151", "fde725"]  # as published
    colors = colormaps.colorize_depth(depth, (1, 32))[0]
    assert [bytes(color).hex() for color in colors] == viridis


def test_depth_color_depends_on_the_range_given_and_is_clipped_to_it():
    first = colormaps.colorize_depth(np.float32([[2, 4, 8]]), (2, 8))
    second = colormaps.colorize_depth(np.float32([[-1, 1, 4, 100]]), (2, 8))
    assert (second[0] == first[0, [0, 0, 1, 2]]).all()
    assert (colormaps.colorize_depth(np.float32([[2, 4, 8]])) == first).all()


def test_invalid_depth_is_black_and_outside_the_range():
    depth = np.float32([[0, 255, np.nan, np.inf, 3, 5]])[..., None]
    colors = colormaps.colorize_depth(depth)
    assert (colors[0, :4] == 0).all()
    assert (colors[0, 4:].max(-1) > 0).all()
    assert colormaps.depth_range(depth) == (3, 5)
    assert colormaps.depth_range(np.zeros((2, 2))) is None
    assert (colormaps.colorize_depth(np.zeros((2, 2))) == 0).all()


@pytest.mark.parametrize(
    ("colorize", "shape"),
    [
        (colorize_classes, (2, 2, 3)),
        (colormaps.colorize_depth, (2,)),
        (colorize_normals, (2, 2, 1)),
        (colorize_albedo, (2, 2)),
    ],
)
def test_map_of_another_shape_is_refused(colorize, shape):
    with pytest.raises(ValueError, match="is needed"):
        colorize(np.zeros(shape, np.uint8))
