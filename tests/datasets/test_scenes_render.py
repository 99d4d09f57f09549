"""Pictures and labels of `scenes`: agreement of geometry, labels, rotation, mirroring and depth."""

import dataclasses

import numpy as np
import pytest
from scipy import ndimage
from skimage.morphology import thin

from astmt_jax.datasets.scenes import raycast
from astmt_jax.datasets.scenes.generate import Recipe
from astmt_jax.datasets.scenes.renderer import MAX_DEPTH, render
from astmt_jax.datasets.scenes.sample import CATEGORIES, sample_camera, sample_scene
from astmt_jax.datasets.scenes.shapes import box
from astmt_jax.datasets.scenes.world import Pattern, Scene, SceneObject, Texture
from astmt_jax.pipeline import augment
from astmt_jax.pipeline.warp import Motion

SIZE = 128
LABELS = ("semseg", "human_parts", "sal", "label_map")
DTYPES = {
    "image": np.uint8,
    "edge": np.uint8,
    "semseg": np.uint8,
    "human_parts": np.uint8,
    "normals": np.float32,
    "sal": np.uint8,
    "depth": np.float32,
    "albedo": np.float32,
    "label_map": np.int32,
}


def scene_and_camera(index: int):
    return Recipe(5, "val", SIZE).draw(index)


@pytest.fixture(scope="module")
def examples() -> list[dict[str, np.ndarray]]:
    """Eight noiseless examples, indoors and outdoors, with and without people."""
    found = [render(*scene_and_camera(index), SIZE, noise=False) for index in range(8)]
    people = [example["human_parts"].any() for example in found]
    sky = [(example["label_map"] == 0).any() for example in found]
    assert any(people)
    assert not all(people)
    assert any(sky)
    assert not all(sky)
    return found


def rotated(example: dict[str, np.ndarray], degrees: float) -> dict[str, np.ndarray]:
    """An example turned counter-clockwise about (width / 2, height / 2) as augmentation does.

    Linear maps are NaN where the source is outside the frame, label maps 0.
    """
    angle = np.deg2rad(degrees)
    c, s = np.cos(angle), np.sin(angle)
    to_source = np.array([[c, s], [-s, c]])  # on (row, column)

    def turned(values: np.ndarray, order: int) -> np.ndarray:
        centre = np.array(values.shape[:2]) / 2
        shift = centre - to_source @ centre
        outside = 0 if order == 0 else np.nan
        planes = [
            ndimage.affine_transform(plane, to_source, shift, order=order, cval=outside)
            for plane in values.astype(np.float64).transpose(2, 0, 1)
        ]
        return np.stack(planes, axis=-1)

    result = {key: turned(example[key], 0) for key in LABELS}
    result |= {key: turned(example[key], 1) for key in ("image", "albedo", "depth")}
    normals = turned(example["normals"], 1)
    normals /= np.maximum(np.linalg.norm(normals, axis=-1, keepdims=True), 1e-12)
    across = np.hypot(normals[..., 0], normals[..., 1])
    heading = np.arctan2(normals[..., 0], normals[..., 1]) + angle
    x, y = np.sin(heading) * across, np.cos(heading) * across
    return result | {"normals": np.stack([x, y, normals[..., 2]], axis=-1)}


def augmented(example: dict[str, np.ndarray], degrees: float) -> dict[str, np.ndarray]:
    """The same by `augment.move`."""
    geometries = dict.fromkeys(LABELS, "label") | {
        "depth": "depth",
        "normals": "normals",
        "albedo": "linear",
    }
    motion = Motion(rotation=degrees)
    maps = example | {"label_map": example["label_map"].astype(np.float32)}
    return augment.move(maps, geometries, SIZE, motion)


# Functions (example, degrees) -> example, and the fixed point of each in parts of the width.
ROTATIONS = [(rotated, (SIZE / 2 + 0.5) / SIZE), (augmented, 0.5)]


def spread(values: np.ndarray, radius: int) -> np.ndarray:
    """Largest minus smallest value, over channels, within `radius` pixels: (H, W)."""
    window = 2 * radius + 1
    low = ndimage.minimum_filter(values, (window, window, 1))
    high = ndimage.maximum_filter(values, (window, window, 1))
    return (high - low).max(axis=-1)


