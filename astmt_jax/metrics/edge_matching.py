"""One-to-one matching of predicted to true edge pixels, at all thresholds of one image.

The number of correct pixels is the size of a maximum bipartite matching. From one threshold to the
next only few predicted pixels come and go, so the matching of the stricter threshold is repaired
instead of computed anew.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

_ABSENT = -2  # partner of a predicted pixel that the current map does not contain
_FREE = -1  # partner of a pixel that is not matched


class Pairs(NamedTuple):
    """Pairs of a predicted and a true pixel near enough to match, nearest first; (E,) each."""

    predicted: np.ndarray  # index into the predicted pixels
    true: np.ndarray  # index into the true pixels
    squared_distance: np.ndarray  # integer, pixels squared


def pairs_within(
    y: np.ndarray, x: np.ndarray, truth: np.ndarray, radius: float
) -> tuple[Pairs, int]:
    """Lists the pairs at most `radius` apart.

    Args:
      y, x: (N,) int, predicted pixels.
      truth: (H, W) bool, true pixels.
      radius: greatest Euclidean distance between the two, in pixels, inclusive.

    Returns:
      The pairs, and the number of true pixels.
    """
    reach = int(radius)
    dy, dx = np.mgrid[-reach : reach + 1, -reach : reach + 1].reshape(2, -1)
    squared = dy**2 + dx**2
    order = np.argsort(squared, kind="stable")[: np.count_nonzero(squared <= radius**2)]
    width = truth.shape[1] + 2 * reach
    predicted_ids = np.full((truth.shape[0] + 2 * reach) * width, -1, np.int32)
    predicted_ids[(y + reach) * width + x + reach] = np.arange(len(y))
    true_y, true_x = np.nonzero(truth)
    true_at = (true_y + reach) * width + true_x + reach
    # Row i: the predicted pixel at the i-th nearest offset from each true pixel.
    found = np.stack([np.take(predicted_ids, true_at + dy[i] * width + dx[i]) for i in order])
    offset, true = np.nonzero(found >= 0)
    return Pairs(found[offset, true], true, squared[order][offset]), len(true_y)


def matching_sizes(member: np.ndarray, pairs: Pairs, true_count: int) -> np.ndarray:
    """Sizes of maximum matchings of a stack of predicted maps with one truth.

    Args:
      member: (K, N) bool, which predicted maps contain which of N pixels; fast when each map
        resembles the next.
      pairs: pairs that may match.
      true_count: number of true pixels.

    Returns:
      (K,) int.
    """
    reachable = np.bincount(pairs.predicted, minlength=member.shape[1]) > 0
    predicted = (np.cumsum(reachable) - 1)[pairs.predicted]
    matching = RepairedMatching(
        _Neighbours.of(predicted, pairs.true, int(np.count_nonzero(reachable))),
        _Neighbours.of(pairs.true, predicted, true_count),
    )
    strictest_first = member[::-1, reachable].astype(np.int8)
    empty_first = np.pad(strictest_first, ((1, 0), (0, 0)))
    sizes = []
    for change in np.diff(empty_first, axis=0):
        matching.update(np.flatnonzero(change < 0).tolist(), np.flatnonzero(change > 0).tolist())
        sizes.append(matching.size)
    return np.array(sizes[::-1], np.int64)


class _Neighbours(NamedTuple):
    """Neighbours of pixel i: ids[ends[i] : ends[i + 1]].

    Flat, as thousands of small lists would set off Python's garbage collector again and again.
    """

    ids: list[int]
    ends: list[int]

    @classmethod
    def of(cls, pixels: np.ndarray, neighbours: np.ndarray, count: int) -> "_Neighbours":
        """From pairs (pixel 0..count-1, neighbour), whose order is kept."""
        ids = neighbours[np.argsort(pixels, kind="stable")].tolist()
        return cls(ids, [0, *np.cumsum(np.bincount(pixels, minlength=count)).tolist()])


class RepairedMatching:
    """A maximum matching that is kept maximum while predicted pixels come and go.

    A matching is maximum when no alternating path leads from a free predicted to a free true pixel.
    The class keeps the proof of that: a set of *closed* true pixels, all matched, such that their
    partners have no neighbour outside the set, and free predicted pixels have none either. So
    searches from new predicted pixels stop at closed pixels, and a true pixel that loses its
    partner needs a search only when it is closed.

    Attributes:
      size: number of matched pairs.
    """

    def __init__(self, true_near: _Neighbours, predicted_near: _Neighbours):
        """Starts without predicted pixels.

        Args:
          true_near: for each predicted pixel, the true pixels that it may match.
          predicted_near: for each true pixel, the predicted pixels that it may match.
        """
        predicted_count, true_count = len(true_near.ends) - 1, len(predicted_near.ends) - 1
        self.size = 0
        self._true_near = true_near
        self._predicted_near = predicted_near
        self._true_partner = [_ABSENT] * predicted_count  # of each predicted pixel
        self._predicted_partner = [_FREE] * true_count  # of each true pixel
        self._closed = [False] * true_count

    def update(self, removed: Iterable[int], added: Iterable[int]) -> None:
        """Takes predicted pixels out of the map, puts others in, and makes the matching maximum."""
        left = map(self._remove, removed)
        left_and_closed = [true for true in left if true != _FREE and self._closed[true]]
        for predicted in added:
            self._true_partner[predicted] = _FREE
            self._match_predicted(predicted)
        for true in left_and_closed:
            self._match_true(true)

    def _remove(self, predicted: int) -> int:
        """Takes a predicted pixel out; returns the true pixel that was its partner, or _FREE."""
        true = self._true_partner[predicted]
        self._true_partner[predicted] = _ABSENT
        if true != _FREE:
            self._predicted_partner[true] = _FREE
            self.size -= 1
        return true

    def _match_predicted(self, start: int) -> None:
        """Breadth-first search for a free true pixel from a free predicted one.

        Where there is none, all that was seen is closed.
        """
        closed, partner_of, (ids, ends) = self._closed, self._predicted_partner, self._true_near
        seen_from = {}  # true pixel -> predicted pixel
        queue = [start]
        for predicted in queue:
            for true in ids[ends[predicted] : ends[predicted + 1]]:
                if closed[true] or true in seen_from:
                    continue
                seen_from[true] = predicted
                partner = partner_of[true]
                if partner == _FREE:
                    self._augment_to_true(true, seen_from)
                    return
                queue.append(partner)
        for true in seen_from:
            closed[true] = True

    def _match_true(self, start: int) -> None:
        """Breadth-first search for a free predicted pixel from a free true one that was closed.

        Where there is none, all that was seen is open again: it leads to a free true pixel.
        """
        closed, partner_of, (ids, ends) = self._closed, self._true_partner, self._predicted_near
        seen_from = {}  # predicted pixel -> true pixel
        queue = [start]
        for true in queue:
            for predicted in ids[ends[true] : ends[true + 1]]:
                partner = partner_of[predicted]
                if partner == _ABSENT or predicted in seen_from:
                    continue
                if partner == _FREE:
                    seen_from[predicted] = true
                    self._augment_to_predicted(predicted, seen_from)
                    return
                if closed[partner]:
                    seen_from[predicted] = true
                    queue.append(partner)
        for true in queue:
            closed[true] = False

    def _augment_to_true(self, true: int, seen_from: dict[int, int]) -> None:
        while true != _FREE:
            predicted = seen_from[true]
            left = self._true_partner[predicted]
            self._true_partner[predicted], self._predicted_partner[true] = true, predicted
            true = left
        self.size += 1

    def _augment_to_predicted(self, predicted: int, seen_from: dict[int, int]) -> None:
        while predicted != _FREE:
            true = seen_from[predicted]
            left = self._predicted_partner[true]
            self._true_partner[predicted], self._predicted_partner[true] = true, predicted
            predicted = left
        self.size += 1
