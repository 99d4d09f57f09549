"""Pictures against what must be in them."""

import dataclasses
import functools
from collections.abc import Callable

import numpy as np
import pytest
from matplotlib.colors import rgb_to_hsv
from PIL import Image

from astmt_jax.pictures import canvas, panels
from astmt_jax.tasks import colormaps
from astmt_jax.tasks.normals import colorize_normals
from astmt_jax.tasks.semseg import colorize_classes

BLACK, RED, GREEN, CREAM = (0, 0, 0), (128, 0, 0), (0, 128, 0), (224, 224, 192)


@dataclasses.dataclass(frozen=True)
class Record:
    """What the pictures read of a task."""

    name: str
    colorize: Callable[..., np.ndarray]
    class_names: tuple[str, ...] = ()
    color_bar_unit: str | None = None


NORMALS = Record("normals", colorize_normals)
DEPTH = Record("depth", colormaps.colorize_depth, color_bar_unit="m")
SEMSEG = Record("semseg", colorize_classes, ("background", "aeroplane", "bicycle"))


def test_enlarging_by_a_whole_number_repeats_pixels():
    colors = np.random.default_rng(0).integers(0, 256, (3, 4, 3), np.uint8)
    enlarged = canvas.resize_for_print(colors, 12, 9)
    assert (enlarged == np.kron(colors, np.ones((3, 3, 1), np.uint8))).all()


@pytest.mark.parametrize("size", [(30, 17), (7, 5), (50, 60)])
def test_resizing_keeps_the_mean_color(size):
    colors = np.random.default_rng(1).integers(0, 256, (12, 20, 3), np.uint8)
    resized = canvas.resize_for_print(colors, *size)
    assert resized.shape == (size[1], size[0], 3)
    assert np.allclose(resized.mean((0, 1)), colors.mean((0, 1)), atol=1)


def example_row(height=32, width=32, name="val_0") -> dict:
    """A row of three tasks with constant maps: any picture of it holds them as plain rectangles."""
    plane = np.zeros((height, width, 1), np.uint8)
    towards, right = np.float32([0, 0, 1]), np.float32([1, 0, 0])
    return {
        "image": np.full((height, width, 3), (10, 200, 30), np.uint8),
        "name": name,
        "predictions": {
            "normals": np.tile(towards, (height, width, 1)),
            "depth": np.full((height, width), 3, np.float32),
            "semseg": plane[..., 0] + 2,
        },
        "truths": {
            "normals": np.tile(right, (height, width, 1)),
            "depth": np.linspace(2, 8, height * width, dtype=np.float32).reshape(height, width, 1),
            "semseg": plane,
        },
    }


def rectangle(picture: np.ndarray, color) -> tuple[int, int, int, int]:
    """(left, top, width, height) of the pixels of one colour; they must fill their bounding box."""
    ys, xs = np.nonzero((picture == color).all(-1))
    left, top, width, height = xs.min(), ys.min(), np.ptp(xs) + 1, np.ptp(ys) + 1
    assert width * height == len(xs)
    return left, top, width, height


@pytest.mark.parametrize(("height", "width"), [(32, 32), (300, 400)])
def test_prediction_stands_above_truth_beside_the_image(height, width):
    picture = panels.draw([example_row(height, width)], [NORMALS])
    image = rectangle(picture, (10, 200, 30))
    prediction = rectangle(picture, (128, 128, 255))
    truth = rectangle(picture, (255, 128, 128))
    assert prediction[2:] == truth[2:]
    assert prediction[3] == round(prediction[2] * height / width)
    assert prediction[0] == truth[0] > image[0] + image[2]
    assert prediction[1] == image[1]
    assert truth[1] > prediction[1] + prediction[3]
    assert truth[1] + truth[3] == image[1] + image[3]


def test_tasks_stand_in_the_order_given_and_rows_below_each_other():
    one = panels.draw([example_row()], [NORMALS, SEMSEG])
    swapped = panels.draw([example_row()], [SEMSEG, NORMALS])
    normals_left = rectangle(one, (128, 128, 255))[0]
    assert rectangle(swapped, (128, 128, 255))[0] > normals_left
    assert one.shape == swapped.shape
    two = panels.draw([example_row(), example_row()], [NORMALS, SEMSEG])
    assert two.shape[1] == one.shape[1]
    assert two.shape[0] > one.shape[0] + 2 * panels.CELL


def test_seven_tasks_fit_a_page():
    tasks = [NORMALS, DEPTH, SEMSEG]
    many = [dataclasses.replace(NORMALS, name=f"task{i}") for i in range(4)]
    row = example_row()
    for kind in ("predictions", "truths"):
        row[kind] |= {task.name: row[kind]["normals"] for task in many}
    assert 1500 < panels.draw([row], tasks + many).shape[1] < 1700


