"""Cars, buses, cows and sheep. Objects stand at the origin; vehicles and animals face -x."""

import numpy as np

from astmt_jax.datasets.scenes import paint
from astmt_jax.datasets.scenes.rotations import rotation_y
from astmt_jax.datasets.scenes.shapes import box, capsule, ellipsoid, frustum
from astmt_jax.datasets.scenes.world import Primitive, SceneObject, Texture

BUS, CAR, COW, SHEEP = 6, 7, 10, 17


def car(rng: np.random.Generator) -> SceneObject:
    """A hatchback or saloon about 4 m long."""
    hue, saturation = rng.uniform(0, 360), rng.choice([0.05, 0.75, 0.9])
    paintwork = paint.plain(
        paint.hsv(rng, (hue, hue), (saturation - 0.05, saturation + 0.05), (0.3, 0.95)), gloss=0.6
    )
    glass = paint.plain(paint.hsv(rng, (190, 220), (0.15, 0.35), (0.14, 0.3)), gloss=0.8)
    trim = paint.plain(paint.hsv(rng, (0, 360), (0, 0.1), (0.1, 0.2)))
    half, wide = rng.uniform(1.85, 2.2), rng.uniform(0.82, 0.9)
    roof = rng.uniform(0.24, 0.32)
    cabin = rng.uniform(0.52, 0.64) * half
    shift = rng.uniform(0.02, 0.2) * half
    parts = [
        box((0, 0, 0.5), (half, wide, 0.24), paintwork, taper=(0.02, 0.0)),
        box((0.02, 0, 0.82), (half - 0.06, wide, 0.1), paintwork, taper=(0.12, 0.12)),
        box((shift, 0, 0.9 + roof), (cabin, 0.92 * wide, roof), glass, taper=(0.34, 0.2)),
        box((shift, 0, 0.9 + 2 * roof), (0.66 * cabin, 0.76 * wide, 0.035), paintwork),
        box((0, 0, 0.3), (half + 0.04, 0.98 * wide, 0.07), trim),
    ]
    for x in (-0.3, 0.28):  # door pillars
        post = (shift + x * cabin, 0, 0.9 + roof)
        parts.append(box(post, (0.05, 0.93 * wide, roof), paintwork, taper=(0.0, 0.2)))
    parts += _wheels((-0.62 * half, 0.62 * half), wide, 0.33, trim)
    return SceneObject(CAR, (*parts, *_lamps(half, 0.62 * wide, 0.62)))


def bus(rng: np.random.Generator) -> SceneObject:
    """A single-decker between 6.5 and 9 m long."""
    hue = rng.choice([2.0, 48.0, 130.0, 28.0])
    body = paint.plain(paint.hsv(rng, (hue - 8, hue + 8), (0.7, 0.95), (0.6, 0.95)), gloss=0.4)
    glass = paint.hsv(rng, (190, 220), (0.15, 0.4), (0.15, 0.3))
    post = paint.plain(paint.hsv(rng, (0, 360), (0.0, 0.15), (0.75, 0.95)))
    window = paint.plain(glass, gloss=0.8)
    trim = paint.plain(paint.hsv(rng, (0, 360), (0, 0.1), (0.1, 0.2)))
    half, wide, top = rng.uniform(3.2, 4.4), 1.2, rng.uniform(2.7, 3.0)
    middle = (top + 0.35) / 2
    parts = [
        box((0, 0, middle), (half, wide, (top - 0.35) / 2), body, taper=(0.01, 0.03)),
        box((0, 0, top), (half - 0.2, wide - 0.15, 0.06), post),
        box((0, 0, 1.15), (half + 0.01, wide + 0.01, 0.06), post),
        box((0.15, 0, 0.67 * top), (half - 0.35, wide + 0.015, 0.17 * top), window),
        box((-half + 0.02, 0, 0.64 * top), (0.05, wide - 0.12, 0.2 * top), window),
    ]
    count = int(half * 1.3)
    for x in np.linspace(-half + 1.2, half - 1.2, count):
        parts.append(box((x, 0, 0.67 * top), (0.05, wide + 0.025, 0.172 * top), body))
    parts += _wheels((-0.62 * half, 0.6 * half), wide, 0.46, trim)
    return SceneObject(BUS, (*parts, *_lamps(half, 0.75 * wide, 0.75)))


