"""Augmentation against a warp written pixel by pixel, closed forms and invariants."""

import math

import numpy as np
import pytest

from astmt_jax.config import NORMALIZATIONS, AugmentationConfig
from astmt_jax.labels import IGNORE
from astmt_jax.pipeline import augment, warp
from astmt_jax.pipeline.geometries import mark_ignored
from astmt_jax.pipeline.warp import Motion

GEOMETRIES = {
    "edge": "label",
    "semseg": "label",
    "human_parts": "foreground",
    "normals": "normals",
    "sal": "label",
    "depth": "depth",
    "albedo": "linear",
}
MOTIONS = {
    "identity": Motion(),
    "flip": Motion(flip=True),
    "rotation": Motion(rotation=17.3),
    "zoom in": Motion(zoom=1.37),
    "zoom out": Motion(zoom=0.71),
    "all": Motion(flip=True, rotation=-13.7, zoom=1.21),
}


@pytest.fixture
def random():
    return np.random.default_rng(5)


def make_example(random, height, width):
    normals = random.normal(size=(height, width, 3))
    normals /= np.linalg.norm(normals, axis=-1, keepdims=True)
    normals[random.random((height, width)) < 0.2] = 0
    depth = random.uniform(1, 9, (height, width, 1))
    depth[random.random((height, width)) < 0.2] = 0
    albedo = random.random((height, width, 3))
    albedo[random.random((height, width)) < 0.2] = IGNORE
    example = {
        "image": random.integers(0, 256, (height, width, 3)),
        "edge": random.integers(0, 2, (height, width, 1)),
        "semseg": random.choice([0, 3, 20, IGNORE], (height, width, 1)),
        "human_parts": random.integers(0, 7, (height, width, 1)),
        "normals": normals,
        "sal": random.integers(0, 2, (height, width, 1)),
        "depth": depth,
        "albedo": albedo,
    }
    values = {"normals", "depth", "albedo"}
    return {k: v.astype(np.float32 if k in values else np.uint8) for k, v in example.items()}


def marked(name, label):
    """A label with `IGNORE` where it is unknown, as the losses want it."""
    unknown = (label == 0).all(axis=-1, keepdims=True) & (name in ("normals", "depth"))
    return np.where(unknown, IGNORE, label)


def source_positions(height, width, size, motion):
    """Yields (row, column, y, x): output pixels and where they come from, in source pixel edges.

    Built forwards, as 3x3 matrices on homogeneous column vectors (x, y, 1), then inverted.
    """

    def translation(x, y):
        return np.array([[1, 0, x], [0, 1, y], [0, 0, 1.0]])

    c, s = math.cos(math.radians(motion.rotation)), math.sin(math.radians(motion.rotation))
    flip = np.array([[-1, 0, width], [0, 1, 0], [0, 0, 1.0]]) if motion.flip else np.eye(3)
    # Counter-clockwise on a screen whose y points down: right (1, 0) becomes up (c, -s).
    rotation = np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]])
    zoom = np.diag([motion.zoom, motion.zoom, 1])
    centre = translation(width / 2, height / 2)
    resize = np.diag([size / width, size / height, 1])
    forward = resize @ centre @ zoom @ rotation @ np.linalg.inv(centre) @ flip
    backward = np.linalg.inv(forward)
    for row in range(size):
        for column in range(size):
            x, y, _ = backward @ [column + 0.5, row + 0.5, 1]
            yield row, column, y, x


def neighbours(y, x, height, width):
    """The four pixels around a position and their bilinear weights, at the border clamped."""
    top, left = math.floor(y - 0.5), math.floor(x - 0.5)
    down, right = y - 0.5 - top, x - 0.5 - left
    for row, row_weight in ((top, 1 - down), (top + 1, down)):
        for column, column_weight in ((left, 1 - right), (left + 1, right)):
            clamped = min(max(row, 0), height - 1), min(max(column, 0), width - 1)
            yield clamped, row_weight * column_weight


