"""Primitives by what one says of them: where they are, and sizes in metres."""

import numpy as np

from astmt_jax.datasets.scenes.rotations import frame_along
from astmt_jax.datasets.scenes.world import Kind, Primitive, Texture, Vector


def ellipsoid(
    centre: Vector,
    radii: Vector,
    texture: Texture,
    rotation: np.ndarray | None = None,
    part: int = 0,
) -> Primitive:
    """Ellipsoid with `radii` (3,) metres along its own axes."""
    return Primitive(Kind.SPHERE, _vector(centre), _axes(radii, rotation), texture, part=part)


def box(
    centre: Vector,
    half: Vector,
    texture: Texture,
    rotation: np.ndarray | None = None,
    taper: tuple[float, float] = (0.0, 0.0),
    part: int = 0,
) -> Primitive:
    """Box with half sizes `half` (3,) metres; its top is narrower by the fractions `taper`."""
    axes = _axes(half, rotation)
    return Primitive(Kind.BOX, _vector(centre), axes, texture, shape=taper, part=part)


def frustum(
    bottom: Vector,
    top: Vector,
    radii: tuple[float, float],
    texture: Texture,
    part: int = 0,
) -> Primitive:
    """Cylinder or cut cone between two points, with `radii` metres at the bottom and the top."""
    low, high = _vector(bottom), _vector(top)
    half = np.sqrt(((high - low) ** 2).sum()) / 2
    axes = frame_along(high - low) * np.array([radii[0], radii[0], half])
    shape = (radii[1] / radii[0], 0.0)
    return Primitive(Kind.FRUSTUM, (low + high) / 2, axes, texture, shape=shape, part=part)


def capsule(
    start: Vector, end: Vector, radius: float, texture: Texture, part: int = 0
) -> Primitive:
    """All points within `radius` metres of the segment from `start` to `end`."""
    first, last = _vector(start), _vector(end)
    length = np.sqrt(((last - first) ** 2).sum())
    axes = frame_along(last - first) * radius
    shape = (length / 2 / radius, 0.0)
    return Primitive(Kind.CAPSULE, (first + last) / 2, axes, texture, shape=shape, part=part)


def plane(point: Vector, normal: Vector, texture: Texture) -> Primitive:
    """Infinite plane through `point`, visible from the side that `normal` points to."""
    return Primitive(Kind.PLANE, _vector(point), frame_along(normal), texture)


def _vector(values: Vector) -> np.ndarray:
    return np.asarray(values, float)


def _axes(scale: Vector, rotation: np.ndarray | None) -> np.ndarray:
    return (np.eye(3) if rotation is None else rotation) * _vector(scale)
