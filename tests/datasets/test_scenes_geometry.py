"""Ray casting of `scenes`: intersections against definitions, closed forms and brute force."""

import numpy as np
import pytest

from astmt_jax.datasets.scenes import primitives, raycast
from astmt_jax.datasets.scenes.generate import Recipe
from astmt_jax.datasets.scenes.rotations import rotation_x, rotation_z
from astmt_jax.datasets.scenes.shapes import box, capsule, ellipsoid, frustum
from astmt_jax.datasets.scenes.world import Kind, SceneObject, Texture

WHITE = Texture(np.full((2, 3), 255.0))
SHAPES = [
    (Kind.SPHERE, 0.0, 0.0),
    (Kind.BOX, 0.0, 0.0),
    (Kind.BOX, 0.4, 0.7),
    (Kind.FRUSTUM, 1.0, 0.0),
    (Kind.FRUSTUM, 0.35, 0.0),
    (Kind.FRUSTUM, 0.0, 0.0),
    (Kind.CAPSULE, 1.7, 0.0),
]


def outside(kind: Kind, p: float, q: float, point: np.ndarray) -> np.ndarray:
    """The definitions at `Kind` as a function that is positive outside a shape."""
    x, y, z = point
    if kind is Kind.SPHERE:
        return x**2 + y**2 + z**2 - 1
    if kind is Kind.BOX:
        rise = (z + 1) / 2
        return np.max([np.abs(x) - 1 + p * rise, np.abs(y) - 1 + q * rise, np.abs(z) - 1], axis=0)
    if kind is Kind.FRUSTUM:
        radius = 1 + (p - 1) * (z + 1) / 2
        return np.maximum(np.hypot(x, y) - radius, np.abs(z) - 1)
    return np.sqrt(x**2 + y**2 + np.maximum(np.abs(z) - p, 0) ** 2) - 1