def cow(rng: np.random.Generator) -> SceneObject:
    """A cow: brown, or white with dark patches."""
    white = paint.hsv(rng, (20, 40), (0.03, 0.15), (0.85, 0.98))
    dark = paint.hsv(rng, (15, 30), (0.1, 0.6), (0.1, 0.25))
    brown = paint.hsv(rng, (14, 28), (0.55, 0.8), (0.35, 0.6))
    patched = paint.noise(rng, (white, dark), rng.uniform(0.35, 0.6), 25.0)
    coat = patched if rng.random() < 0.6 else paint.noise(rng, (brown, 0.8 * brown), 0.4)
    pink = paint.plain(paint.hsv(rng, (5, 20), (0.3, 0.45), (0.75, 0.9)))
    horn = paint.plain(paint.hsv(rng, (35, 45), (0.2, 0.4), (0.75, 0.9)))
    hoof = paint.plain(dark)
    nod = rng.uniform(-0.35, 0.25)
    head = np.array([-1.22, 0, 1.3 + nod])
    parts = [
        capsule((-0.5, 0, 1.0), (0.55, 0, 1.02), 0.37, coat),
        ellipsoid((0.5, 0, 1.05), (0.45, 0.36, 0.4), coat),
        ellipsoid((-0.55, 0, 1.02), (0.4, 0.34, 0.44), coat),
        capsule((-0.75, 0, 1.12), (-1.05, 0, 1.25 + 0.8 * nod), 0.19, coat),
        ellipsoid(head, (0.3, 0.145, 0.17), coat, rotation_y(-0.5)),
        ellipsoid((head + np.array([-0.2, 0, -0.12])), (0.13, 0.115, 0.11), pink, rotation_y(-0.5)),
        ellipsoid((0.3, 0, 0.64), (0.17, 0.15, 0.13), pink),
        capsule((0.92, 0, 1.2), (1.0, 0, 0.6), 0.025, coat),
    ]
    for side in (-1, 1):
        ear = head + np.array([0.12, 0.2 * side, 0.08])
        parts.append(ellipsoid(ear, (0.04, 0.12, 0.06), coat))
        tip = head + np.array([0.1, 0.2 * side, 0.3])
        parts.append(frustum((head + np.array([0.1, 0.09 * side, 0.1])), tip, (0.035, 0.008), horn))
    return SceneObject(
        COW, (*parts, *_hooved_legs(rng, (-0.55, 0.65), 0.2, 0.85, 0.085, coat, hoof))
    )


def sheep(rng: np.random.Generator) -> SceneObject:
    """A woolly sheep with a dark or a light face."""
    wool = paint.hsv(rng, (30, 48), (0.06, 0.25), (0.78, 0.96))
    fleece = paint.noise(rng, (wool, 0.72 * wool), 0.07, 2.0)
    face_color = paint.hsv(rng, (15, 30), (0.15, 0.4), (0.1, 0.22))
    if rng.random() < 0.35:
        face_color = paint.hsv(rng, (15, 35), (0.2, 0.35), (0.6, 0.85))
    face = paint.plain(face_color)
    nod = rng.uniform(-0.25, 0.08)
    head = np.array([-0.66, 0, 0.82 + nod])
    parts = [
        ellipsoid((0, 0, 0.62), (0.52, 0.3, 0.3), fleece),
        capsule((-0.4, 0, 0.68), (-0.56, 0, 0.78 + 0.8 * nod), 0.14, fleece),
        ellipsoid(head, (0.19, 0.095, 0.115), face, rotation_y(-0.6)),
        ellipsoid((head + np.array([0.08, 0, 0.08])), (0.12, 0.12, 0.09), fleece),
    ]
    for _ in range(7):  # tufts
        centre = [rng.uniform(-0.4, 0.4), rng.choice([-1, 1]) * rng.uniform(0.05, 0.13),
                  rng.uniform(0.62, 0.74)]  # fmt: skip
        parts.append(ellipsoid(centre, rng.uniform(0.17, 0.24, 3), fleece))
    for side in (-1, 1):
        ear = head + np.array([0.06, 0.14 * side, 0.02])
        parts.append(ellipsoid(ear, (0.035, 0.08, 0.04), face))
    legs = _hooved_legs(rng, (-0.28, 0.3), 0.14, 0.5, 0.045, face, face)
    return SceneObject(SHEEP, (*parts, *legs))


def _wheels(
    positions: tuple[float, float], wide: float, radius: float, tyre: Texture
) -> list[Primitive]:
    """Four wheels with hubs; they stand out of the body by 3 cm."""
    hub = paint.plain(np.array([168.0, 170.0, 175.0]), gloss=0.5)
    parts = []
    for x in positions:
        for side in (-1, 1):
            inner, outer = (x, side * (wide - 0.2), radius), (x, side * (wide + 0.03), radius)
            parts.append(frustum(inner, outer, (radius, radius), tyre))
            cap = (x, side * (wide + 0.04), radius)
            parts.append(frustum(inner, cap, (0.58 * radius, 0.5 * radius), hub))
    return parts


def _lamps(half: float, y: float, z: float) -> list[Primitive]:
    """White lamps at the front and red ones at the back."""
    white = paint.plain(np.array([245.0, 242.0, 220.0]), gloss=0.8)
    red = paint.plain(np.array([190.0, 25.0, 25.0]), gloss=0.6)
    lamps = []
    for side in (-1, 1):
        lamps.append(ellipsoid((-half, side * y, z), (0.06, 0.16, 0.09), white))
        lamps.append(ellipsoid((half, side * y, z), (0.06, 0.14, 0.08), red))
    return lamps


def _hooved_legs(
    rng: np.random.Generator,
    along: tuple[float, float],
    across: float,
    height: float,
    radius: float,
    coat: Texture,
    hoof: Texture,
) -> list[Primitive]:
    """Four legs in mid-step, feet on the ground."""
    parts = []
    for x in along:
        for side in (-1, 1):
            foot = np.array([x + rng.uniform(-0.12, 0.12), side * across, 0.0])
            hip = np.array([x, side * across, height])
            ankle = foot + 0.12 * (hip - foot) / height
            parts.append(frustum(ankle, hip, (0.75 * radius, 1.35 * radius), coat))
            parts.append(frustum(foot, ankle, (0.95 * radius, 0.85 * radius), hoof))
    return parts
