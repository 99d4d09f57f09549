"""Large maps, row by row, so that what is computed on the way is not as large as they are."""

from collections.abc import Callable

import numpy as np

BAND_PIXELS = 2**22
"""Of the rows that are computed at once."""


def in_bands(function: Callable[[np.ndarray], np.ndarray], values: np.ndarray) -> np.ndarray:
    """What a function of single pixels makes of a map.

    Args:
      function: from a map (h, w[, c]) to another one of as many rows, each pixel for itself.
      values: (H, W[, c]).
    """
    height, width = values.shape[:2]
    rows = max(1, BAND_PIXELS // width)
    first = function(values[:rows])
    if rows >= height:
        return first
    whole = np.empty((height, *first.shape[1:]), first.dtype)
    whole[:rows] = first
    for top in range(rows, height, rows):
        whole[top : top + rows] = function(values[top : top + rows])
    return whole
