"""Where a ray enters the unit shapes of `world.Kind`, and their outward normals.

All shapes are convex, so a ray that starts outside meets a shape first at one entry point, and a
ray that leaves its surface never meets it again: shadow rays need no offset.
Points and directions are (3, N) arrays in the shape's own frame.
"""

from collections.abc import Callable

import numpy as np

from astmt_jax.datasets.scenes.world import Kind


def entry(kind: Kind, origin: np.ndarray, direction: np.ndarray, shape: np.ndarray) -> np.ndarray:
    """Distance, in lengths of `direction`, at which rays enter a unit shape.

    Args:
      kind: the shape.
      origin: (3, N).
      direction: (3, N), need not be unit vectors.
      shape: (2, N), the numbers (p, q) described at `Kind`.

    Returns:
      (N,), of the arguments' dtype; `inf` where the line misses the shape. May be negative: behind
      the origin, or the origin is inside.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        return _ENTRY[kind](origin, direction, *shape)


def normal(kind: Kind, point: np.ndarray, direction: np.ndarray, shape: np.ndarray) -> np.ndarray:
    """Outward normals, not of unit length, where rays enter a unit shape.

    Args:
      kind: the shape.
      point: (3, N), the entry points.
      direction: (3, N), of the rays; at the rim of two faces it decides for the one that faces it.
      shape: (2, N), the numbers (p, q) described at `Kind`.

    Returns:
      (3, N), of the arguments' dtype.
    """
    return _NORMAL[kind](point, direction, *shape)


def _first_root(a, b, c):
    """Smaller root of a t^2 + 2 b t + c for a > 0; NaN without a real one."""
    return (-b - np.sqrt(b * b - a * c)) / a


def _earliest(*candidates):
    """The smallest candidate that is a number; `inf` without one."""
    return np.fmin.reduce([*candidates, np.full_like(candidates[0], np.inf)])


def _dot(a, b):
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def _sphere_entry(o, d, p, q):
    return _earliest(_first_root(_dot(d, d), _dot(o, d), _dot(o, o) - 1))


def _box_planes(x, p, q):
    """For the six sides n . x <= h of a tapered box: n . x, (6, N)."""
    slope_x, slope_y = p / 2 * x[2], q / 2 * x[2]
    return np.stack([slope_x + x[0], slope_x - x[0], slope_y + x[1], slope_y - x[1], x[2], -x[2]])


def _box_heights(p, q):
    """For the six sides n . x <= h of a tapered box: h, (6, N)."""
    one = np.ones_like(p)
    return np.stack([1 - p / 2, 1 - p / 2, 1 - q / 2, 1 - q / 2, one, one])


def _box_entry(o, d, p, q):
    speed = _box_planes(d, p, q) + 0.0  # -0 becomes 0: a ray along a side has t = inf within it
    t = (_box_heights(p, q) - _box_planes(o, p, q)) / speed
    enter = np.where(speed < 0, t, -np.inf).max(axis=0)
    leave = np.fmin.reduce(np.where(speed < 0, np.inf, t))
    return np.where(enter <= leave, enter, np.inf)


def _frustum_entry(o, d, p, q):
    slope, middle = (1 - p) / 2, (1 + p) / 2  # radius(z) = middle - slope z
    radius = middle - slope * o[2]
    a = d[0] ** 2 + d[1] ** 2 - (slope * d[2]) ** 2
    b = o[0] * d[0] + o[1] * d[1] + slope * d[2] * radius
    c = o[0] ** 2 + o[1] ** 2 - radius**2
    root = np.sqrt(b * b - a * c)
    candidates = []
    for t in ((-b - root) / a, (-b + root) / a):
        candidates.append(np.where(np.abs(o[2] + t * d[2]) <= 1, t, np.inf))
    for height, cap_radius in ((-1, 1), (1, p)):
        t = (height - o[2]) / d[2]
        inside = (o[0] + t * d[0]) ** 2 + (o[1] + t * d[1]) ** 2 <= cap_radius**2
        candidates.append(np.where(inside, t, np.inf))
    return _earliest(*candidates)


def _capsule_entry(o, d, p, q):
    a = d[0] ** 2 + d[1] ** 2
    side = _first_root(a, o[0] * d[0] + o[1] * d[1], o[0] ** 2 + o[1] ** 2 - 1)
    side = np.where(np.abs(o[2] + side * d[2]) <= p, side, np.inf)
    ends = []
    for end in (-p, p):
        shifted = np.stack([o[0], o[1], o[2] - end])
        ends.append(_sphere_entry(shifted, d, p, q))
    return _earliest(side, *ends)


def _plane_entry(o, d, p, q):
    return np.where(d[2] < 0, -o[2] / d[2], np.inf)


def _sphere_normal(x, d, p, q):
    return x


def _box_normal(x, d, p, q):
    gap = np.abs(_box_heights(p, q) - _box_planes(x, p, q))
    side = np.where(_box_planes(d, p, q) < 0, gap, np.inf).argmin(axis=0)
    tilt = np.where(side < 2, p / 2, q / 2)
    sign = 1 - 2 * (side % 2)
    zero = np.zeros_like(p)
    return np.stack(
        [
            np.where(side < 2, sign, zero),
            np.where((side == 2) | (side == 3), sign, zero),
            np.where(side < 4, tilt, sign),
        ]
    )


def _frustum_normal(x, d, p, q):
    slope, middle = (1 - p) / 2, (1 + p) / 2
    across = np.sqrt(x[0] ** 2 + x[1] ** 2)
    side = np.stack([x[0], x[1], slope * across])
    cap = np.stack([np.zeros_like(across), np.zeros_like(across), np.sign(x[2])])
    nearer = np.abs(1 - np.abs(x[2])) < np.abs(middle - slope * x[2] - across)
    on_cap = (cap[2] * d[2] < 0) & (nearer | (_dot(side, d) >= 0))
    return np.where(on_cap, cap, side)


def _capsule_normal(x, d, p, q):
    return np.stack([x[0], x[1], x[2] - np.clip(x[2], -p, p)])


def _plane_normal(x, d, p, q):
    return np.stack([np.zeros_like(p), np.zeros_like(p), np.ones_like(p)])


_ENTRY: dict[Kind, Callable] = {
    Kind.SPHERE: _sphere_entry,
    Kind.BOX: _box_entry,
    Kind.FRUSTUM: _frustum_entry,
    Kind.CAPSULE: _capsule_entry,
    Kind.PLANE: _plane_entry,
}
_NORMAL: dict[Kind, Callable] = {
    Kind.SPHERE: _sphere_normal,
    Kind.BOX: _box_normal,
    Kind.FRUSTUM: _frustum_normal,
    Kind.CAPSULE: _capsule_normal,
    Kind.PLANE: _plane_normal,
}
