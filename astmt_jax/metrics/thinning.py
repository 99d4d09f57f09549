"""Morphological thinning of many nested edge maps at once.

The maps of one image at all thresholds are kept as bit planes: bit k of a pixel's word says
whether the pixel belongs to map k. Thinning is a Boolean function of the eight neighbours, so that
one pass of bitwise operations thins 64 maps, and only pixels whose neighbourhood changed are looked
at again.
"""

import numpy as np

# (dy, dx) of the neighbours x1..x8 of Guo and Hall: east, then counter-clockwise.
_NEIGHBOURS = ((0, 1), (-1, 1), (-1, 0), (-1, -1), (0, -1), (1, -1), (1, 0), (1, 1))
_BLOCK = 8192  # pixels at a time, so that intermediate results stay in the cache


def thin(mask: np.ndarray) -> np.ndarray:
    """Thins one binary map, (H, W) bool, to lines one pixel wide.

    Guo and Hall, "Parallel thinning with two-subiteration algorithms" (CACM 1989), algorithm A1, to
    convergence; equal to `skimage.morphology.thin` and to MATLAB's `bwmorph(mask, "thin", Inf)`.
    """
    y, x, member = thin_levels(mask.astype(np.uint8), 1)
    thinned = np.zeros(mask.shape, bool)
    thinned[y[member[0]], x[member[0]]] = True
    return thinned


def thin_levels(levels: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Thins the nested maps `levels > 0`, ..., `levels > count - 1`, each as `thin` does.

    Args:
      levels: (H, W) integers in 0..count, the number of maps that contain the pixel.
      count: number of maps, K.

    Returns:
      y, x: (N,) int, the pixels that remain in any of the thinned maps, in row order.
      member: (K, N) bool, which of the thinned maps contain them.
    """
    y, x = np.nonzero(levels)
    neighbours = _neighbour_ids(y, x, levels.shape)
    words = _bit_planes(levels[y, x], count)
    planes = np.stack([_thin_planes(word, neighbours) for word in words])
    left = planes.any(axis=0)
    octets = np.ascontiguousarray(planes[:, left].T, dtype="<u8").view(np.uint8)
    bits = np.unpackbits(octets, axis=1, count=count, bitorder="little")
    return y[left], x[left], bits.T.astype(bool, order="C")


def _bit_planes(levels: np.ndarray, count: int) -> np.ndarray:
    """(W, N) uint64 with the lowest levels[i] bits of pixel i set; word 0 holds bits 0..63."""
    table = np.tri(count + 1, -(-count // 64) * 64, k=-1, dtype=bool)
    words = np.packbits(table, axis=1, bitorder="little").view("<u8").astype(np.uint64)
    return words[levels].T


def _thin_planes(planes: np.ndarray, neighbours: np.ndarray) -> np.ndarray:
    """Thins 64 maps to convergence: (N,) uint64, of pixels with the given `_neighbour_ids`."""
    planes = np.append(planes, np.uint64(0))  # background
    active = previous = np.flatnonzero(planes)
    second = False
    while True:
        removed = np.empty(len(active), np.uint64)
        for start in range(0, len(active), _BLOCK):
            block = slice(start, start + _BLOCK)
            around = np.take(planes, np.take(neighbours, active[block], axis=1))
            removed[block] = planes[active[block]] & _removable(around, second)
        planes[active] ^= removed
        changed = active[removed != 0]
        if not len(changed) and not len(previous):
            return planes[:-1]
        # The next sub-iteration last looked at its pixels two steps ago.
        dirty = np.zeros(len(planes), bool)
        dirty[np.take(neighbours, np.concatenate([previous, changed]), axis=1)] = True
        dirty[-1] = False
        active = np.flatnonzero(dirty)
        previous = changed
        second = not second


def _removable(neighbours: np.ndarray, second: bool) -> np.ndarray:
    """Bits of the pixels that one sub-iteration of the algorithm removes, given x1..x8."""
    x1, x2, x3, x4, x5, x6, x7, x8 = neighbours
    crossings = (~x1 & (x2 | x3), ~x3 & (x4 | x5), ~x5 & (x6 | x7), ~x7 & (x8 | x1))
    pairs = (x1 | x2, x3 | x4, x5 | x6, x7 | x8)
    shifted_pairs = (x2 | x3, x4 | x5, x6 | x7, x8 | x1)
    simple = _any(crossings) & ~_two(crossings)
    end = ~(_two(pairs) & _two(shifted_pairs))
    inner = _all(pairs) & _all(shifted_pairs)
    side = (x6 | x7 | ~x4) & x5 if second else (x2 | x3 | ~x8) & x1
    return simple & ~(end | inner | side)


def _any(a: tuple[np.ndarray, ...]) -> np.ndarray:
    return a[0] | a[1] | a[2] | a[3]


def _two(a: tuple[np.ndarray, ...]) -> np.ndarray:
    """Bits set in at least two of four words."""
    return (a[0] & a[1]) | (a[2] & a[3]) | ((a[0] | a[1]) & (a[2] | a[3]))


def _all(a: tuple[np.ndarray, ...]) -> np.ndarray:
    return a[0] & a[1] & a[2] & a[3]


def _neighbour_ids(y: np.ndarray, x: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """(8, N) int32 index of each pixel's neighbours in the list (y, x); N for those not in it."""
    width = shape[1] + 2
    ids = np.full((shape[0] + 2) * width, len(y), np.int32)
    at = (y + 1) * width + x + 1
    ids[at] = np.arange(len(y))
    return np.stack([np.take(ids, at + dy * width + dx) for dy, dx in _NEIGHBOURS])
