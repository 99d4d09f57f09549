"""First hits and occlusion of rays among the primitives of a scene.

Bounding balls, first of whole objects and then of their primitives, leave for each ray the few
primitives that it may meet; those (ray, primitive) pairs are then solved in one array per shape.
Single precision: a scene spans tens of metres, so positions are good to a few micrometres.
"""

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np

from astmt_jax.datasets.scenes import primitives, world

_CHUNK = 16384  # rays solved at once: bounds memory for large images
_NEAR = 1e-4
_SLACK = 0.03  # metres by which balls are enlarged: more than single precision loses
_BALLED = tuple(kind for kind in world.Kind if kind is not world.Kind.PLANE)


@dataclasses.dataclass(frozen=True)
class Geometry:
    """The primitives of a scene as float32 arrays, P in all, in the order of the scene's objects.

    Attributes:
      kind: (P,) `world.Kind`.
      shape: (2, P).
      centre: (3, P) metres.
      to_local: (3, 3, P), maps world vectors to the primitive's frame.
      lengths: (3, P) metres, of the primitive's axes.
      radius: (P,) metres, of the bounding ball.
      owner: (P,) index of the object.
      groups: for each object without planes, (start, stop, ball centre (3,), ball radius).
      planes: (K,) indices of the planes.
    """

    kind: np.ndarray
    shape: np.ndarray
    centre: np.ndarray
    to_local: np.ndarray
    lengths: np.ndarray
    radius: np.ndarray
    owner: np.ndarray
    groups: tuple[tuple[int, int, np.ndarray, float], ...]
    planes: np.ndarray


def geometry_of(objects: Sequence[world.SceneObject]) -> Geometry:
    """Collects the primitives of `objects` into arrays."""
    parts = [part for thing in objects for part in thing.primitives]
    counts = [len(thing.primitives) for thing in objects]
    kind = np.array([part.kind for part in parts])
    axes = np.stack([part.axes for part in parts], axis=2)
    squares = axes[0] ** 2 + axes[1] ** 2 + axes[2] ** 2
    centre = np.stack([part.centre for part in parts], axis=1)
    radius = np.array([part.bounding_radius() for part in parts])
    ends = np.cumsum(counts)
    groups = []
    for start, stop in zip(ends - counts, ends, strict=True):
        if np.isfinite(radius[start:stop]).all():
            groups.append((start, stop, *_ball(centre[:, start:stop], radius[start:stop])))
    return Geometry(
        kind=kind,
        shape=_single([part.shape for part in parts]).T,
        centre=_single(centre),
        to_local=_single(axes.transpose(1, 0, 2) / squares[:, None, :]),
        lengths=_single(np.sqrt(squares)),
        radius=_single(radius),
        owner=np.repeat(np.arange(len(objects)), counts),
        groups=tuple(groups),
        planes=np.flatnonzero(kind == world.Kind.PLANE),
    )


def closest(geometry: Geometry, origin: np.ndarray, direction: np.ndarray):
    """The first primitive that each ray enters.

    Args:
      geometry: the primitives.
      origin: (3, N) or (3, 1) float32, metres.
      direction: (3, N) float32.

    Returns:
      distance: (N,) float32 in lengths of `direction`, `inf` where nothing is hit.
      primitive: (N,) int64, -1 where nothing is hit.
    """
    origin = np.broadcast_to(origin, direction.shape)
    distance = np.full(direction.shape[1], np.inf, np.float32)
    primitive = np.full(direction.shape[1], -1)
    for rays in _chunks(direction.shape[1]):
        t, p = distance[rays], primitive[rays]
        o, d = origin[:, rays], direction[:, rays]
        hits = [*_plane_hits(geometry, o, d), *_hits(geometry, o, d)]
        for ray, _, found in hits:
            np.minimum.at(t, ray, found)
        for ray, part, found in hits:
            first = found == t[ray]
            p[ray[first]] = part[first]
    return distance, primitive


def occluded(
    geometry: Geometry, origin: np.ndarray, direction: np.ndarray, limit: float
) -> np.ndarray:
    """Whether something other than a plane lies on each ray before `limit`.

    Planes are left out: they bound the ground and the rooms that the lights are in.

    Args:
      geometry: the primitives.
      origin: (3, N) float32, metres.
      direction: (3, N) float32.
      limit: distance in lengths of `direction`.

    Returns:
      (N,) bool.
    """
    blocked = np.zeros(direction.shape[1], bool)
    for rays in _chunks(direction.shape[1]):
        inside = blocked[rays]
        for ray, _, found in _hits(geometry, origin[:, rays], direction[:, rays]):
            inside[ray[found < limit]] = True
    return blocked


