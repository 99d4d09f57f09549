"""A task's strip against what must be in it, and where."""

import numpy as np
from test_panels import DEPTH, NORMALS, SEMSEG, example_row, rectangle

from astmt_jax.pictures.canvas import CELL, GAP
from astmt_jax.pictures.strips import draw_strip

IMAGE, PREDICTION, TRUTH = (10, 200, 30), (128, 128, 255), (255, 128, 128)
"""Colours of `example_row`, of normals where they have some."""


def test_the_image_above_the_prediction_above_the_truth():
    picture = draw_strip([example_row()], NORMALS)
    left, top, width, height = rectangle(picture, IMAGE)
    assert (width, height) == (CELL, CELL)
    for below, color in enumerate((PREDICTION, TRUTH), 1):
        assert rectangle(picture, color) == (left, top + below * (CELL + GAP), width, height)


def test_a_column_an_image():
    one = draw_strip([example_row()], NORMALS)
    other = example_row()
    other["image"] = np.full_like(other["image"], (7, 8, 9))
    two = draw_strip([example_row(), other], NORMALS)
    assert two.shape[0] == one.shape[0]
    left, top, *size = rectangle(one, IMAGE)
    assert rectangle(two, IMAGE) == (left, top, *size)
    assert rectangle(two, (7, 8, 9)) == (left + CELL + GAP, top, *size)


def test_its_size_does_not_depend_on_the_prediction():
    """So that strips of several epochs can be compared at one place."""
    row = example_row()
    sizes = set()
    for value in (0, 1, 2):
        row["predictions"]["semseg"] = np.full((32, 32), value, np.uint8)
        sizes.add(draw_strip([row], SEMSEG).shape)
    assert len(sizes) == 1


def test_both_maps_are_on_the_scale_of_the_truth():
    """A prediction that is right has the truth's colours; one that is not has others."""
    row = example_row()
    truth = np.geomspace(1, 10, 32 * 32).reshape(32, 32).astype(np.float32)
    row["truths"]["depth"] = truth[..., None]
    row["predictions"]["depth"] = truth
    right = draw_strip([row], DEPTH)
    row["predictions"]["depth"] = truth * 1.5
    wrong = draw_strip([row], DEPTH)
    assert (right != wrong).any(-1).sum() > CELL * CELL / 2


def test_wide_maps_have_no_room_for_a_scale():
    """Ten times as wide as high: the maps are drawn, and nothing fails."""
    row = example_row()
    row["image"] = np.full((10, 100, 3), IMAGE, np.uint8)
    for kind in ("truths", "predictions"):
        row[kind]["depth"] = np.geomspace(1, 10, 1000).reshape(10, 100).astype(np.float32)
    row["truths"]["depth"] = row["truths"]["depth"][..., None]
    _, _, width, height = rectangle(draw_strip([row], DEPTH), IMAGE)
    assert (width, height) == (CELL, CELL // 10)
