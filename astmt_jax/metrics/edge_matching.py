"""One-to-one matching of predicted to true edge pixels, at all thresholds of one image.

The number of correct pixels is the size of a maximum bipartite matching. From one threshold to the
next only few predicted pixels come and go, so the matching of the stricter threshold is repaired
instead of computed anew.
"""

import array
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

ABSENT = -2
"""Partner of a predicted pixel that the current map does not contain."""
FREE = -1
"""Partner of a pixel that is not matched."""


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
    _, member, pairs = with_pairs(member, pairs)
    matching = RepairedMatching(
        Neighbours.of(pairs.predicted, pairs.true, member.shape[1]),
        Neighbours.of(pairs.true, pairs.predicted, true_count),
    )
    sizes = []
    for removed, added in changes(member):
        matching.update(removed, added)
        sizes.append(matching.size)
    return np.array(sizes[::-1], np.int64)


def with_pairs(member: np.ndarray, pairs: Pairs) -> tuple[np.ndarray, np.ndarray, Pairs]:
    """Leaves out the predicted pixels that are in no pair.

    Returns:
      (N,) bool, which are left, and the arguments with these only.
    """
    left = np.bincount(pairs.predicted, minlength=member.shape[1]) > 0
    numbers = np.cumsum(left) - 1
    return left, member[:, left], pairs._replace(predicted=numbers[pairs.predicted])


def changes(member: np.ndarray) -> Iterator[tuple[list[int], list[int]]]:
    """The pixels that go and come from map to map, beginning with none and the last one.

    Args:
      member: (K, N) bool, which maps contain which of N pixels.
    """
    empty_first = np.pad(member[::-1].astype(np.int8), ((1, 0), (0, 0)))
    for change in np.diff(empty_first, axis=0):
        yield np.flatnonzero(change < 0).tolist(), np.flatnonzero(change > 0).tolist()


class Neighbours(NamedTuple):
    """Neighbours of pixel i: ids[ends[i] : ends[i + 1]].

    Flat, as thousands of small lists would set off Python's garbage collector again and again.
    """

    ids: list[int]
    ends: list[int]

    @classmethod
    def of(cls, pixels: np.ndarray, neighbours: np.ndarray, count: int) -> "Neighbours":
        """From pairs (pixel 0..count-1, neighbour), whose order is kept."""
        ids = neighbours[np.argsort(pixels, kind="stable")].tolist()
        return cls(ids, [0, *np.cumsum(np.bincount(pixels, minlength=count)).tolist()])

    def near(self, pixel: int) -> list[int]:
        """Neighbours of one pixel."""
        return self.ids[self.ends[pixel] : self.ends[pixel + 1]]


class RepairedMatching:
    """A maximum matching that is kept maximum while predicted pixels come and go.

    A matching is maximum when no alternating path leads from a free predicted to a free true pixel.
    The class keeps the proof of that: a set of *closed* true pixels, all matched, such that their
    partners have no neighbour outside the set, and free predicted pixels have none either. So
    searches from new predicted pixels stop at closed pixels, and a true pixel that loses its
    partner needs a search only when it is closed.

    Attributes:
      true_near: for each predicted pixel, the true pixels that it may match.
      predicted_near: for each true pixel, the predicted pixels that it may match.
      size: number of matched pairs.
      true_partner: of each predicted pixel, a true pixel, FREE or ABSENT; 64-bit integers.
      closed: of each true pixel, whether it is; bytes 0 and 1.
    """

    def __init__(self, true_near: Neighbours, predicted_near: Neighbours):
        """Starts without predicted pixels."""
        predicted_count, true_count = len(true_near.ends) - 1, len(predicted_near.ends) - 1
        self.size = 0
        self.true_near = true_near
        self.predicted_near = predicted_near
        self.true_partner = array.array("q", [ABSENT]) * predicted_count
        self.closed = bytearray(true_count)
        self._predicted_partner = [FREE] * true_count  # of each true pixel

    def update(self, removed: Iterable[int], added: Iterable[int]) -> None:
        """Takes predicted pixels out of the map, puts others in, and makes the matching maximum."""
        left = map(self._remove, removed)
        left_and_closed = [true for true in left if true != FREE and self.closed[true]]
        for predicted in added:
            self.true_partner[predicted] = FREE
            self._match_predicted(predicted)
        for true in left_and_closed:
            self._match_true(true)

    def _remove(self, predicted: int) -> int:
        """Takes a predicted pixel out; returns the true pixel that was its partner, or FREE."""
        true = self.true_partner[predicted]
        self.true_partner[predicted] = ABSENT
        if true != FREE:
            self._predicted_partner[true] = FREE
            self.size -= 1
        return true

    def _match_predicted(self, start: int) -> None:
        """Breadth-first search for a free true pixel from a free predicted one.

        Where there is none, all that was seen is closed.
        """
        closed, partner_of, (ids, ends) = self.closed, self._predicted_partner, self.true_near
        seen_from = {}  # true pixel -> predicted pixel
        queue = [start]
        for predicted in queue:
            for true in ids[ends[predicted] : ends[predicted + 1]]:
                if closed[true] or true in seen_from:
                    continue
                seen_from[true] = predicted
                partner = partner_of[true]
                if partner == FREE:
                    self._augment_to_true(true, seen_from)
                    return
                queue.append(partner)
        for true in seen_from:
            closed[true] = 1

    def _match_true(self, start: int) -> None:
        """Breadth-first search for a free predicted pixel from a free true one that was closed.

        Where there is none, all that was seen is open again: it leads to a free true pixel.
        """
        closed, partner_of, (ids, ends) = self.closed, self.true_partner, self.predicted_near
        seen_from = {}  # predicted pixel -> true pixel
        queue = [start]
        for true in queue:
            for predicted in ids[ends[true] : ends[true + 1]]:
                partner = partner_of[predicted]
                if partner == ABSENT or predicted in seen_from:
                    continue
                if partner == FREE:
                    seen_from[predicted] = true
                    self._augment_to_predicted(predicted, seen_from)
                    return
                if closed[partner]:
                    seen_from[predicted] = true
                    queue.append(partner)
        for true in queue:
            closed[true] = 0

    def _augment_to_true(self, true: int, seen_from: dict[int, int]) -> None:
        while true != FREE:
            predicted = seen_from[true]
            left = self.true_partner[predicted]
            self.true_partner[predicted], self._predicted_partner[true] = true, predicted
            true = left
        self.size += 1

    def _augment_to_predicted(self, predicted: int, seen_from: dict[int, int]) -> None:
        while predicted != FREE:
            true = seen_from[predicted]
            left = self._predicted_partner[true]
            self.true_partner[predicted], self._predicted_partner[true] = true, predicted
            predicted = left
        self.size += 1
