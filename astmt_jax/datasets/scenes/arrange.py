"""Finds places for groups of objects in view, on the ground and free of each other."""

import dataclasses

import numpy as np

from astmt_jax.datasets.scenes.surroundings import Surroundings
from astmt_jax.datasets.scenes.world import SceneObject

_HALF_VIEW = np.deg2rad(26)  # what a camera at the origin, looking along y, surely sees
_PROMINENT = 2  # groups that are put large and near the middle
_ATTEMPTS = 40
_GAP = 0.05  # metres between groups


@dataclasses.dataclass(frozen=True)
class Group:
    """Objects that keep together, and a box around them.

    Attributes:
      objects: the objects.
      low: (3,) metres, the box's lower corner.
      high: (3,) metres, the upper one.
    """

    objects: tuple[SceneObject, ...]
    low: np.ndarray
    high: np.ndarray

    @classmethod
    def of(cls, *objects: SceneObject) -> "Group":
        """The group of these objects where they are."""
        corners = [thing.extent() for thing in objects]
        low = np.min([corner[0] for corner in corners], axis=0)
        return cls(objects, low, np.max([corner[1] for corner in corners], axis=0))

    def moved(self, shift: np.ndarray) -> "Group":
        """The group shifted by (3,) metres."""
        objects = tuple(thing.moved(shift) for thing in self.objects)
        return Group(objects, self.low + shift, self.high + shift)


def arranged(rng: np.random.Generator, groups: list[Group], around: Surroundings) -> list[Group]:
    """The groups for which there is room, each moved to its place.

    Args:
      rng: decides the places.
      groups: standing at the origin, most prominent first.
      around: bounds the places.
    """
    placed: list[Group] = []
    for group in groups:
        shift = _free_shift(rng, group, placed, around)
        if shift is not None:
            placed.append(group.moved(shift))
    return placed


def _free_shift(
    rng: np.random.Generator, group: Group, placed: list[Group], around: Surroundings
) -> np.ndarray | None:
    """A shift to a free place, where a prominent group fills most of the view; None if all fail."""
    prominent = len(placed) < _PROMINENT
    share = rng.uniform(0.8, 1.2) if prominent else rng.uniform(0.4, 0.8)
    spread = 0.85 if placed else 0.35
    width, depth, height = group.high - group.low
    size = max(height, 0.8 * np.hypot(width, depth))
    nearest = size / (2 * share * np.tan(_HALF_VIEW)) + depth / 2
    for attempt in range(_ATTEMPTS):
        distance = nearest * (1 + 0.02 * attempt)
        side = rng.uniform(-spread, spread) * distance * np.tan(_HALF_VIEW)
        shift = np.array([side, distance, 0.0])
        low, high = group.low + shift, group.high + shift
        fits = (low[:2] >= around.low).all() and (high[:2] <= around.high).all()
        if fits and all(_apart(low, high, other) for other in placed):
            return shift
    return None


def _apart(low: np.ndarray, high: np.ndarray, other: Group) -> bool:
    return bool((low > other.high + _GAP).any() or (high < other.low - _GAP).any())
