"""People built from jointed limbs.

A person stands at the origin and faces -y; angles are in degrees. Limbs are chains of capsules:
each joint's angles turn everything below it.
"""

import dataclasses

import numpy as np

from astmt_jax.datasets.scenes import paint
from astmt_jax.datasets.scenes.rotations import rotation_x, rotation_y, rotation_z
from astmt_jax.datasets.scenes.shapes import box, capsule, ellipsoid, frustum
from astmt_jax.datasets.scenes.world import Primitive, SceneObject, Texture

PERSON = 15
HEAD, TORSO, UPPER_ARM, LOWER_ARM, UPPER_LEG, LOWER_LEG = range(1, 7)
SEAT_HEIGHT = 0.46

_THIGH, _SHIN, _ANKLE = 0.44, 0.42, 0.08
_UPPER_ARM, _FOREARM = 0.29, 0.25


@dataclasses.dataclass(frozen=True)
class Pose:
    """Joint angles in degrees; pairs are (left, right).

    Attributes:
      lean: of the torso, forwards.
      head: (nod, turn).
      swing: of the upper arms, forwards from hanging.
      spread: of the upper arms, sideways.
      elbow: bend.
      hip: of the thighs, forwards from hanging.
      knee: bend.
    """

    lean: float
    head: tuple[float, float]
    swing: tuple[float, float]
    spread: tuple[float, float]
    elbow: tuple[float, float]
    hip: tuple[float, float]
    knee: tuple[float, float]


@dataclasses.dataclass(frozen=True)
class _Outfit:
    skin: Texture
    hair: Texture
    shirt: Texture
    trousers: Texture
    shoes: Texture
    sleeve: Texture  # of the lower arms
    calf: Texture  # of the lower legs
    long_hair: bool
    width: float  # of the body, about 1


def person(rng: np.random.Generator, seated: bool = False) -> SceneObject:
    """A person in random clothes and a random pose; a seated one's seat is at SEAT_HEIGHT."""
    outfit = _outfit(rng)
    pose = _seated(rng) if seated else _standing(rng)
    hips = np.array([0.0, 0.0, SEAT_HEIGHT + 0.1 if seated else _hip_height(pose)])
    parts = [*_trunk(outfit, pose, hips), *_legs(outfit, pose, hips)]
    parts += _arms(outfit, pose, hips)
    body = SceneObject(PERSON, tuple(parts))
    return body if seated else body.moved((0, 0, 0), scale=rng.uniform(0.88, 1.08))


def _pair(rng: np.random.Generator, low: float, high: float) -> tuple[float, float]:
    return tuple(rng.uniform(low, high, 2))


def _standing(rng: np.random.Generator) -> Pose:
    """Standing, walking, or with raised arms."""
    stride = rng.choice([0.0, rng.uniform(12, 32)])
    step = stride * rng.choice([-1, 1])
    hip = (step + rng.uniform(-3, 3), -step + rng.uniform(-3, 3))
    swing, spread = (-0.9 * step, 0.9 * step), _pair(rng, 5, 18)
    elbow = _pair(rng, 5, 40)
    if rng.random() < 0.35:
        swing, spread = _pair(rng, -20, 60), _pair(rng, 70, 155)
        elbow = _pair(rng, 0, 60)
    elif rng.random() < 0.3:
        swing, elbow = (rng.uniform(40, 110), swing[1]), (rng.uniform(10, 80), elbow[1])
    knee = (
        max(0.0, -hip[0]) * 0.9 + rng.uniform(0, 6),
        max(0.0, -hip[1]) * 0.9 + rng.uniform(0, 6),
    )
    return Pose(rng.uniform(-4, 10), (rng.uniform(-15, 15), rng.uniform(-50, 50)),
                swing, spread, elbow, hip, knee)  # fmt: skip


def _seated(rng: np.random.Generator) -> Pose:
    hip = _pair(rng, 80, 90)
    knee = (hip[0] + rng.uniform(-12, 8), hip[1] + rng.uniform(-12, 8))
    return Pose(rng.uniform(-12, 6), (rng.uniform(-10, 15), rng.uniform(-40, 40)),
                _pair(rng, 5, 50), _pair(rng, 4, 18), _pair(rng, 25, 80), hip, knee)  # fmt: skip


def _outfit(rng: np.random.Generator) -> _Outfit:
    skin = paint.plain(paint.pick(rng, paint.SKIN), gloss=0.08)
    shirt = paint.fabric(rng, paint.hsv(rng, (0, 360), (0.05, 0.85), (0.35, 0.95)))
    hue = (20, 50) if rng.random() < 0.3 else (205, 240)  # khaki or jeans
    trousers = paint.plain(paint.hsv(rng, hue, (0.05, 0.55), (0.15, 0.6)))
    return _Outfit(
        skin=skin,
        hair=paint.noise(rng, [c := paint.pick(rng, paint.HAIR), 0.7 * c], 0.03),
        shirt=shirt,
        trousers=trousers,
        shoes=paint.plain(paint.hsv(rng, (0, 360), (0, 0.4), (0.08, 0.9)), gloss=0.15),
        sleeve=shirt if rng.random() < 0.4 else skin,
        calf=skin if rng.random() < 0.25 else trousers,
        long_hair=rng.random() < 0.4,
        width=rng.uniform(0.9, 1.2),
    )