def brute_force(example, size, motion):
    """Every map of the example moved, one output pixel after the other, in float64."""
    height, width = example["image"].shape[:2]
    moved = {k: np.zeros((size, size, v.shape[-1])) for k, v in example.items()}
    for name in ("normals", "depth", "albedo"):
        moved[name][:] = IGNORE
    c, s = math.cos(math.radians(motion.rotation)), math.sin(math.radians(motion.rotation))
    for row, column, y, x in source_positions(height, width, size, motion):
        if not (0 <= x < width and 0 <= y < height):
            continue
        for name in ("edge", "semseg", "human_parts", "sal"):
            moved[name][row, column] = example[name][math.floor(y), math.floor(x)]
        around = list(neighbours(y, x, height, width))
        moved["image"][row, column] = sum(w * example["image"][p] for p, w in around)
        for name in ("normals", "depth", "albedo"):
            unknown = IGNORE if name == "albedo" else 0
            known = [(p, w) for p, w in around if np.any(example[name][p] != unknown)]
            weight = sum(w for _, w in known)
            if weight < 0.5:
                continue
            value = sum(w * example[name][p].astype(float) for p, w in known) / weight
            if name == "depth" and motion.depth_scaling:
                value = value / motion.zoom
            if name == "normals":
                nx, ny, nz = value * [-1 if motion.flip else 1, 1, 1]
                value = np.array([c * nx + s * ny, -s * nx + c * ny, nz])
                value /= np.linalg.norm(value)
            moved[name][row, column] = value
    return moved


@pytest.mark.parametrize("motion", MOTIONS.values(), ids=MOTIONS)
@pytest.mark.parametrize(("height", "width", "size"), [(17, 23, 24), (33, 21, 37)])
def test_every_map_agrees_with_a_brute_force_warp(random, monkeypatch, motion, height, width, size):
    monkeypatch.setattr(warp, "BAND", 16)  # several bands, the last one shorter
    example = make_example(random, height, width)
    moved = augment.move(example, GEOMETRIES, size, motion)
    for name, expected in brute_force(example, size, motion).items():
        # Positions are float32: their rounding counts 255 times for image values.
        tolerance = 5e-3 if name == "image" else 1e-4
        np.testing.assert_allclose(moved[name], expected, rtol=0, atol=tolerance, err_msg=name)


def test_dtypes_stay_and_the_image_becomes_float(random):
    example = make_example(random, 9, 12)
    moved = augment.move(example, GEOMETRIES, 16, MOTIONS["all"])
    assert moved.pop("image").dtype == np.float32
    assert {k: v.dtype for k, v in moved.items()} == {k: example[k].dtype for k in moved}
    assert all(v.shape == (16, 16, example[k].shape[-1]) for k, v in moved.items())


def test_no_motion_at_the_same_size_changes_nothing(random):
    example = make_example(random, 24, 24)
    moved = augment.move(example, GEOMETRIES, 24, Motion())
    normals = moved.pop("normals")
    for name in moved:
        np.testing.assert_array_equal(moved[name], marked(name, example[name]), err_msg=name)
    expected = marked("normals", example["normals"])
    np.testing.assert_allclose(normals, expected, rtol=0, atol=1e-6)


def test_flip_mirrors_exactly_and_negates_x(random):
    example = make_example(random, 24, 24)
    moved = augment.move(example, GEOMETRIES, 24, Motion(flip=True))
    normals = moved.pop("normals")
    for name in moved:
        expected = marked(name, example[name])[:, ::-1]
        np.testing.assert_array_equal(moved[name], expected, err_msg=name)
    mirrored = marked("normals", example["normals"][:, ::-1] * [-1, 1, 1])
    np.testing.assert_allclose(normals, mirrored, rtol=0, atol=1e-6)


def test_a_quarter_turn_is_counter_clockwise(random):
    example = make_example(random, 24, 24)
    motion = Motion(rotation=90)
    moved = augment.move(example, {"semseg": "label", "normals": "normals"}, 24, motion)
    np.testing.assert_array_equal(moved["semseg"], np.rot90(example["semseg"]))
    right, down, towards = np.moveaxis(np.rot90(example["normals"]), -1, 0)
    # What pointed right points up, what pointed down points right.
    turned = marked("normals", np.stack([down, -right, towards], axis=-1))
    inner = np.s_[1:-1, 1:-1]
    np.testing.assert_allclose(moved["normals"][inner], turned[inner], rtol=0, atol=1e-4)


def test_packed_normals_move_as_unpacked_ones_do(random):
    codes = random.integers(0, 256, (33, 21, 3)).astype(np.uint8)
    known = random.random((33, 21, 1)) < 0.5
    normals = (known * (2 / 255 * codes - 1)).astype(np.float32)
    packed = np.concatenate([known * codes, known * np.uint8(255)], axis=-1)
    assert packed.dtype == np.uint8
    ours, theirs = (
        augment.move({"image": codes, "normals": form}, {"normals": "normals"}, 24, MOTIONS["all"])[
            "normals"
        ]
        for form in (packed, normals)
    )
    assert 0.1 < (ours == IGNORE).mean() < 0.9
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-4)


