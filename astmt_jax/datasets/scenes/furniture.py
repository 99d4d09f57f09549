"""Chairs, tables, sofas, potted plants and televisions. Objects stand at the origin, facing -y."""

import numpy as np

from astmt_jax.datasets.scenes import paint
from astmt_jax.datasets.scenes.people import SEAT_HEIGHT
from astmt_jax.datasets.scenes.rotations import rotation_x
from astmt_jax.datasets.scenes.shapes import box, capsule, ellipsoid, frustum
from astmt_jax.datasets.scenes.world import Primitive, SceneObject, Texture

CHAIR, TABLE, PLANT, SOFA, TELEVISION = 9, 11, 16, 18, 20


def chair(rng: np.random.Generator) -> SceneObject:
    """A chair with its seat at SEAT_HEIGHT: slatted or solid back, wooden or painted."""
    painted = paint.plain(paint.hsv(rng, (0, 45), (0.6, 0.95), (0.45, 0.9)), gloss=0.15)
    frame = paint.wood(rng, grain_axis=2) if rng.random() < 0.5 else painted
    seat = paint.fabric(rng, paint.hsv(rng, (0, 45), (0.4, 0.9), (0.3, 0.8)))
    half, deep = rng.uniform(0.21, 0.26), rng.uniform(0.2, 0.24)
    back = rng.uniform(0.42, 0.6)
    lean = rotation_x(-rng.uniform(0.05, 0.2))
    parts = [
        box((0, 0, SEAT_HEIGHT - 0.03), (half, deep, 0.03), seat),
        *_legs(half - 0.025, deep - 0.025, SEAT_HEIGHT - 0.06, 0.022, frame),
    ]

    def on_back(x: float, z: float) -> np.ndarray:
        return np.array([0, deep - 0.02, SEAT_HEIGHT]) + lean @ np.array([x, 0, z])

    if rng.random() < 0.5:
        parts.append(box(on_back(0, back / 2), (half, 0.022, back / 2), frame, lean))
    else:
        for x in (-half + 0.02, half - 0.02):
            parts.append(box(on_back(x, back / 2), (0.024, 0.02, back / 2), frame, lean))
        for level in (0.3, 0.6, 0.9):
            parts.append(box(on_back(0, level * back), (half, 0.016, 0.045), frame, lean))
    return SceneObject(CHAIR, tuple(parts))


def table(rng: np.random.Generator) -> SceneObject:
    """A dining table: rectangular on four legs, or round on a pedestal."""
    height = rng.uniform(0.7, 0.78)
    top = paint.wood(rng, gloss=0.25)
    legs = paint.wood(rng, grain_axis=2)
    if rng.random() < 0.35:
        white = paint.hsv(rng, (0, 360), (0.0, 0.35), (0.75, 0.98))
        top = paint.checker(rng, (white, paint.hsv(rng, (0, 360), (0.3, 0.7), (0.5, 0.9))), 0.12)
    if rng.random() < 0.3:
        radius = rng.uniform(0.5, 0.75)
        parts = [
            frustum((0, 0, height - 0.05), (0, 0, height), (radius, radius), top),
            frustum((0, 0, 0.04), (0, 0, height - 0.05), (0.07, 0.07), legs),
            frustum((0, 0, 0), (0, 0, 0.05), (0.3, 0.24), legs),
        ]
    else:
        half, deep = rng.uniform(0.6, 0.95), rng.uniform(0.38, 0.5)
        parts = [
            box((0, 0, height - 0.025), (half, deep, 0.025), top),
            box((0, 0, height - 0.09), (half - 0.07, deep - 0.07, 0.04), legs),
            *_legs(half - 0.07, deep - 0.07, height - 0.05, 0.04, legs),
        ]
    return SceneObject(TABLE, tuple(parts))


def sofa(rng: np.random.Generator) -> SceneObject:
    """A sofa for two or three, seat at about SEAT_HEIGHT, with cushions."""
    hue = rng.choice([0.0, 215.0, 265.0, 175.0])
    color = paint.hsv(rng, (hue - 15, hue + 15), (0.25, 0.7), (0.3, 0.75))
    cloth, other = paint.fabric(rng, color), paint.plain(0.88 * color)
    half = rng.uniform(0.75, 1.1)
    arm = rng.uniform(0.55, 0.66)
    parts = [
        box((0, 0, 0.2), (half, 0.42, 0.14), other),
        box((0, 0.36, 0.5), (half, 0.12, 0.34), cloth, rotation_x(-0.12), (0.04, 0.2)),
    ]
    for side in (-1, 1):
        x = side * (half + 0.06)
        parts += [
            box((x, 0, arm / 2 + 0.02), (0.1, 0.43, arm / 2 - 0.03), cloth),
            capsule((x, -0.34, arm), (x, 0.36, arm), 0.105, cloth),
            box((side * half / 2, -0.05, SEAT_HEIGHT - 0.08), (half / 2 - 0.03, 0.37, 0.07), cloth),
        ]
    for _ in range(rng.integers(0, 3)):
        pillow = paint.fabric(rng, paint.hsv(rng, (0, 360), (0.3, 0.9), (0.5, 0.95)))
        x = rng.uniform(-0.7, 0.7) * half
        tilt = rotation_x(-0.35)
        parts.append(ellipsoid((x, 0.16, SEAT_HEIGHT + 0.15), (0.22, 0.08, 0.2), pillow, tilt))
    return SceneObject(SOFA, tuple(parts))


