"""Rooms and outdoor grounds: background structures, lights and sky around a viewpoint."""

import dataclasses

import numpy as np

from astmt_jax.datasets.scenes import paint
from astmt_jax.datasets.scenes.shapes import box, ellipsoid, frustum, plane
from astmt_jax.datasets.scenes.world import Light, SceneObject, Sky, Texture

_DAYLIGHT = np.array([1.0, 0.98, 0.94])


@dataclasses.dataclass(frozen=True)
class Surroundings:
    """Where objects can be put.

    Attributes:
      objects: background structures.
      lights: lamps and suns.
      ambient: (2, 3) linear RGB from below and above.
      sky: the sky.
      low: (2,) metres, the nearest and leftmost place (x, y) for objects.
      high: (2,) metres, the opposite place.
      eye_height: range of heights for a camera, metres.
    """

    objects: tuple[SceneObject, ...]
    lights: tuple[Light, ...]
    ambient: np.ndarray
    sky: Sky
    low: np.ndarray
    high: np.ndarray
    eye_height: tuple[float, float]


def room(rng: np.random.Generator) -> Surroundings:
    """A furnished room's shell: floor, four walls, ceiling, pictures, perhaps a rug."""
    left, right = -rng.uniform(1.7, 3.2), rng.uniform(1.7, 3.2)
    front, back = -1.6, rng.uniform(3.8, 6.5)
    height = rng.uniform(2.5, 3.1)
    wall = _wall_texture(rng)
    side_wall = wall if rng.random() < 0.6 else _wall_texture(rng)
    ceiling = paint.plain(paint.hsv(rng, (20, 60), (0, 0.06), (0.85, 0.97)))
    shell = [
        plane((0, 0, 0), (0, 0, 1), _floor_texture(rng)),
        plane((0, back, 0), (0, -1, 0), wall),
        plane((left, 0, 0), (1, 0, 0), side_wall),
        plane((right, 0, 0), (-1, 0, 0), side_wall),
        plane((0, front, 0), (0, 1, 0), wall),
        plane((0, 0, height), (0, 0, -1), ceiling),
    ]
    objects = [SceneObject(0, (part,)) for part in shell]
    objects += _pictures(rng, left, right, back)
    if rng.random() < 0.4:
        objects.append(_rug(rng, (left + right) / 2, back / 2))
    return Surroundings(
        objects=tuple(objects),
        lights=_room_lights(rng, left, right, back, height),
        ambient=rng.uniform(0.22, 0.34) * np.array([[0.85, 0.8, 0.75], [1.05, 1.05, 1.05]]),
        sky=_sky(rng),
        low=np.array([left + 0.05, 0.6]),
        high=np.array([right - 0.05, back - 0.05]),
        eye_height=(1.0, 1.75),
    )


def outdoors(rng: np.random.Generator) -> Surroundings:
    """A meadow, a road or a square under the sky, perhaps with walls, houses and trees behind."""
    far = rng.uniform(17, 26)
    objects = [SceneObject(0, (plane((0, 0, 0), (0, 0, 1), _ground_texture(rng)),))]
    style = rng.integers(3)
    if style == 0:
        objects.append(_fence(rng, far))
    elif style == 1:
        objects += _houses(rng, far)
    for _ in range(rng.integers(0, 4)):
        objects.append(_tree(rng).moved((rng.uniform(-12, 12), far - rng.uniform(1.5, 4), 0)))
    height, turn = np.deg2rad(rng.uniform(28, 65)), rng.uniform(0, 2 * np.pi)
    if np.sin(turn) > 0.3:  # mostly from behind the camera or the side
        turn = -turn
    towards = np.array(
        [np.cos(turn) * np.cos(height), np.sin(turn) * np.cos(height), np.sin(height)]
    )
    sun = Light(towards, rng.uniform(0.75, 1.1) * _DAYLIGHT, is_sun=True)
    blue = rng.uniform(0.28, 0.42) * np.array([[0.75, 0.75, 0.7], [0.9, 1.0, 1.15]])
    return Surroundings(
        objects=tuple(objects),
        lights=(sun, Light(towards * [-1, -1, 1], 0.12 * np.ones(3), True, casts_shadow=False)),
        ambient=blue,
        sky=_sky(rng),
        low=np.array([-9.0, 1.5]),
        high=np.array([9.0, far - 4.5]),
        eye_height=(1.2, 2.2),
    )