@pytest.mark.parametrize("degrees", [-20.0, 7.5, 20.0])
def test_normals_turn_as_the_reference_implementation_turns_them(degrees):
    normal = np.array([0.48, 0.6, 0.64], np.float32)
    plane = {"image": np.zeros((30, 40, 3), np.uint8), "normals": np.tile(normal, (30, 40, 1))}
    motion = Motion(rotation=degrees)
    moved = augment.move(plane, {"normals": "normals"}, 16, motion)["normals"][8, 8]
    angle = math.atan2(normal[0], normal[1]) + math.radians(degrees)
    length = math.hypot(normal[0], normal[1])
    expected = [length * math.sin(angle), length * math.cos(angle), normal[2]]
    np.testing.assert_allclose(moved, expected, rtol=0, atol=1e-6)


def test_depth_is_divided_by_the_zoom_on_request(random):
    example = make_example(random, 24, 24)
    depth = {"depth": "depth"}
    kept = augment.move(example, depth, 24, Motion(zoom=1.25, depth_scaling=False))["depth"]
    divided = augment.move(example, depth, 24, Motion(zoom=1.25))["depth"]
    known = kept != IGNORE
    assert 0.5 < known.mean() < 1
    np.testing.assert_allclose(divided[known], kept[known] / 1.25, rtol=1e-6)
    assert (divided[~known] == IGNORE).all()


def cubic_weights(positions, length):
    """(out, length) weights of Keys' cubic with a = -0.75 at pixel indices, borders repeated."""
    weights = np.zeros((len(positions), length))
    for row, position in enumerate(positions):
        for tap in range(math.floor(position) - 1, math.floor(position) + 3):
            t = abs(position - tap)
            near = 1.25 * t**3 - 2.25 * t**2 + 1
            far = -0.75 * t**3 + 3.75 * t**2 - 6 * t + 3
            weights[row, min(max(tap, 0), length - 1)] += near if t <= 1 else far
    return weights


def test_cubic_resize_is_that_of_the_reference_implementation(random):
    image = random.integers(0, 256, (20, 33, 3)).astype(np.uint8)
    rows, columns = (
        cubic_weights((np.arange(26) + 0.5) * length / 26 - 0.5, length) for length in (20, 33)
    )
    expected = np.einsum("ij,jkc,lk->ilc", rows, image.astype(float), columns)
    resized = augment.resize_image(image, 26, "cubic")
    assert resized.dtype == np.float32
    np.testing.assert_allclose(resized, expected, rtol=0, atol=2e-3)