def _transform(rows: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """Matrices (3, 3, N) or (3, 3, 1) applied to vectors (3, N)."""
    return rows[:, 0] * vector[0] + rows[:, 1] * vector[1] + rows[:, 2] * vector[2]


def surface(geometry: Geometry, primitive: np.ndarray, point: np.ndarray, direction: np.ndarray):
    """What lies where rays hit.

    Args:
      geometry: the primitives.
      primitive: (N,) indices.
      point: (3, N) float32, metres, on the surfaces of these primitives.
      direction: (3, N) float32 unit vectors, of the rays.

    Returns:
      normal: (3, N) outward unit normals in world axes, which face the rays.
      local: (3, N) the points in the primitives' frames, in metres.
    """
    rows = geometry.to_local.take(primitive, axis=2)
    local = _transform(rows, point - geometry.centre.take(primitive, axis=1))
    outward = np.empty_like(local)
    for kind in world.Kind:
        here = np.flatnonzero(geometry.kind[primitive] == kind)
        if here.size:
            shape = geometry.shape[:, primitive[here]]
            ray = _transform(rows[:, :, here], direction[:, here])
            outward[:, here] = primitives.normal(kind, local[:, here], ray, shape)
    normal = _transform(rows.swapaxes(0, 1), outward)  # normals map by the inverse transpose
    normal /= np.sqrt(_dot(normal, normal))
    normal -= np.maximum(_dot(normal, direction) + _NEAR, 0) * direction  # rounding at silhouettes
    normal /= np.sqrt(_dot(normal, normal))
    return normal, local * geometry.lengths.take(primitive, axis=1)


def _ball(centre: np.ndarray, radius: np.ndarray) -> tuple[np.ndarray, float]:
    """A ball around the balls of an object's primitives."""
    middle = ((centre - radius).min(axis=1) + (centre + radius).max(axis=1)) / 2
    apart = np.sqrt(((centre - middle[:, None]) ** 2).sum(axis=0))
    return _single(middle), float((apart + radius).max())


def _single(values) -> np.ndarray:
    return np.ascontiguousarray(values, np.float32)


def _chunks(count: int) -> Iterator[slice]:
    return (slice(start, start + _CHUNK) for start in range(0, count, _CHUNK))


def _plane_hits(geometry: Geometry, origin, direction):
    every = np.arange(direction.shape[1])
    for index in geometry.planes:
        part = np.full(1, index)
        found = _entry(geometry, world.Kind.PLANE, part, origin, direction)
        yield _where_hit(every, np.broadcast_to(part, every.shape), found)


def _hits(geometry: Geometry, origin, direction):
    """For each kind but planes: (ray, primitive, distance) of all hits, as arrays."""
    ray, part = _candidates(geometry, origin, direction)
    kind = geometry.kind[part]
    for each in _BALLED:
        here = np.flatnonzero(kind == each)
        if here.size:
            pairs = ray[here], part[here]
            rays = origin.take(pairs[0], axis=1), direction.take(pairs[0], axis=1)
            yield _where_hit(*pairs, _entry(geometry, each, pairs[1], *rays))


def _entry(geometry: Geometry, kind, part, origin, direction):
    """Entry distances for N rays and N parts, or N rays and one part."""
    rows = geometry.to_local.take(part, axis=2)
    shifted = origin - geometry.centre.take(part, axis=1)
    shape = geometry.shape.take(part, axis=1)
    return primitives.entry(kind, _transform(rows, shifted), _transform(rows, direction), shape)


def _where_hit(ray, part, found):
    hit = np.flatnonzero((found > _NEAR) & (found < np.inf))
    return ray[hit], part[hit], found[hit]


def _candidates(geometry: Geometry, origin, direction) -> tuple[np.ndarray, np.ndarray]:
    """Pairs (ray, primitive) whose bounding balls meet."""
    bundle = _Bundle.of(origin, direction)
    rays, parts = [np.empty(0, int)], [np.empty(0, int)]
    for start, stop, centre, radius in geometry.groups:
        near = np.flatnonzero(bundle.meets(centre[:, None], np.full(1, radius, np.float32)))
        if near.size:
            inside = slice(start, stop)
            met = bundle.take(near).meets(geometry.centre[:, inside], geometry.radius[inside])
            part, ray = np.divmod(np.flatnonzero(met), near.size)
            rays.append(near[ray])
            parts.append(part + start)
    return np.concatenate(rays), np.concatenate(parts)


class _Bundle:
    """Rays prepared for many tests against balls.

    With c a ball's centre, o an origin and d a unit direction, the two numbers that decide,
    |c - o|^2 - r^2 and (c - o) . d, are linear in (c, 1, |c|^2 - r^2): each is a matrix product.
    """

    def __init__(self, distance: np.ndarray, advance: np.ndarray):
        self._distance = distance  # (5, N): -2 o, |o|^2, 1
        self._advance = advance  # (4, N): d, -o . d

    @classmethod
    def of(cls, origin: np.ndarray, direction: np.ndarray) -> "_Bundle":
        unit = direction / np.sqrt(_dot(direction, direction))
        square, one = _dot(origin, origin), np.ones_like(origin[0])
        return cls(np.vstack([-2 * origin, square, one]), np.vstack([unit, -_dot(origin, unit)]))

    def take(self, index: np.ndarray) -> "_Bundle":
        return _Bundle(self._distance.take(index, axis=1), self._advance.take(index, axis=1))

    def meets(self, centre: np.ndarray, radius: np.ndarray) -> np.ndarray:
        """Whether the rays pass through balls (3, P), (P,), slightly enlarged: (P, N) bool."""
        ball = np.vstack(
            [centre, np.ones_like(radius), _dot(centre, centre) - (radius + _SLACK) ** 2]
        )
        # BLAS pads its operands with whatever there is: NumPy would warn of what comes of that.
        with np.errstate(invalid="ignore"):
            apart = ball.T @ self._distance
            along = ball[:4].T @ self._advance
        ahead = (along > 0) | (apart < 0)
        along *= along
        return ahead & (apart <= along)


def _dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