def _limb(
    start: np.ndarray,
    rotations: tuple[np.ndarray, np.ndarray],
    lengths: tuple[float, float],
) -> tuple[np.ndarray, np.ndarray]:
    """The two further joints of a limb that hangs from `start`, each link under its rotation."""
    middle = start + rotations[0] @ np.array([0, 0, -lengths[0]])
    return middle, middle + rotations[1] @ np.array([0, 0, -lengths[1]])


def _forwards(degrees: float) -> np.ndarray:
    """Rotation that swings a hanging limb forwards (towards -y)."""
    return rotation_x(-np.deg2rad(degrees))


def _hip_height(pose: Pose) -> float:
    """Height at which the lower foot touches the ground."""
    reach = []
    for hip, knee in zip(pose.hip, pose.knee, strict=True):
        links = (_forwards(hip), _forwards(hip - knee))
        reach.append(-_limb(np.zeros(3), links, (_THIGH, _SHIN))[1][2])
    return max(reach) + _ANKLE


def _trunk(outfit: _Outfit, pose: Pose, hips: np.ndarray) -> list[Primitive]:
    lean = _forwards(-pose.lean)
    w = outfit.width

    def up(height: float, back: float = 0.0) -> np.ndarray:
        return hips + lean @ np.array([0, back, height])

    nod, turn = np.deg2rad(pose.head)
    gaze = lean @ rotation_z(turn) @ rotation_x(nod)
    skull = up(0.71)

    def on_head(x: float, y: float, z: float) -> np.ndarray:
        return skull + gaze @ np.array([x, y, z])

    skin, hair, shirt = outfit.skin, outfit.hair, outfit.shirt
    parts = [
        ellipsoid(up(0.01), (0.165 * w, 0.12 * w, 0.13), outfit.trousers, lean, TORSO),
        frustum(up(0.02), up(0.36), (0.125 * w, 0.15 * w), shirt, TORSO),
        ellipsoid(up(0.37), (0.195 * w, 0.125 * w, 0.15), shirt, lean, TORSO),
        capsule(up(0.46), up(0.6), 0.052, skin, TORSO),
        ellipsoid(on_head(0, 0, 0), (0.083, 0.1, 0.125), skin, gaze, HEAD),
        ellipsoid(on_head(0, 0.03, 0.035), (0.092, 0.1, 0.112), hair, gaze, HEAD),
        ellipsoid(on_head(0, -0.1, -0.02), (0.016, 0.022, 0.024), skin, gaze, HEAD),
    ]
    eye = paint.plain(np.array([25.0, 22.0, 22.0]))
    for side in (-1, 1):
        parts.append(ellipsoid(on_head(0.034 * side, -0.091, 0.022), [0.014] * 3, eye, gaze, HEAD))
        ear = on_head(0.086 * side, 0.0, -0.01)
        parts.append(ellipsoid(ear, (0.014, 0.024, 0.034), skin, gaze, HEAD))
    if outfit.long_hair:
        parts.append(capsule(on_head(0, 0.07, 0), on_head(0, 0.09, -0.2), 0.07, hair, part=HEAD))
    return parts


def _arms(outfit: _Outfit, pose: Pose, hips: np.ndarray) -> list[Primitive]:
    lean = _forwards(-pose.lean)
    parts = []
    for index, side in enumerate((-1, 1)):
        shoulder = hips + lean @ np.array([side * 0.19 * outfit.width, 0, 0.44])
        upper = lean @ rotation_y(np.deg2rad(-side * pose.spread[index]))
        upper = upper @ _forwards(pose.swing[index])
        lower = upper @ _forwards(pose.elbow[index])
        elbow, wrist = _limb(shoulder, (upper, lower), (_UPPER_ARM, _FOREARM))
        hand = wrist + lower @ np.array([0, 0, -0.07])
        parts += [
            capsule(shoulder, elbow, 0.055 * outfit.width, outfit.shirt, UPPER_ARM),
            capsule(elbow, wrist, 0.043 * outfit.width, outfit.sleeve, LOWER_ARM),
            ellipsoid(hand, (0.035, 0.05, 0.075), outfit.skin, lower, LOWER_ARM),
        ]
    return parts


def _legs(outfit: _Outfit, pose: Pose, hips: np.ndarray) -> list[Primitive]:
    parts = []
    for index, side in enumerate((-1, 1)):
        joint = hips + np.array([side * 0.095 * outfit.width, 0, 0])
        upper = _forwards(pose.hip[index])
        lower = _forwards(pose.hip[index] - pose.knee[index])
        knee, ankle = _limb(joint, (upper, lower), (_THIGH, _SHIN))
        toes = ankle + lower @ np.array([0, -0.07, -0.035])
        parts += [
            capsule(joint, knee, 0.085 * outfit.width, outfit.trousers, UPPER_LEG),
            capsule(knee, ankle, 0.06 * outfit.width, outfit.calf, LOWER_LEG),
            box(toes, (0.048, 0.135, 0.045), outfit.shoes, lower, (0.2, 0.35), LOWER_LEG),
        ]
    return parts