def test_strong_shrinking_averages_whole_blocks(random):
    example = make_example(random, 32, 48)
    moved = augment.move(example, {}, 8, Motion())["image"]
    blocks = example["image"].reshape(8, 4, 8, 6, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(moved, blocks, rtol=0, atol=1e-3)


def test_strong_shrinking_averages_known_values_only(random):
    example = make_example(random, 32, 48)
    moved = augment.move(example, {"depth": "depth"}, 8, Motion())["depth"]
    blocks = np.moveaxis(example["depth"].reshape(8, 4, 8, 6), 1, 2).reshape(8, 8, 24)
    expected = blocks.sum(axis=-1) / (blocks > 0).sum(axis=-1)
    np.testing.assert_allclose(moved[:, :, 0], expected, rtol=1e-5)


def test_opposite_normals_cancel_to_unknown():
    normals = np.zeros((1, 2, 3), np.float32)
    normals[0, :, 0] = [1, -1]
    example = {"image": np.zeros((1, 2, 3), np.uint8), "normals": normals}
    moved = augment.move(example, {"normals": "normals"}, 1, Motion())["normals"]
    np.testing.assert_array_equal(moved, np.full((1, 1, 3), IGNORE))


def test_people_who_leave_the_frame_leave_a_map_that_says_nothing():
    example = {"image": np.zeros((24, 24, 3), np.uint8), "human_parts": np.zeros((24, 24, 1), "u1")}
    example["human_parts"][0, 0] = 3
    geometries = {"human_parts": "foreground"}
    assert (augment.move(example, geometries, 24, Motion())["human_parts"] == 3).sum() == 1
    moved = augment.move(example, geometries, 24, Motion(zoom=2))["human_parts"]
    assert (moved == IGNORE).all()


def test_colors_are_changed_last_and_in_order(random):
    image = {"image": random.integers(0, 256, (24, 24, 3)).astype(np.uint8)}
    motion = Motion(rotation=20, zoom=0.5)
    plain = augment.move(image, {}, 24, motion)["image"]
    assert (plain == 0).all(axis=-1).any()  # outside the frame
    steps = [lambda rows: rows + np.float32(5), lambda rows: 2 * rows[..., ::-1]]
    changed = augment.move(image, {}, 24, motion, steps)["image"]
    np.testing.assert_allclose(changed, 2 * (plain + 5)[..., ::-1], rtol=0, atol=1e-4)


def test_an_augmented_example_is_moved_as_drawn_and_normalised(random):
    example = make_example(random, 24, 30)
    augmentation = AugmentationConfig()
    found = augment.augmented(
        example, GEOMETRIES, 16, "imagenet", augmentation, np.random.default_rng(7)
    )
    motion = augment.draw_motion(augmentation, np.random.default_rng(7))
    expected = augment.move(example, GEOMETRIES, 16, motion)
    mean, deviation = NORMALIZATIONS["imagenet"]
    image = (expected.pop("image") - mean) / deviation
    np.testing.assert_allclose(found.pop("image"), image, rtol=0, atol=1e-4)
    for name, label in expected.items():
        np.testing.assert_array_equal(found[name], label)


def test_an_unlabelled_map_stays_unlabelled_outside_the_frame(random):
    example = make_example(random, 24, 24)
    example["edge"][:] = IGNORE
    example["albedo"][:] = IGNORE
    moved = augment.move(example, GEOMETRIES, 24, Motion(rotation=20, zoom=0.5))
    assert (moved["edge"] == IGNORE).all()
    assert (moved["albedo"] == IGNORE).all()


def test_nothing_is_known_around_classes_without_a_background(random):
    example = make_example(random, 24, 24)
    example["edge"][:] = 1
    motion = Motion(rotation=20, zoom=0.5)
    as_label, framed = (
        augment.move(example, {"edge": "label", "semseg": geometry}, 24, motion)
        for geometry in ("label", "framed")
    )
    outside = as_label["edge"] == 0
    assert 0 < outside.mean() < 1
    assert (framed["semseg"][outside] == IGNORE).all()
    np.testing.assert_array_equal(framed["semseg"][~outside], as_label["semseg"][~outside])


def test_ignore_rules(random):
    example = make_example(random, 12, 12)
    labels = {name: example[name] for name in GEOMETRIES}
    before = {name: label.copy() for name, label in labels.items()}
    marked = mark_ignored(labels, GEOMETRIES)
    for name in ("edge", "semseg", "human_parts", "sal", "albedo"):
        np.testing.assert_array_equal(marked[name], before[name])
    for name in ("normals", "depth"):
        unknown = (before[name] == 0).all(axis=-1)
        assert unknown.any()
        assert (marked[name][unknown] == IGNORE).all()
        np.testing.assert_array_equal(marked[name][~unknown], before[name][~unknown])
        np.testing.assert_array_equal(labels[name], before[name])


def test_only_human_parts_without_a_person_are_ignored():
    empty = np.zeros((6, 6, 1), np.uint8)
    names = ("edge", "semseg", "human_parts", "sal")
    geometries = dict.fromkeys(names, "label") | {"human_parts": "foreground"}
    marked = mark_ignored(dict.fromkeys(names, empty), geometries)
    assert (marked.pop("human_parts") == IGNORE).all()
    assert all((label == 0).all() for label in marked.values())


def test_draws_cover_the_distribution_and_nothing_else(random):
    augmentation = AugmentationConfig(rotation=15, scale=(0.8, 1.5), depth_scaling=False)
    motions = [augment.draw_motion(augmentation, random) for _ in range(2000)]
    assert 0.45 < np.mean([motion.flip for motion in motions]) < 0.55
    for values, low, high in (
        ([motion.rotation for motion in motions], -15, 15),
        ([motion.zoom for motion in motions], 0.8, 1.5),
    ):
        assert low <= min(values) < low + 0.02 * (high - low)
        assert high - 0.02 * (high - low) < max(values) <= high
        assert abs(np.mean(values) - (low + high) / 2) < 0.03 * (high - low)
    assert not any(motion.depth_scaling for motion in motions)


def test_switched_off_augmentation_draws_no_motion(random):
    off = AugmentationConfig(flip=False, rotation=0, scale=(1, 1))
    assert augment.draw_motion(off, random) == Motion()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("rotation", -1),
        ("rotation", 200),
        ("scale", (1.2, 0.8)),
        ("scale", (0, 1)),
        ("scale", (1,)),
    ],
)
def test_impossible_augmentation_is_refused(field, value):
    with pytest.raises(ValueError, match=f"augmentation.{field} is"):
        AugmentationConfig(**{field: value})
