"""Rotations in the world, in which z points up."""

from collections.abc import Sequence

import numpy as np


def rotation_z(angle: float) -> np.ndarray:
    """(3, 3) rotation by `angle` radians about the vertical, from x towards y."""
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])


def rotation_x(angle: float) -> np.ndarray:
    """(3, 3) rotation by `angle` radians about x, from y towards z."""
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[1.0, 0.0, 0.0], [0.0, c, -s], [0.0, s, c]])


def rotation_y(angle: float) -> np.ndarray:
    """(3, 3) rotation by `angle` radians about y, from z towards x."""
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, 0.0, s], [0.0, 1.0, 0.0], [-s, 0.0, c]])


def frame_along(direction: Sequence[float] | np.ndarray) -> np.ndarray:
    """(3, 3) rotation whose third column is `direction` (any length but 0) made unit."""
    z = np.asarray(direction, float)
    z = z / np.sqrt((z * z).sum())
    helper = np.array([1.0, 0.0, 0.0]) if abs(z[0]) < 0.7 else np.array([0.0, 1.0, 0.0])
    y = _cross(z, helper)
    y /= np.sqrt((y * y).sum())
    return np.stack([_cross(y, z), y, z], axis=1)


def _cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The vector product of two (3,), many times as fast as np.cross."""
    return np.array([
        a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0],
    ])  # fmt: skip
