"""What a visitor reads at a panel."""

import dataclasses
import re

import numpy as np
import pytest

from astmt_jax.demo import legends
from astmt_jax.tasks.depth import depth, disparity
from astmt_jax.tasks.registry import TASKS, human_parts, normals, semseg


def swatches(text):
    """(red, green, blue), words of every entry."""
    found = re.findall(r"background: rgb\((\d+), (\d+), (\d+)\)\"></span>([^<]*)</li>", text)
    return [(tuple(map(int, color)), words) for *color, words in found]


def test_classes_are_listed_with_their_colours_and_shares_the_largest_first():
    prediction = np.zeros((20, 10), np.uint8)
    prediction[:5] = 15
    prediction[5, 0] = 12
    assert swatches(legends.legend(semseg(), prediction)) == [
        ((0, 0, 0), "background 74 %"),
        ((192, 128, 128), "person 25 %"),  # PASCAL VOC's colours
        ((64, 0, 128), "dog &lt; 1 %"),
    ]


def test_classes_that_do_not_occur_are_not_listed():
    assert swatches(legends.legend(human_parts(), np.zeros((4, 4), np.uint8))) == [
        ((0, 0, 0), "background 100 %")
    ]


def test_many_classes_are_counted():
    task = semseg(tuple(f"class {i}" for i in range(59)))
    text = legends.legend(task, np.arange(59, dtype=np.uint8).reshape(1, 59))
    assert len(swatches(text)) == legends.MOST_CLASSES
    assert "<li>and 49 more</li>" in text


def test_names_of_classes_are_text():
    text = legends.legend(semseg(("<img src=x>", "sky")), np.zeros((2, 2), np.uint8))
    assert "&lt;img src=x&gt; 100 %" in text
    assert "<img" not in text


@pytest.mark.parametrize(
    ("task", "ticks"),
    [(depth(), ["2 m", "6 m", "18 m"]), (disparity(), ["2", "6", "18"])],
)
def test_distances_have_a_scale_from_the_nearest_to_the_farthest(task, ticks):
    """Its middle is the geometric mean; its colours are those of the picture."""
    prediction = np.array([[2.0, 3.0], [18.0, np.nan]], np.float32)
    text = legends.legend(task, prediction)
    assert re.findall("<span>([^<]*)</span>", text) == ticks
    colors = re.findall(r"rgb\((\d+), (\d+), (\d+)\)", text)
    shown = task.colorize(prediction)
    assert [int(level) for level in colors[0]] == shown[0, 0].tolist()
    assert [int(level) for level in colors[-1]] == shown[1, 0].tolist()


def test_distances_without_a_valid_one_have_no_scale():
    assert "No value" in legends.legend(depth(), np.full((2, 2), np.nan, np.float32))


def test_directions_are_explained_in_camera_axes():
    """x right, y down, z towards the camera, as red, green and blue around the middle."""
    entries = dict(map(reversed, swatches(legends.legend(normals(), np.zeros((1, 1, 3))))))
    assert entries == {
        "to the camera": (128, 128, 255),
        "left": (0, 128, 128),
        "right": (255, 128, 128),
        "up": (128, 0, 128),
        "down": (128, 255, 128),
    }


@pytest.mark.parametrize("name", TASKS)
def test_every_task_says_what_it_shows(name):
    """In words; and what its colours mean, unless they are colours (albedo)."""
    task = TASKS[name]()
    heading = legends.heading(task)
    assert task.title in heading
    assert task.meaning.endswith(".")
    explained = task.class_names or task.legend or task.color_bar_unit is not None
    assert bool(explained) == (name != "albedo")


def test_task_of_a_plugin_needs_no_words():
    task = dataclasses.replace(depth(), name="my_<task>", title="", meaning="", legend=())
    assert legends.heading(task) == "<h2>my &lt;task&gt;</h2><p></p>"
    assert legends.legend(dataclasses.replace(task, color_bar_unit=None), np.ones((1, 1))) == ""
