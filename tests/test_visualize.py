"""Colours against published tables and closed forms, pictures against what must be in them."""

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
from matplotlib.colors import rgb_to_hsv
from PIL import Image
from skimage.color import rgb2lab

from astmt_jax import visualize

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


@dataclasses.dataclass(frozen=True)
class Record:
    """What the pictures read of a task."""

    name: str
    colorize: Callable[..., np.ndarray]
    class_names: tuple[str, ...] = ()


NORMALS = Record("normals", visualize.colorize_normals)
DEPTH = Record("depth", visualize.colorize_depth)
SEMSEG = Record("semseg", visualize.colorize_classes, ("background", "aeroplane", "bicycle"))


@pytest.mark.parametrize(("index", "color"), VOC_COLORS.items())
def test_classes_have_the_published_voc_colors(index, color):
    colors = visualize.colorize_classes(np.full((2, 3, 1), index, np.uint8))
    assert colors.dtype == np.uint8
    assert colors.shape == (2, 3, 3)
    assert (colors == color).all()


def test_voc_palette_has_a_color_of_its_own_for_every_id():
    assert len(np.unique(visualize.voc_palette(), axis=0)) == 256


def test_parts_are_told_apart():
    parts = visualize.colorize_parts(np.arange(7, dtype=np.uint8)[None])
    lab = rgb2lab(parts)[0]
    distances = np.linalg.norm(lab[:, None] - lab[None], axis=-1)[np.triu_indices(7, 1)]
    assert distances.min() > 20  # nearly ten times what the eye just notices
    assert (visualize.colorize_parts(np.full((1, 1), 255)) == CREAM).all()


def test_unknown_part_is_refused():
    with pytest.raises(ValueError, match="human part 7 is unknown"):
        visualize.colorize_parts(np.full((1, 1), 7))


@pytest.mark.parametrize(
    ("vector", "color"),
    [
        ((1, 0, 0), (255, 128, 128)),
        ((-1, 0, 0), (0, 128, 128)),
        ((0, 1, 0), (128, 255, 128)),
        ((0, 0, 1), (128, 128, 255)),
        ((0.28, -0.96, 0), (163, 5, 128)),
        ((0, 0, 0), visualize.INVALID_NORMAL_COLOR),
        ((255, 255, 255), visualize.INVALID_NORMAL_COLOR),
    ],
)
def test_normals_are_mapped_from_the_cube_to_rgb(vector, color):
    values = np.tile(np.float32(vector), (2, 2, 1))
    assert (visualize.colorize_normals(values) == color).all()


def test_edges_are_dark_on_white_and_saliency_white_on_black():
    values = np.float32([[0, 1, 0.2, 255]])
    edges = visualize.colorize_edges(values)
    assert edges[0].tolist() == [[255] * 3, [0] * 3, [204] * 3, list(CREAM)]
    saliency = visualize.colorize_saliency(values[..., None])
    assert saliency[0].tolist() == [[0] * 3, [255] * 3, [51] * 3, list(CREAM)]
    labels = np.uint8([[0, 1, 255]])
    assert (visualize.colorize_edges(labels) == edges[:, [0, 1, 3]]).all()


def test_albedo_is_shown_as_it_is():
    values = np.float32([[(0, 0.5, 1), (-1, 2, 0.2), (255, 255, 255)]])
    colors = visualize.colorize_albedo(values)
    assert colors[0].tolist() == [[0, 128, 255], [0, 255, 51], list(CREAM)]


def test_depth_goes_through_viridis_in_equal_steps_of_ratio():
    depth = np.geomspace(1, 32, 6, dtype=np.float32)[None]
    viridis = ["440154", "414487", "2a788e", "22a884", "7ad151", "fde725"]  # as published
    colors = visualize.colorize_depth(depth, (1, 32))[0]
    assert [bytes(color).hex() for color in colors] == viridis


def test_depth_color_depends_on_the_range_given_and_is_clipped_to_it():
    first = visualize.colorize_depth(np.float32([[2, 4, 8]]), (2, 8))
    second = visualize.colorize_depth(np.float32([[-1, 1, 4, 100]]), (2, 8))
    assert (second[0] == first[0, [0, 0, 1, 2]]).all()
    assert (visualize.colorize_depth(np.float32([[2, 4, 8]])) == first).all()


def test_invalid_depth_is_black_and_outside_the_range():
    depth = np.float32([[0, 255, np.nan, np.inf, 3, 5]])[..., None]
    colors = visualize.colorize_depth(depth)
    assert (colors[0, :4] == 0).all()
    assert (colors[0, 4:].max(-1) > 0).all()
    assert visualize.depth_range(depth) == (3, 5)
    assert visualize.depth_range(np.zeros((2, 2))) is None
    assert (visualize.colorize_depth(np.zeros((2, 2))) == 0).all()


@pytest.mark.parametrize(
    ("colorize", "shape"),
    [
        (visualize.colorize_classes, (2, 2, 3)),
        (visualize.colorize_depth, (2,)),
        (visualize.colorize_normals, (2, 2, 1)),
        (visualize.colorize_albedo, (2, 2)),
    ],
)
def test_map_of_another_shape_is_refused(colorize, shape):
    with pytest.raises(ValueError, match="is needed"):
        colorize(np.zeros(shape, np.uint8))


def test_enlarging_by_a_whole_number_repeats_pixels():
    colors = np.random.default_rng(0).integers(0, 256, (3, 4, 3), np.uint8)
    enlarged = visualize.resize_for_print(colors, 12, 9)
    assert (enlarged == np.kron(colors, np.ones((3, 3, 1), np.uint8))).all()