def potted_plant(rng: np.random.Generator) -> SceneObject:
    """A terracotta or glazed pot with a fan of leaves or a bush."""
    clay = paint.plain(paint.hsv(rng, (10, 28), (0.5, 0.75), (0.5, 0.8)), gloss=0.1)
    glazed = paint.plain(paint.hsv(rng, (0, 360), (0.0, 0.5), (0.3, 0.95)), gloss=0.4)
    pot = clay if rng.random() < 0.65 else glazed
    radius, height = rng.uniform(0.15, 0.22), rng.uniform(0.24, 0.38)
    soil = paint.plain(paint.hsv(rng, (20, 30), (0.4, 0.6), (0.12, 0.25)))
    parts = [
        frustum((0, 0, 0), (0, 0, height), (0.72 * radius, radius), pot),
        frustum((0, 0, height - 0.05), (0, 0, height + 0.005), (1.12 * radius, 1.12 * radius), pot),
        ellipsoid((0, 0, height), (0.95 * radius, 0.95 * radius, 0.04), soil),
    ]
    grow = _bush if rng.random() < 0.4 else _fan
    return SceneObject(PLANT, (*parts, *grow(rng, height)))


def _leaf_texture(rng: np.random.Generator) -> Texture:
    color = paint.hsv(rng, (85, 140), (0.5, 0.85), (0.3, 0.65))
    return paint.noise(rng, (color, 0.65 * color), 0.08, 2.0, gloss=0.15)


def _fan(rng: np.random.Generator, base: float) -> list[Primitive]:
    """Long leaves that leave the pot upwards and outwards."""
    leaf, parts = _leaf_texture(rng), []
    count, length = rng.integers(8, 13), rng.uniform(0.3, 0.55)
    for index in range(count):
        turn = 2 * np.pi * (index + rng.uniform(-0.3, 0.3)) / count
        rise = np.deg2rad(rng.uniform(25, 80))
        reach = length * rng.uniform(0.7, 1.1)
        towards = np.array([np.cos(turn) * np.cos(rise), np.sin(turn) * np.cos(rise), np.sin(rise)])
        centre = np.array([0, 0, base]) + reach * towards
        # the second column of the frame is horizontal, so the leaf's flat side looks up
        parts.append(ellipsoid(centre, (0.014, 0.085, reach), leaf, _leaf_frame(towards)))
    return parts


def _leaf_frame(towards: np.ndarray) -> np.ndarray:
    side = np.array([-towards[1], towards[0], 0.0])
    side /= np.sqrt((side * side).sum())
    return np.stack([np.cross(side, towards), side, towards], axis=1)


def _bush(rng: np.random.Generator, base: float) -> list[Primitive]:
    """A stem under a cloud of foliage."""
    leaf, bark = _leaf_texture(rng), paint.plain(paint.pick(rng, paint.WOOD))
    stem, size = rng.uniform(0.15, 0.55), rng.uniform(0.2, 0.32)
    top = np.array([0, 0, base + stem])
    parts = [frustum((0, 0, base), top, (0.025, 0.02), bark)]
    for _ in range(rng.integers(6, 10)):
        centre = top + rng.normal(0, 0.5 * size, 3) + np.array([0, 0, 0.4 * size])
        parts.append(ellipsoid(centre, size * rng.uniform(0.45, 0.75, 3), leaf))
    return parts


def television(rng: np.random.Generator) -> SceneObject:
    """A flat screen on a foot, its foot at the origin."""
    half = rng.uniform(0.45, 0.75)
    tall = half * rng.uniform(0.56, 0.62)
    black = paint.plain(paint.hsv(rng, (200, 240), (0, 0.2), (0.05, 0.14)), gloss=0.5)
    glow = paint.hsv(rng, (190, 235), (0.3, 0.8), (0.35, 0.9))
    dark = paint.hsv(rng, (190, 260), (0.3, 0.8), (0.12, 0.3))
    picture = paint.noise(rng, (glow, dark), rng.uniform(0.2, 0.6), 3.0, gloss=0.5)
    middle = 0.1 + tall
    return SceneObject(
        TELEVISION,
        (
            box((0, 0, middle), (half, 0.03, tall), black),
            box((0, -0.026, middle), (half - 0.035, 0.01, tall - 0.035), picture),
            box((0, 0.02, 0.06), (0.05, 0.02, 0.06), black),
            box((0, 0, 0.01), (0.22, 0.12, 0.01), black),
        ),
    )


def cabinet(rng: np.random.Generator) -> SceneObject:
    """A low cabinet for a television; background."""
    body, door = paint.wood(rng), paint.wood(rng)
    half, height = rng.uniform(0.6, 0.9), rng.uniform(0.4, 0.6)
    parts = [box((0, 0, height / 2), (half, 0.22, height / 2), body)]
    for side in (-1, 1):
        centre = (side * half / 2, -0.215, height / 2)
        parts.append(box(centre, (half / 2 - 0.03, 0.015, height / 2 - 0.04), door))
    return SceneObject(0, tuple(parts))


def _legs(x: float, y: float, height: float, half: float, texture: Texture) -> list[Primitive]:
    """Four square legs."""
    return [
        box((sx * x, sy * y, height / 2), (half, half, height / 2), texture)
        for sx in (-1, 1)
        for sy in (-1, 1)
    ]
