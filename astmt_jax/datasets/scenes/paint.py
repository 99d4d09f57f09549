"""Random colours and textures in the ranges that are typical of things."""

from collections.abc import Sequence

import cv2
import numpy as np

from astmt_jax.datasets.scenes.world import Pattern, Texture, Vector

Range = tuple[float, float]
Rgb = tuple[float, float, float]

SKIN: tuple[Rgb, ...] = (
    (255, 219, 190), (241, 194, 155), (224, 172, 125), (198, 134, 90), (141, 85, 54), (92, 56, 38),
)  # fmt: skip
HAIR: tuple[Rgb, ...] = (
    (35, 28, 24), (60, 42, 30), (95, 62, 38), (150, 105, 60), (205, 170, 110), (170, 165, 160),
)  # fmt: skip
WOOD: tuple[Rgb, ...] = ((190, 140, 85), (150, 98, 55), (110, 68, 40), (215, 180, 130))


def hsv(rng: np.random.Generator, hue: Range, saturation: Range, value: Range) -> np.ndarray:
    """A colour (3,) in 0..255: hue in degrees, saturation and value in 0..1, each in a range."""
    code = [rng.uniform(*hue) % 360, rng.uniform(*saturation), rng.uniform(*value)]
    return 255 * cv2.cvtColor(np.array([[code]], np.float32), cv2.COLOR_HSV2RGB)[0, 0].astype(float)


def pick(rng: np.random.Generator, colors: Sequence[Rgb], jitter: float = 12) -> np.ndarray:
    """One of `colors`, varied by up to `jitter` grey levels per channel."""
    color = np.array(colors[int(rng.integers(len(colors)))], float)
    return np.clip(color + rng.uniform(-jitter, jitter, 3), 0, 255)


def plain(color: np.ndarray, gloss: float = 0.0) -> Texture:
    """One colour (3,) in 0..255 everywhere."""
    return Texture(np.stack([color, color]), gloss=gloss)


def checker(
    rng: np.random.Generator, colors: Sequence[np.ndarray], cell: float, gloss: float = 0.0
) -> Texture:
    """Cubes of `cell` metres in two colours."""
    return Texture(np.stack(colors), Pattern.CHECKER, np.full(3, cell), _phase(rng), gloss=gloss)


def stripes(
    rng: np.random.Generator,
    colors: Sequence[np.ndarray],
    width: float,
    axis: int,
    gloss: float = 0.0,
) -> Texture:
    """Layers `width` metres thick, across the primitive's axis number `axis`."""
    cell = np.full(3, np.inf)
    cell[axis] = width
    return Texture(np.stack(colors), Pattern.CHECKER, cell, _phase(rng), gloss=gloss)


def noise(
    rng: np.random.Generator,
    colors: Sequence[np.ndarray],
    cell: float | Vector,
    sharpness: float = 1.6,
    gloss: float = 0.0,
) -> Texture:
    """Smooth noise between two colours with features of `cell` metres."""
    cells = np.broadcast_to(np.asarray(cell, float), 3)
    return Texture(
        np.stack(colors), Pattern.NOISE, cells, 50 * _phase(rng), sharpness=sharpness, gloss=gloss
    )


def wood(rng: np.random.Generator, grain_axis: int = 0, gloss: float = 0.1) -> Texture:
    """Wood with its grain along one axis of the primitive."""
    color = pick(rng, WOOD)
    cell = np.full(3, 0.035)
    cell[grain_axis] = 0.6
    return noise(rng, (color, 0.72 * color), cell, 2.0, gloss)


def fabric(rng: np.random.Generator, color: np.ndarray) -> Texture:
    """Cloth of a main colour: plain, striped, checked or mottled."""
    other = np.clip(color * rng.choice([0.55, 0.75, 1.35]) + rng.uniform(-25, 25, 3), 0, 255)
    style = rng.integers(4)
    if style == 0:
        return stripes(rng, (color, other), rng.uniform(0.04, 0.1), int(rng.integers(3)))
    if style == 1:
        return checker(rng, (color, other), rng.uniform(0.05, 0.12))
    if style == 2:
        return noise(rng, (color, other), rng.uniform(0.05, 0.15))
    return plain(color)


def _phase(rng: np.random.Generator) -> np.ndarray:
    return rng.uniform(0.05, 0.95, 3)