def test_picture_is_white_and_opaque_and_saved_as_returned(tmp_path):
    """Where a link has that name, what it leads to stays as it is."""
    path = tmp_path / "panels.png"
    (tmp_path / "precious").write_text("mine")
    path.symlink_to(tmp_path / "precious")
    picture = panels.draw([example_row()], [SEMSEG], path)
    assert (tmp_path / "precious").read_text() == "mine"
    assert picture.dtype == np.uint8
    assert (picture[0] == 255).all()
    assert (picture[-1] == 255).all()
    with Image.open(path) as saved:
        assert (np.asarray(saved) == picture).all()


def swatches(picture: np.ndarray, color) -> int:
    """How many separate squares of a colour stand below the maps."""
    below = rectangle(picture, (10, 200, 30))
    legend = picture[below[1] + below[3] :]
    columns = (legend == color).all(-1).sum(0) >= canvas.SWATCH // 2
    return int((np.diff(columns.astype(int), prepend=0) == 1).sum())


def test_legend_names_the_classes_that_occur_and_no_other():
    picture = panels.draw([example_row()], [SEMSEG])
    assert swatches(picture, BLACK) == 1
    assert swatches(picture, GREEN) == 1
    assert swatches(picture, RED) == 0
    assert swatches(picture, CREAM) == 0
    row = example_row()
    row["truths"]["semseg"][0] = 255
    assert swatches(panels.draw([row], [SEMSEG]), CREAM) == 1


def test_class_without_a_name_is_refused():
    row = example_row()
    row["predictions"]["semseg"][0, 0] = 3
    with pytest.raises(ValueError, match=r"class 3 of task 'semseg' has no name.*0\.\.2"):
        panels.draw([row], [SEMSEG])


def test_depth_prediction_is_on_the_scale_of_the_truth_with_a_color_bar():
    row = example_row()
    picture = panels.draw([row], [DEPTH])
    expected = colormaps.colorize_depth(np.float32([[3]]), (2, 8))[0, 0]
    matches = (picture == expected).all(-1)
    columns = np.flatnonzero(matches.sum(0) >= panels.CELL)
    assert len(columns) >= panels.CELL
    colorful = rgb_to_hsv(picture / 255)[..., 1] > 0.3
    right_of_map = colorful[:, columns.max() + 3 :]
    bar = right_of_map.sum(0).max()
    assert bar >= 2 * panels.CELL
    without = panels.draw([row], [NORMALS])
    assert without.shape[1] < picture.shape[1]


def test_colors_made_from_others_keep_their_color_bar():
    """The colour bar belongs to the task, not to the function that makes the colours."""
    colorize = functools.partial(colormaps.colorize_depth)
    partial = panels.draw([example_row()], [dataclasses.replace(DEPTH, colorize=colorize)])
    assert (partial == panels.draw([example_row()], [DEPTH])).all()


def test_depth_without_valid_truth_takes_the_scale_of_the_prediction():
    row = example_row()
    row["truths"]["depth"][:] = 0
    row["predictions"]["depth"][0] = 6
    picture = panels.draw([row], [DEPTH])
    nearest = colormaps.colorize_depth(np.float32([[3, 6]]))[0, 0]
    assert (picture == nearest).all(-1).sum() > panels.CELL**2 / 2


def test_predictions_alone_stand_beside_the_image():
    row = example_row()
    del row["truths"]
    picture = panels.draw([row], [NORMALS, DEPTH], lines=("",), cell=200)
    image = rectangle(picture, (10, 200, 30))
    prediction = rectangle(picture, (128, 128, 255))
    assert image[1:] == prediction[1:]
    assert image[2:] == (200, 200)
    assert prediction[0] > image[0] + image[2]


@pytest.mark.parametrize(
    ("size", "expected"),
    [((100, 100), (50, 50)), ((300, 400), (50, 38)), ((400, 100), (25, 100)), ((1, 999), (50, 1))],
)
def test_tall_maps_are_drawn_narrower(size, expected):
    assert canvas.map_size(size, 50) == expected
    row = example_row(*size)
    picture = panels.draw([row], [NORMALS], cell=50)
    assert rectangle(picture, (128, 128, 255))[2:] == expected


def test_names_are_written_as_they_are():
    """matplotlib would take text between dollars for formulas, and refuse this one."""
    panels.draw([example_row(name=r"$\frac{$ & ^_")], [NORMALS])


def test_missing_map_is_named():
    row = example_row(name="val_7")
    del row["truths"]["depth"]
    with pytest.raises(ValueError, match="image 'val_7' has no truths for depth"):
        panels.draw([row], [NORMALS, DEPTH])


def test_normalised_image_is_refused():
    row = example_row() | {"image": np.zeros((32, 32, 3), np.float32)}
    with pytest.raises(ValueError, match=r"image 'val_0' is float32 \(32, 32, 3\)"):
        panels.draw([row], [NORMALS])


@pytest.mark.parametrize(("rows", "tasks"), [([], [NORMALS]), ([example_row()], [])])
def test_nothing_to_show_is_refused(rows, tasks):
    with pytest.raises(ValueError, match="one of each is needed"):
        panels.draw(rows, tasks)