def random_rays(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Rays from a distance of 6 towards points around the origin, most of which hit."""
    rng = np.random.default_rng(seed)
    origin = rng.normal(size=(3, count))
    origin *= 6 / np.linalg.norm(origin, axis=0)
    return origin, rng.uniform(-1.3, 1.3, (3, count)) - origin


@pytest.mark.parametrize(("kind", "p", "q"), SHAPES)
def test_entry_is_the_first_point_inside(kind, p, q):
    origin, direction = random_rays(200, seed=1)
    shape = np.repeat([[p], [q]], 200, axis=1)
    found = primitives.entry(kind, origin, direction, shape)

    steps = np.linspace(0, 2, 8001)
    points = origin[:, :, None] + steps * direction[:, :, None]
    inside = outside(kind, p, q, points) <= 0
    marched = np.where(inside.any(axis=1), steps[inside.argmax(axis=1)], np.inf)

    hit = np.isfinite(marched)
    assert 60 < hit.sum() < 200
    assert (found[hit] <= marched[hit]).all()
    assert (marched[hit] - found[hit] <= steps[1] + 1e-9).all()
    grazing = np.isfinite(found) & ~hit  # shorter inside than a step
    assert grazing.sum() <= 2


@pytest.mark.parametrize(("kind", "p", "q"), SHAPES)
def test_normals_are_gradients_of_the_definition(kind, p, q):
    origin, direction = random_rays(400, seed=2)
    shape = np.repeat([[p], [q]], 400, axis=1)
    found = primitives.entry(kind, origin, direction, shape)
    hit = np.isfinite(found)
    point = origin[:, hit] + found[hit] * direction[:, hit]
    normal = primitives.normal(kind, point, direction[:, hit], shape[:, hit])
    normal /= np.linalg.norm(normal, axis=0)

    gradient = np.empty_like(point)
    for axis in range(3):
        step = np.zeros((3, 1))
        step[axis] = 1e-6
        ahead, behind = outside(kind, p, q, point + step), outside(kind, p, q, point - step)
        gradient[axis] = ahead - behind
    gradient /= np.linalg.norm(gradient, axis=0)
    np.testing.assert_allclose((normal * gradient).sum(axis=0), 1, atol=1e-6)


def test_misses_and_starts_inside():
    shape = np.zeros((2, 2))
    aside = np.array([[3.0, 0], [0, 0], [-5, 0]])  # the first passes by, the second starts inside
    up = np.array([[0.0, 0], [0, 0], [1, 1]])
    found = primitives.entry(Kind.SPHERE, aside, up, shape)
    assert found[0] == np.inf
    assert found[1] == -1
    found = primitives.entry(Kind.BOX, aside, up, shape)
    assert found[0] == np.inf
    assert found[1] == -1


def hit_distance(primitive, origin, towards) -> float:
    geometry = raycast.geometry_of([SceneObject(1, (primitive,))])
    column = np.array(origin, np.float32)[:, None]
    ray = np.array(towards, np.float32)[:, None]
    return float(raycast.closest(geometry, column, ray)[0][0])


def test_placed_shapes_in_closed_form():
    turned = rotation_z(0.3) @ rotation_x(0.8)
    egg = ellipsoid((1, 2, 3), (0.5, 0.8, 0.2), WHITE, turned)
    # along its third axis an ellipsoid is entered at its third radius
    assert hit_distance(egg, np.array([1, 2, 3]) + 4 * turned[:, 2], -turned[:, 2]) == (
        pytest.approx(4 - 0.2, abs=1e-5)
    )
    crate = box((0, 5, 0), (1, 0.5, 2), WHITE)
    assert hit_distance(crate, (0.9, 0, 1.9), (0, 1, 0)) == pytest.approx(4.5, abs=1e-5)
    assert hit_distance(crate, (1.1, 0, 1.9), (0, 1, 0)) == np.inf
    pencil = capsule((0, 0, 0), (3, 0, 0), 0.25, WHITE)
    assert hit_distance(pencil, (5, 0, 0), (-1, 0, 0)) == pytest.approx(2 - 0.25, abs=1e-5)
    assert hit_distance(pencil, (1.3, 0, 2), (0, 0, -1)) == pytest.approx(2 - 0.25, abs=1e-5)
    bucket = frustum((0, 0, 0), (0, 0, 2), (1.0, 0.5), WHITE)
    assert hit_distance(bucket, (5, 0, 1), (-1, 0, 0)) == pytest.approx(5 - 0.75, abs=1e-5)
    assert hit_distance(bucket, (0.4, 0, 9), (0, 0, -1)) == pytest.approx(7, abs=1e-5)


def brute_force(objects, origin, direction) -> tuple[np.ndarray, np.ndarray]:
    """First hits by solving every ray with every primitive, in double precision."""
    found = []
    for part in (part for thing in objects for part in thing.primitives):
        inverse = np.linalg.inv(part.axes)
        shape = np.repeat(np.array(part.shape)[:, None], direction.shape[1], axis=1)
        start = inverse @ (np.broadcast_to(origin, direction.shape) - part.centre[:, None])
        t = primitives.entry(part.kind, start, inverse @ direction, shape)
        found.append(np.where(t > 1e-4, t, np.inf))
    return np.min(found, axis=0), np.argmin(found, axis=0)


@pytest.mark.parametrize("index", [0, 4])  # a room and a meadow
def test_culling_loses_nothing(index):
    scene, camera = Recipe(7, "train", 96).draw(index)
    y, x = np.divmod(np.arange(48 * 48), 48)
    direction = camera.rays(x, y, 48)
    origin = camera.position[:, None].astype(np.float32)
    geometry = raycast.geometry_of(scene.objects)
    distance, primitive = raycast.closest(geometry, origin, direction)
    exact, which = brute_force(scene.objects, origin.astype(float), direction.astype(float))

    assert ((primitive >= 0) == np.isfinite(exact)).mean() > 0.999
    hit = (primitive >= 0) & np.isfinite(exact)
    assert (primitive[hit] == which[hit]).mean() > 0.998  # rounding decides at silhouettes
    same = hit & (primitive == which)
    error = np.abs(distance[same] / exact[same] - 1)
    assert np.median(error) < 1e-6
    assert np.quantile(error, 0.99) < 1e-4  # rays that graze lose digits
    assert error.max() < 2e-3


@pytest.mark.parametrize("index", [0, 4])
def test_shadow_rays_agree_with_brute_force(index):
    scene, camera = Recipe(7, "train", 96).draw(index)
    y, x = np.divmod(np.arange(0, 48 * 48, 3), 48)
    direction = camera.rays(x, y, 48)
    geometry = raycast.geometry_of(scene.objects)
    origin = camera.position[:, None].astype(np.float32)
    distance, primitive = raycast.closest(geometry, origin, direction)
    hit = primitive >= 0
    point = origin + distance[hit] * direction[:, hit]
    lamp = np.array([[0.4], [1.5], [2.4]], np.float32)
    towards = lamp - point
    shadow = raycast.occluded(geometry, point, towards, 1.0)

    solid = [
        SceneObject(0, tuple(p for p in thing.primitives if p.kind is not Kind.PLANE))
        for thing in scene.objects
    ]
    exact = brute_force(solid, point.astype(float), towards.astype(float))[0] < 1
    assert 0.01 < exact.mean() < 0.99
    assert (shadow == exact).mean() > 0.995