def surfaces(scene, camera) -> np.ndarray:
    """The primitive that each pixel sees, -1 for sky: (SIZE, SIZE, 1) int."""
    y, x = np.divmod(np.arange(SIZE * SIZE), SIZE)
    origin = camera.position[:, None].astype(np.float32)
    geometry = raycast.geometry_of(scene.objects)
    return raycast.closest(geometry, origin, camera.rays(x, y, SIZE))[1].reshape(SIZE, SIZE, 1)


def inside_frame(degrees: float) -> np.ndarray:
    """Pixels that a rotation by `degrees` fills from within the frame, margins kept: (H, W)."""
    y, x = np.indices((SIZE, SIZE)) - SIZE / 2
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    return (np.abs(c * x - s * y) < SIZE / 2 - 3) & (np.abs(s * x + c * y) < SIZE / 2 - 3)


def degrees_between(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Angles between unit vectors (..., 3)."""
    return np.rad2deg(2 * np.arcsin(np.clip(np.linalg.norm(a - b, axis=-1) / 2, 0, 1)))


@pytest.mark.parametrize(("rotate", "middle"), ROTATIONS)
@pytest.mark.parametrize("degrees", [-17.0, 11.0])
@pytest.mark.parametrize("index", range(8))
def test_rolled_camera_equals_rotated_example(index, degrees, rotate, middle):
    scene, camera = scene_and_camera(index)
    camera = dataclasses.replace(camera, principal=(middle, middle))
    rolled = render(scene, camera.rolled(degrees), SIZE, noise=False)
    level = render(scene, camera, SIZE, noise=False)
    expected = rotate(level, degrees)

    borders = spread(surfaces(scene, camera), 2)[..., None]
    before = rotate(level | {"label_map": borders}, degrees)["label_map"][..., 0]
    after = surfaces(scene, camera.rolled(degrees))
    compared = inside_frame(degrees) & (spread(after, 2) == 0) & (before == 0)
    assert compared.mean() > 0.25
    for key in ("semseg", "human_parts", "label_map"):
        np.testing.assert_array_equal(rolled[key][compared], expected[key][compared], key)

    hit = compared & (rolled["label_map"][..., 0] > 0)
    off = degrees_between(rolled["normals"], expected["normals"])
    bend = spread(rolled["normals"], 2)
    assert off[hit & (bend < 1e-4)].max() < 0.01
    assert off[hit & (bend < 0.3)].max() < 2
    known = hit & (ndimage.minimum_filter(rolled["depth"], (5, 5, 1)) > 0)[..., 0]
    near = known & (spread(rolled["depth"], 1) < 0.2) & (bend < 0.3)
    np.testing.assert_allclose(rolled["depth"][near], expected["depth"][near], rtol=3e-3)
    for key, white in (("image", 255), ("albedo", 1)):
        difference = np.abs(rolled[key] - expected[key])[compared].max(axis=-1) / white
        variation = spread(rolled[key].astype(float), 2)[compared] / white
        assert (difference <= variation + 0.01).mean() > 0.999  # interpolation is no worse
        assert difference[variation < 0.05].mean() < 0.004


def test_saliency_does_not_change_when_the_camera_rolls():
    agreement = []
    for index in range(12):
        scene, camera = scene_and_camera(index)
        level, rolled = (
            render(scene, each, SIZE, noise=False) for each in (camera, camera.rolled(14))
        )
        before, after = rotated(level, 14), surfaces(scene, camera.rolled(14))
        compared = inside_frame(14) & (spread(after, 2) == 0)
        compared &= (before["label_map"] == rolled["label_map"])[..., 0]
        agreement.append((before["sal"] == rolled["sal"])[compared].mean())
    assert np.mean(agreement) > 0.99  # an object right at the threshold may change sides
    assert np.median(agreement) == 1


def test_mirrored_scene_equals_flipped_example(examples):
    for index, example in enumerate(examples):
        scene, camera = scene_and_camera(index)
        mirrored = render(scene.mirrored(), camera.mirrored(), SIZE, noise=False)
        flipped = {key: value[:, ::-1] for key, value in example.items()}
        flipped["normals"] = flipped["normals"] * [-1, 1, 1]
        # thinning is not symmetric, so edges are compared before it, as boundaries of label_map
        for key in (*LABELS, "albedo", "depth", "normals"):
            np.testing.assert_array_equal(mirrored[key], flipped[key], key)
        assert np.abs(mirrored["image"].astype(int) - flipped["image"]).max() <= 1


def test_normals_are_those_of_the_depth_map(examples):
    for index, example in enumerate(examples):
        scene, camera = scene_and_camera(index)
        depth = example["depth"][..., 0].astype(np.float64)
        ahead = (np.arange(SIZE) + 0.5 - SIZE / 2) / (camera.focal * SIZE)
        point = depth[..., None] * np.stack(
            [*np.meshgrid(ahead, ahead), np.ones((SIZE, SIZE))], axis=-1
        )
        down, right = np.gradient(point, axis=(0, 1))
        estimate = -np.cross(right, down) * [1, 1, -1]  # towards the camera, z reversed
        estimate /= np.maximum(np.linalg.norm(estimate, axis=-1, keepdims=True), 1e-12)

        measured = (spread(surfaces(scene, camera), 1) == 0) & (
            ndimage.minimum_filter(depth, 3) > 0
        )
        off = degrees_between(example["normals"], estimate)
        bend = spread(example["normals"], 1)
        flat, bent = measured & (bend < 1e-4), measured & (bend < 0.1)
        assert flat.sum() > 1500
        assert off[flat].max() < 0.2
        assert np.quantile(off[bent], 0.99) < 1
        assert off[bent].max() < 4  # differences across limbs that are a few pixels wide


def test_labels_are_consistent(examples):
    for index, example in enumerate(examples):
        _, camera = scene_and_camera(index)
        assert {key: value.dtype for key, value in example.items()} == DTYPES
        channels = {"image": 3, "normals": 3, "albedo": 3}
        for key, value in example.items():
            assert value.shape == (SIZE, SIZE, channels.get(key, 1)), key
        assert set(np.unique(example["semseg"])) <= {0, *CATEGORIES}
        parts = example["human_parts"]
        np.testing.assert_array_equal(parts > 0, example["semseg"] == 15)
        assert parts.max() <= 6
        assert not (example["sal"] & (example["semseg"] == 0)).any()

        sky = example["label_map"][..., 0] == 0
        length = np.linalg.norm(example["normals"], axis=-1)
        np.testing.assert_allclose(length[~sky], 1, atol=1e-6)
        assert not length[sky].any()
        assert not example["depth"][sky].any()
        assert example["depth"].min() >= 0
        assert example["depth"].max() <= MAX_DEPTH

        ahead = (np.arange(SIZE) + 0.5 - SIZE / 2) / (camera.focal * SIZE)
        x, y = np.meshgrid(ahead, ahead)
        to_camera = np.stack([-x, -y, np.ones_like(x)], axis=-1)
        assert ((example["normals"] * to_camera).sum(axis=-1)[~sky] > 0).all()


def test_each_region_has_one_class(examples):
    for example in examples:
        for region in np.unique(example["label_map"]):
            assert np.unique(example["semseg"][example["label_map"] == region]).size == 1


def test_edges_are_thinned_laplacian_of_the_regions(examples):
    kernel = np.array([[0, 1, 0], [1, -4, 1], [0, 1, 0]])
    for example in examples:
        regions = example["label_map"][..., 0].astype(np.float64)
        padded = np.pad(regions, 1, mode="reflect")
        laplacian = sum(
            kernel[i, j] * padded[i : i + SIZE, j : j + SIZE] for i in range(3) for j in range(3)
        )
        np.testing.assert_array_equal(example["edge"][..., 0], thin(laplacian != 0))
        assert 0.005 < example["edge"].mean() < 0.2


def test_most_boundaries_are_edges(examples):
    """Region ids are spaced so that the Laplacian hardly ever cancels."""
    for example in examples:
        regions = example["label_map"]
        laplacian = ndimage.laplace(regions[..., 0].astype(np.float64), mode="mirror")
        cross = np.zeros((3, 3, 1), bool)
        cross[1], cross[:, 1] = True, True
        low = ndimage.minimum_filter(regions, footprint=cross)
        boundary = (ndimage.maximum_filter(regions, footprint=cross) != low)[..., 0]
        assert (laplacian[boundary] != 0).mean() > 0.99


def two_boxes(first: tuple[float, float], second: tuple[float, float]) -> Scene:
    """A scene seen from the origin along y with two squares: (x, half size) at a distance of 4."""
    scene, _ = scene_and_camera(0)
    red, grey = (Texture(np.tile(color, (2, 1))) for color in ([255, 0, 0], [120, 120, 120]))
    wall = SceneObject(0, (box((0, 9, 0), (30, 1, 30), grey),))
    things = [
        SceneObject(7, (box((x, 4, 0), (half, 0.1, half), texture),))
        for (x, half), texture in zip((first, second), (red, red), strict=True)
    ]
    return dataclasses.replace(scene, objects=(wall, *things))


@pytest.mark.parametrize(
    ("first", "second", "salient"),
    [
        ((-0.8, 0.7), (0.8, 0.7), (True, True)),  # equals
        ((-0.8, 0.7), (0.8, 0.3), (True, False)),  # size
        ((0.1, 0.5), (1.6, 0.5), (True, False)),  # centrality
        ((-0.8, 0.02), (0.8, 0.02), (False, False)),  # too small, both
    ],
)
def test_saliency_prefers_large_central_objects(first, second, salient):
    _, camera = scene_and_camera(0)
    camera = dataclasses.replace(
        camera, position=np.zeros(3), axes=np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]]), focal=1.0
    )
    example = render(two_boxes(first, second), camera, SIZE)
    for region, expected in zip((4, 9), salient, strict=True):  # objects 1 and 2 behind the wall's
        where = example["label_map"] == region
        assert where.any()
        assert (example["sal"][where] == expected).all()


def test_albedo_is_the_texture_color_whatever_the_light():
    scene, camera = scene_and_camera(1)
    dark = dataclasses.replace(scene, lights=(), ambient=np.zeros((2, 3)))
    lit, unlit = render(scene, camera, SIZE, noise=False), render(dark, camera, SIZE, noise=False)
    surface = lit["label_map"][..., 0] > 0
    np.testing.assert_array_equal(lit["albedo"][surface], unlit["albedo"][surface])
    assert unlit["image"][ndimage.minimum_filter(surface, 3)].max() == 0
    colors = {
        tuple(np.rint(color).astype(int))
        for thing in scene.objects
        for part in thing.primitives
        for color in part.texture.colors
    }
    plain = [p.texture.pattern is not Pattern.NOISE for t in scene.objects for p in t.primitives]
    assert any(plain)
    seen = {tuple(c) for c in np.rint(lit["albedo"][surface] * 255).astype(int)}
    assert seen & colors


def test_noise_changes_the_picture_only_and_repeats():
    scene, camera = scene_and_camera(2)
    clean, noisy = (render(scene, camera, SIZE, noise=noise) for noise in (False, True))
    again = render(scene, camera, SIZE)
    for key in DTYPES:
        np.testing.assert_array_equal(noisy[key], again[key])
        if key != "image":
            np.testing.assert_array_equal(noisy[key], clean[key])
    difference = noisy["image"].astype(float) - clean["image"]
    assert 0.5 < difference.std() < 15


def test_shadows_darken():
    scene, camera = scene_and_camera(3)
    bright = dataclasses.replace(
        scene, lights=tuple(dataclasses.replace(each, casts_shadow=False) for each in scene.lights)
    )
    shadowed = render(scene, camera, SIZE, noise=False)["image"].astype(int)
    lit = render(bright, camera, SIZE, noise=False)["image"].astype(int)
    darker = (shadowed < lit - 5).any(axis=-1)
    assert 0.005 < darker.mean() < 0.7
    assert (shadowed <= lit + 40).all()  # anti-aliasing may differ by a sample


@pytest.mark.parametrize("size", [64, 127, 200])
def test_resolutions_show_the_same_scene(size):
    scene, camera = scene_and_camera(0)
    small, large = render(scene, camera, size), render(scene, camera, SIZE)
    for key in ("semseg", "sal"):
        shares = [np.mean(example[key] > 0) for example in (small, large)]
        assert shares[0] == pytest.approx(shares[1], abs=0.01)


def test_sampling_is_varied():
    rng = np.random.default_rng(0)
    scenes = [sample_scene(rng) for _ in range(30)]
    cameras = [sample_camera(rng, scene) for scene in scenes]
    counts = [sum(thing.category > 0 for thing in scene.objects) for scene in scenes]
    assert min(counts) >= 2
    assert max(counts) <= 8
    assert len(set(counts)) >= 4
    assert np.std([camera.focal for camera in cameras]) > 0.05
    pitch = [np.arcsin(camera.axes[2, 2]) for camera in cameras]
    assert np.rad2deg(np.std(pitch)) > 2
    for camera in cameras:
        np.testing.assert_allclose(camera.axes @ camera.axes.T, np.eye(3), atol=1e-12)
        assert np.linalg.det(camera.axes) == pytest.approx(1)
