"""Maximum matching of least total distance, which says *which* predicted pixels are correct.

Needed where an image has several ground truths: a predicted pixel is correct when any of them
matches it, so that the size of each matching does not suffice. As in `edge_matching`, the matching
of the stricter threshold is repaired instead of computed anew.
"""

import array
import heapq

import numpy as np

from astmt_jax.metrics.edge_matching import ABSENT, FREE, Neighbours, Pairs, changes, with_pairs

_UNIT = 2**20
"""Distances are multiples of 1 / _UNIT, so that sums of them are exact."""
_UNMATCHED = 2.0**24
"""Cost of a true pixel without a partner; more than any number of detours."""


def matched_pixels(member: np.ndarray, pairs: Pairs, true_count: int) -> np.ndarray:
    """Marks the predicted pixels that a minimum-distance maximum matching matches.

    Distances are rounded to 2^-20 pixels. Which of several matchings of the same total distance is
    taken, depends on the order of the maps and pixels only.

    Args:
      member: (K, N) bool, which predicted maps contain which of N pixels; fast when each map
        resembles the next.
      pairs: pairs that may match.
      true_count: number of true pixels.

    Returns:
      (K, N) bool, a subset of `member`.
    """
    matched = np.zeros_like(member)
    left, member, pairs = with_pairs(member, pairs)
    matching = NearestMatching(pairs, member.shape[1], true_count)
    last_first = []
    for removed, added in changes(member):
        for predicted in removed:
            matching.remove(predicted)
        for predicted in added:
            matching.add(predicted)
        last_first.append(np.array(matching.true_partner) >= 0)
    matched[:, left] = last_first[::-1]
    return matched


class NearestMatching:
    """A maximum matching of least total distance, kept so while predicted pixels come and go.

    It is an assignment of every true pixel to a predicted one, or to none at a high cost. Its dual
    prices prove that there is no better one: a predicted pixel has a price of at least 0, and of 0
    if it is free; and no true pixel finds a lower sum of distance and price than what it pays. As
    prices stay right nearly everywhere, a pixel that comes or goes needs one search, along the
    shortest path of reassignments (Dijkstra's, over sums that are never negative), of its
    surroundings.

    Args:
      pairs: that may match.
      predicted_count: number of predicted pixels, none of which is there at first.
      true_count: number of true pixels.

    Attributes:
      true_partner: of each predicted pixel, a true pixel, FREE or ABSENT; 64-bit integers.
    """

    def __init__(self, pairs: Pairs, predicted_count: int, true_count: int):
        distance = np.rint(np.sqrt(pairs.squared_distance) * _UNIT) / _UNIT
        self._true_near = Neighbours.of(pairs.predicted, pairs.true, predicted_count)
        self._predicted_near = Neighbours.of(pairs.true, pairs.predicted, true_count)
        self._from_predicted = Neighbours.of(pairs.predicted, distance, predicted_count).ids
        self._from_true = Neighbours.of(pairs.true, distance, true_count).ids
        self.true_partner = array.array("q", [ABSENT]) * predicted_count
        self._predicted_partner = [FREE] * true_count
        self._price = [0.0] * predicted_count
        self._pays = [_UNMATCHED] * true_count

    def add(self, start: int) -> None:
        """Puts a predicted pixel into the map.

        Paths lead from it to the true pixel that takes it, on to the predicted pixel that this one
        leaves, and so on, to one that stays free or a true pixel that had no partner.
        """
        price, pays, partner_of = self._price, self._pays, self._predicted_partner
        (ids, ends), distances = self._true_near, self._from_predicted
        places = range(ends[start], ends[start + 1])
        price[start] = least = max(0.0, *(pays[ids[i]] - distances[i] for i in places))
        self.true_partner[start] = FREE
        if not least:
            return
        last, newcomer = start, FREE
        lengths, leaver, heap, passed = {start: 0.0}, {}, [(0.0, start)], []
        while heap and heap[0][0] < least:
            length, predicted = heapq.heappop(heap)
            if length > lengths[predicted]:
                continue
            passed.append((length, predicted))
            offer = length + price[predicted]
            for i in range(ends[predicted], ends[predicted + 1]):
                true = ids[i]
                total = offer + distances[i] - pays[true]
                if total >= least:
                    continue
                left = partner_of[true]
                if left == FREE:
                    least, last, newcomer = total, predicted, true
                elif total < lengths.get(left, least):
                    lengths[left], leaver[left] = total, (true, predicted)
                    heapq.heappush(heap, (total, left))
                    if total + price[left] < least:
                        least, last, newcomer = total + price[left], left, FREE
        self._change_prices(passed, -1, least)
        self.true_partner[last] = newcomer
        if newcomer != FREE:
            partner_of[newcomer] = last
        while last != start:
            true, last = leaver[last]
            self.true_partner[last], partner_of[true] = true, last

    def remove(self, predicted: int) -> None:
        """Takes a predicted pixel out of the map."""
        true = self.true_partner[predicted]
        self.true_partner[predicted] = ABSENT
        if true != FREE:
            self._place(true)

    def _place(self, start: int) -> None:
        """Finds a new partner for a true pixel.

        Paths lead from it to the predicted pixel that it takes, on to the true pixel that had this
        one, and so on, to a free predicted pixel or a true pixel that does without.
        """
        price, pays, partner_of = self._price, self._pays, self._predicted_partner
        (ids, ends), distances = self._predicted_near, self._from_true
        least, last, loser = _UNMATCHED, FREE, start
        lengths, taker, heap, passed = {}, {}, [], []
        true, offer = start, 0.0
        while True:
            for i in range(ends[true], ends[true + 1]):
                predicted = ids[i]
                total = offer + distances[i] + price[predicted]
                holder = self.true_partner[predicted]
                if total >= lengths.get(predicted, least) or total >= least or holder == ABSENT:
                    continue
                lengths[predicted], taker[predicted] = total, true
                if holder == FREE:
                    least, last, loser = total, predicted, FREE
                else:
                    heapq.heappush(heap, (total, predicted))
            while heap and heap[0][0] > lengths[heap[0][1]]:
                heapq.heappop(heap)
            if not heap or heap[0][0] >= least:
                break
            length, predicted = heapq.heappop(heap)
            passed.append((length, predicted))
            true = self.true_partner[predicted]
            offer = length - pays[true]
            if offer + _UNMATCHED < least:
                least, last, loser = offer + _UNMATCHED, predicted, true
        self._change_prices(passed, 1, least)
        pays[start] = least
        if loser != FREE:
            partner_of[loser] = FREE
        while last != FREE:
            true = taker[last]
            self.true_partner[last] = true
            last, partner_of[true] = FREE if true == start else partner_of[true], last

    def _change_prices(self, passed: list[tuple[float, int]], sign: int, least: float) -> None:
        """Lets prices of the predicted pixels that a search has passed rise (or fall) by how much
        earlier than its end it did; and what their partners pay."""
        for length, predicted in passed:
            change = sign * max(0.0, least - length)
            self._price[predicted] += change
            true = self.true_partner[predicted]
            if true >= 0:
                self._pays[true] += change