def _room_lights(rng, left, right, back, height) -> tuple[Light, ...]:
    warm = np.array([1.0, rng.uniform(0.88, 1.0), rng.uniform(0.75, 0.95)])
    x, y = rng.uniform(0.5 * left, 0.5 * right), rng.uniform(0.2, 0.6) * back
    lamp = Light(np.array([x, y, height - 0.25]), rng.uniform(0.75, 1.05) * warm)
    side = rng.choice([0.9 * left, 0.9 * right])
    window = np.array([side, rng.uniform(-1, 0.3 * back), rng.uniform(1.5, 2.2)])
    cool = rng.uniform(0.25, 0.6) * np.array([0.9, 0.97, 1.05])
    fill = Light(np.array([0.0, -1.2, 1.8]), 0.25 * _DAYLIGHT, casts_shadow=False)
    return lamp, Light(window, cool, casts_shadow=rng.random() < 0.4), fill


def _sky(rng: np.random.Generator) -> Sky:
    return Sky(
        horizon=paint.hsv(rng, (200, 225), (0.08, 0.25), (0.88, 1.0)),
        zenith=paint.hsv(rng, (205, 225), (0.45, 0.75), (0.65, 0.9)),
        cloudiness=rng.uniform(0, 0.9),
        clouds=rng.uniform(0, 50, 3),
    )


def _wall_texture(rng: np.random.Generator) -> Texture:
    color = paint.hsv(rng, (25, 230), (0.02, 0.28), (0.68, 0.95))
    style = rng.random()
    if style < 0.2:
        return paint.stripes(rng, (color, 0.88 * color), rng.uniform(0.1, 0.35), 0)
    if style < 0.35:
        return paint.noise(rng, (color, 0.85 * color), rng.uniform(0.15, 0.5))
    return paint.plain(color)


def _floor_texture(rng: np.random.Generator) -> Texture:
    style = rng.random()
    if style < 0.35:
        base = paint.pick(rng, paint.WOOD)
        return paint.noise(rng, (base, 0.7 * base), (0.12, 1.6, 1.0), 2.0, gloss=0.15)
    light = paint.hsv(rng, (20, 60), (0.02, 0.2), (0.7, 0.95))
    if style < 0.65:
        dark = light * rng.uniform(0.45, 0.8)
        return paint.checker(rng, (light, dark), rng.uniform(0.25, 0.5), gloss=0.2)
    carpet = paint.hsv(rng, (0, 360), (0.05, 0.35), (0.35, 0.75))
    return paint.noise(rng, (carpet, 0.85 * carpet), 0.06)


def _ground_texture(rng: np.random.Generator) -> Texture:
    style = rng.random()
    if style < 0.5:
        grass = paint.hsv(rng, (75, 110), (0.4, 0.65), (0.4, 0.62))
        return paint.noise(rng, (grass, 0.75 * grass), 0.35, 1.8)
    if style < 0.75:
        asphalt = paint.hsv(rng, (200, 250), (0.0, 0.08), (0.38, 0.58))
        return paint.noise(rng, (asphalt, 0.88 * asphalt), 0.25)
    slab = paint.hsv(rng, (20, 45), (0.08, 0.3), (0.6, 0.85))
    return paint.checker(rng, (slab, 0.85 * slab), rng.uniform(0.6, 1.2))


def _pictures(rng, left, right, back) -> list[SceneObject]:
    """Framed pictures and a window on the back wall."""
    frame = paint.plain(paint.hsv(rng, (20, 50), (0, 0.4), (0.15, 0.95)))
    found = []
    for x in np.arange(left + 0.7, right - 0.5, rng.uniform(1.1, 1.8)):
        if rng.random() < 0.45:
            continue
        half, tall = rng.uniform(0.18, 0.42), rng.uniform(0.2, 0.4)
        colors = [paint.hsv(rng, (0, 360), (0.2, 0.8), (0.3, 0.95)) for _ in range(2)]
        canvas = paint.noise(rng, colors, rng.uniform(0.1, 0.3), 4.0)
        middle = np.array([x, back, rng.uniform(1.55, 1.85)])
        found.append(
            SceneObject(
                0,
                (
                    box(middle, (half, 0.03, tall), frame),
                    box(middle, (half - 0.04, 0.036, tall - 0.04), canvas),
                ),
            )
        )
    return found