@pytest.mark.parametrize("size", [(30, 17), (7, 5), (50, 60)])
def test_resizing_keeps_the_mean_color(size):
    colors = np.random.default_rng(1).integers(0, 256, (12, 20, 3), np.uint8)
    resized = visualize.resize_for_print(colors, *size)
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
    picture = visualize.panels([example_row(height, width)], [NORMALS])
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
    one = visualize.panels([example_row()], [NORMALS, SEMSEG])
    swapped = visualize.panels([example_row()], [SEMSEG, NORMALS])
    normals_left = rectangle(one, (128, 128, 255))[0]
    assert rectangle(swapped, (128, 128, 255))[0] > normals_left
    assert one.shape == swapped.shape
    two = visualize.panels([example_row(), example_row()], [NORMALS, SEMSEG])
    assert two.shape[1] == one.shape[1]
    assert two.shape[0] > one.shape[0] + 2 * visualize.CELL


def test_seven_tasks_fit_a_page():
    tasks = [NORMALS, DEPTH, SEMSEG]
    many = [dataclasses.replace(NORMALS, name=f"task{i}") for i in range(4)]
    row = example_row()
    for kind in ("predictions", "truths"):
        row[kind] |= {task.name: row[kind]["normals"] for task in many}
    assert 1500 < visualize.panels([row], tasks + many).shape[1] < 1700


def test_picture_is_white_and_opaque_and_saved_as_returned(tmp_path):
    path = tmp_path / "panels.png"
    picture = visualize.panels([example_row()], [SEMSEG], path)
    assert picture.dtype == np.uint8
    assert (picture[0] == 255).all()
    assert (picture[-1] == 255).all()
    with Image.open(path) as saved:
        assert (np.asarray(saved) == picture).all()


def swatches(picture: np.ndarray, color) -> int:
    """How many separate squares of a colour stand below the maps."""
    below = rectangle(picture, (10, 200, 30))
    legend = picture[below[1] + below[3] :]
    columns = (legend == color).all(-1).sum(0) >= visualize.SWATCH // 2
    return int((np.diff(columns.astype(int), prepend=0) == 1).sum())


def test_legend_names_the_classes_that_occur_and_no_other():
    picture = visualize.panels([example_row()], [SEMSEG])
    assert swatches(picture, VOC_COLORS[0]) == 1
    assert swatches(picture, VOC_COLORS[2]) == 1
    assert swatches(picture, VOC_COLORS[1]) == 0
    assert swatches(picture, CREAM) == 0
    row = example_row()
    row["truths"]["semseg"][0] = 255
    assert swatches(visualize.panels([row], [SEMSEG]), CREAM) == 1


def test_class_without_a_name_is_refused():
    row = example_row()
    row["predictions"]["semseg"][0, 0] = 3
    with pytest.raises(ValueError, match=r"class 3 of task 'semseg' has no name.*0\.\.2"):
        visualize.panels([row], [SEMSEG])


def test_depth_prediction_is_on_the_scale_of_the_truth_with_a_color_bar():
    row = example_row()
    picture = visualize.panels([row], [DEPTH])
    expected = visualize.colorize_depth(np.float32([[3]]), (2, 8))[0, 0]
    matches = (picture == expected).all(-1)
    columns = np.flatnonzero(matches.sum(0) >= visualize.CELL)
    assert len(columns) >= visualize.CELL
    colorful = rgb_to_hsv(picture / 255)[..., 1] > 0.3
    right_of_map = colorful[:, columns.max() + 3 :]
    bar = right_of_map.sum(0).max()
    assert bar >= 2 * visualize.CELL
    without = visualize.panels([row], [NORMALS])
    assert without.shape[1] < picture.shape[1]


def test_depth_without_valid_truth_takes_the_scale_of_the_prediction():
    row = example_row()
    row["truths"]["depth"][:] = 0
    row["predictions"]["depth"][0] = 6
    picture = visualize.panels([row], [DEPTH])
    nearest = visualize.colorize_depth(np.float32([[3, 6]]))[0, 0]
    assert (picture == nearest).all(-1).sum() > visualize.CELL**2 / 2


def test_predictions_alone_stand_beside_the_image():
    row = example_row()
    del row["truths"]
    picture = visualize.panels([row], [NORMALS, DEPTH], lines=("",), cell=200)
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
    assert visualize.map_size(size, 50) == expected
    row = example_row(*size)
    picture = visualize.panels([row], [NORMALS], cell=50)
    assert rectangle(picture, (128, 128, 255))[2:] == expected


def test_names_are_written_as_they_are():
    """matplotlib would take text between dollars for formulas, and refuse this one."""
    visualize.panels([example_row(name=r"$\frac{$ & ^_")], [NORMALS])


def test_missing_map_is_named():
    row = example_row(name="val_7")
    del row["truths"]["depth"]
    with pytest.raises(ValueError, match="image 'val_7' has no truths for depth"):
        visualize.panels([row], [NORMALS, DEPTH])


def test_normalised_image_is_refused():
    row = example_row() | {"image": np.zeros((32, 32, 3), np.float32)}
    with pytest.raises(ValueError, match=r"image 'val_0' is float32 \(32, 32, 3\)"):
        visualize.panels([row], [NORMALS])


@pytest.mark.parametrize(("rows", "tasks"), [([], [NORMALS]), ([example_row()], [])])
def test_nothing_to_show_is_refused(rows, tasks):
    with pytest.raises(ValueError, match="one of each is needed"):
        visualize.panels(rows, tasks)
