"""Maximum matching of least total distance, which says *which* predicted pixels are correct.

Needed where an image has several ground truths: a predicted pixel is correct when any of them
matches it, so that the size of each matching does not suffice.
"""

import numpy as np

from astmt_jax.metrics.edge_matching import Pairs


def matched_pixels(member: np.ndarray, pairs: Pairs, true_count: int) -> np.ndarray:
    """Marks the predicted pixels that a minimum-distance maximum matching matches.

    Ties between matchings of the same total distance are broken by the solver.

    Args:
      member: (K, N) bool, which predicted maps contain which of N pixels.
      pairs: pairs that may match.
      true_count: number of true pixels.

    Returns:
      (K, N) bool, a subset of `member`.
    """
    matched = np.zeros_like(member)
    for k, present in enumerate(member):
        if k and np.array_equal(present, member[k - 1]):
            matched[k] = matched[k - 1]
        else:
            in_map = present[pairs.predicted]
            matched[k, _assign(Pairs(*(a[in_map] for a in pairs)), true_count)] = True
    return matched


def _assign(pairs: Pairs, true_count: int) -> np.ndarray:
    """Indices of the matched predicted pixels, where `pairs` holds only pixels of one map."""
    # Imported here: all settings name the protocols of edges, and few commands match any.
    from scipy import sparse
    from scipy.sparse.csgraph import min_weight_full_bipartite_matching

    if not len(pairs.predicted):
        return pairs.predicted
    pixels, row = np.unique(pairs.predicted, return_inverse=True)
    distance = np.sqrt(pairs.squared_distance)
    # A slack column for each row means "not matched"; it costs more than any number of detours.
    unmatched = 1 + len(pixels) * (1 + distance.max())
    rows = np.arange(len(pixels))
    # The solver takes an explicit 0 for a missing edge, so all costs are shifted by 1.
    cost = np.concatenate([1 + distance, np.full(len(pixels), unmatched)])
    graph = sparse.coo_array(
        (cost, (np.append(row, rows), np.append(pairs.true, true_count + rows))),
        shape=(len(pixels), true_count + len(pixels)),
    )
    chosen = min_weight_full_bipartite_matching(graph.tocsr())[1]
    return pixels[chosen < true_count]