def _rug(rng: np.random.Generator, x: float, y: float) -> SceneObject:
    colors = [paint.hsv(rng, (0, 360), (0.2, 0.6), (0.35, 0.85)) for _ in range(2)]
    texture = paint.stripes(rng, colors, rng.uniform(0.1, 0.3), int(rng.integers(2)))
    half = (rng.uniform(0.8, 1.4), rng.uniform(0.7, 1.2), 0.008)
    return SceneObject(0, (box((x, y, 0.008), half, texture),))


def _fence(rng: np.random.Generator, far: float) -> SceneObject:
    """A long hedge, brick wall or wooden fence."""
    height = rng.uniform(1.2, 2.6)
    leaf = paint.hsv(rng, (90, 130), (0.45, 0.7), (0.22, 0.42))
    brick = paint.hsv(rng, (8, 25), (0.35, 0.6), (0.45, 0.7))
    texture = [
        paint.noise(rng, (leaf, 0.65 * leaf), 0.3, 2.0),
        paint.checker(rng, (brick, 0.86 * brick), 0.4),
        paint.stripes(rng, (paint.pick(rng, paint.WOOD), paint.pick(rng, paint.WOOD)), 0.5, 0),
    ][rng.integers(3)]
    return SceneObject(0, (box((0, far, height / 2), (60, 0.3, height / 2), texture),))


def _houses(rng: np.random.Generator, far: float) -> list[SceneObject]:
    """A row of houses with windows."""
    found, x = [], rng.uniform(-22, -16)
    while x < 16:
        half, height = rng.uniform(2.5, 5), rng.uniform(3.5, 8)
        plaster = paint.hsv(rng, (10, 60), (0.05, 0.45), (0.6, 0.92))
        found.append(_house(rng, plaster, half, height).moved((x + half, far, 0)))
        x += 2 * half + rng.uniform(0, 4)
    return found


def _house(rng, plaster: np.ndarray, half: float, height: float) -> SceneObject:
    glass = paint.plain(paint.hsv(rng, (200, 225), (0.1, 0.4), (0.2, 0.45)), gloss=0.6)
    tiles = paint.plain(paint.hsv(rng, (5, 25), (0.3, 0.6), (0.3, 0.55)))
    parts = [
        box((0, 3, height / 2), (half, 3, height / 2), paint.plain(plaster)),
        box((0, 3, height + 0.7), (half + 0.2, 3.2, 0.7), tiles, taper=(0.25, 0.9)),
    ]
    for z in np.arange(1.6, height - 0.8, 2.4):
        for x in np.arange(-half + 1.2, half - 0.7, 2.4):
            parts.append(box((x, 0, z), (0.6, 0.05, 0.65), glass))
    return SceneObject(0, tuple(parts))


def _tree(rng: np.random.Generator) -> SceneObject:
    leaf = paint.hsv(rng, (80, 125), (0.4, 0.7), (0.28, 0.5))
    foliage = paint.noise(rng, (leaf, 0.65 * leaf), 0.5, 2.0)
    bark = paint.plain(paint.hsv(rng, (20, 30), (0.3, 0.5), (0.25, 0.4)))
    trunk, crown = rng.uniform(1.5, 2.5), rng.uniform(1.0, 1.7)
    parts = [frustum((0, 0, 0), (0, 0, trunk + 0.6), (0.22, 0.15), bark)]
    for _ in range(5):
        centre = np.array([0, 0, trunk + crown]) + rng.normal(0, 0.4 * crown, 3)
        parts.append(ellipsoid(centre, crown * rng.uniform(0.6, 0.95, 3), foliage))
    return SceneObject(0, tuple(parts))
