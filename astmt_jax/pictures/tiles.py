"""Where the tiles of a large picture lie, and how values for them become values for the whole."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

Values = Mapping[str, np.ndarray]
"""By task, maps (B, h, w, c) float32 of B tiles."""


@dataclasses.dataclass(frozen=True)
class Cover:
    """Tiles of one length that cover one side of a picture.

    Attributes:
      starts: of the tiles, ascending; the first is 0, and the last tile ends where the side does.
      weights: float32 (tiles, length), of each tile's pixels; at every pixel of the side those of
        all tiles sum to 1.
    """

    starts: tuple[int, ...]
    weights: np.ndarray

    @classmethod
    def of(cls, side: int, tile: int, overlap: int) -> "Cover":
        """The tiles for a side.

        Neighbours overlap by `overlap` pixels, in which the weight goes from one to the other
        linearly, but for the last two, which overlap by more, so that no tile is shorter.

        Args:
          side: in pixels.
          tile: length of a tile; that of the side if the side is shorter.
          overlap: less than `tile`.
        """
        tile = min(tile, side)
        starts = (*range(0, side - tile, max(1, tile - overlap)), side - tile)
        inside = np.arange(tile) + 0.5  # distances of the pixels' centres from the tile's ends
        ramp = np.minimum(np.minimum(inside, tile - inside) / max(overlap, 0.5), 1)
        total = np.zeros(side)
        for start in starts:
            total[start : start + tile] += ramp
        weights = [ramp / total[start : start + tile] for start in starts]
        return cls(starts, np.array(weights, np.float32))

    @property
    def length(self) -> int:
        """Of a tile, in pixels."""
        return self.weights.shape[1]

    @property
    def side(self) -> int:
        """What is covered, in pixels."""
        return self.starts[-1] + self.length


def window(image: np.ndarray, top: int, left: int, size: tuple[int, int]) -> np.ndarray:
    """Rows and columns of (H, W, 3) from `top` and `left` on, `(*size, 3)`.

    Beyond the image its last row and column are repeated.
    """
    part = image[top : top + size[0], left : left + size[1]]
    beyond = [(0, wanted - found) for wanted, found in zip(size, part.shape[:2], strict=True)]
    return np.pad(part, [*beyond, (0, 0)], mode="edge")


def blended(
    rows: Cover,
    columns: Cover,
    values: Callable[[int, Sequence[int]], Values],
    batch_size: int,
) -> Iterator[tuple[int, dict[str, np.ndarray]]]:
    """Values for the whole picture, strip by strip, so that only one strip is in memory.

    Args:
      rows: tiles along the height.
      columns: tiles along the width.
      values: from the top and the left ends of tiles side by side to what they are given.
      batch_size: most tiles that `values` is asked for at once.

    Yields:
      The first row of a strip, and by task its rows float32 (h, W, c). They are overwritten
      afterwards.
    """
    strip: dict[str, np.ndarray] = {}
    ends = (*rows.starts[1:], rows.side)
    for top, end, row_weights in zip(rows.starts, ends, rows.weights, strict=True):
        for first in range(0, len(columns.starts), batch_size):
            batch = slice(first, first + batch_size)
            lefts = columns.starts[batch]
            for name, maps in values(top, lefts).items():
                shape = (rows.length, columns.side, maps.shape[-1])
                total = strip.setdefault(name, np.zeros(shape, np.float32))
                for left, column_weights, one in zip(
                    lefts, columns.weights[batch], maps, strict=True
                ):
                    weight = row_weights[:, None, None] * column_weights[:, None]
                    total[:, left : left + columns.length] += weight * one
        done = end - top
        yield top, {name: total[:done] for name, total in strip.items()}
        for total in strip.values():
            total[:-done] = total[done:]
            total[len(total) - done :] = 0
