"""How a network sees a picture: whole or in tiles, mirrored, at several scales; and the mean."""

import collections
import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from astmt_jax.evaluation.predictor import resize_prediction
from astmt_jax.pictures import tiles
from astmt_jax.pictures.network_input import NetworkInput
from astmt_jax.tasks.averaging import Averaging

MAX_SCALE = 8
"""Of a picture or a tile, as its size is squared in memory."""


@dataclasses.dataclass(frozen=True)
class Views:
    """In which ways a network sees one picture.

    Attributes:
      tile: side of the tiles that it sees one by one, in the network's pixels; None is the whole
        picture at once.
      overlap: of neighbouring tiles, in pixels; None is an eighth of `tile`.
      flip: also see the mirror image.
      scales: how many times as large as it is the picture, or each tile, is seen.

    Raises:
      ValueError: there is no such view.
    """

    tile: int | None = None
    overlap: int | None = None
    flip: bool = False
    scales: tuple[float, ...] = (1.0,)

    def __post_init__(self):
        object.__setattr__(self, "scales", tuple(self.scales))
        for scale in self.scales:
            if not (math.isfinite(scale) and 0 < scale <= MAX_SCALE):
                raise ValueError(
                    f"A scale is {scale:g}, but must be more than 0 and at most {MAX_SCALE}."
                )
        if not self.scales:
            raise ValueError("There are no scales, but must be one, such as 1.")
        if self.overlap is not None and self.tile is None:
            raise ValueError(f"overlap is {self.overlap}, but there is no tile.")
        if self.tile is not None and self.tile < 1:
            raise ValueError(f"tile is {self.tile}, but must be at least 1.")
        if self.tile is not None and not 0 <= (self.overlap or 0) < self.tile:
            raise ValueError(
                f"overlap is {self.overlap}, but must be at least 0 and less than the tile, "
                f"{self.tile}."
            )

    @property
    def is_plain(self) -> bool:
        """Whether the network sees the picture once, as it is."""
        return self.tile is None and not self.flip and self.scales == (1,)

    def grid(self, stride: int) -> tuple[int, int]:
        """Tile and overlap for a network of an output stride.

        Raises:
          ValueError: a tile begins or ends between two positions of the network's features.
        """
        assert self.tile is not None
        eighth = min(-(-self.tile // (8 * stride)) * stride, self.tile - stride)
        overlap = eighth if self.overlap is None else self.overlap
        for name, length in (("tile", self.tile), ("overlap", overlap)):
            if length % stride:
                below = length // stride * stride
                raise ValueError(
                    f"{name} is {length}, but must be a multiple of the network's output stride, "
                    f"{stride}: such as {below + stride}."
                )
        return self.tile, overlap


PLAIN = Views()
"""Once, as it is."""


def chunks(
    pictures: Sequence[np.ndarray], inputs: Sequence[NetworkInput], views: Views, batch_size: int
) -> list[list[int]]:
    """Which pictures, by index, go through the network together: at most `batch_size` of one shape.

    Args:
      pictures: uint8 (H, W, 3).
      inputs: the size at which the network sees each.
      views: those seen in tiles are alone, as their tiles go together.
      batch_size: at least 1, otherwise a ValueError.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size is {batch_size}, but must be at least 1.")
    groups = collections.defaultdict(list)
    for index, (picture, seen) in enumerate(zip(pictures, inputs, strict=True)):
        shape = seen.padded if views.is_plain else picture.shape
        groups[shape if views.tile is None else index].append(index)
    return [
        group[start : start + batch_size]
        for group in groups.values()
        for start in range(0, len(group), batch_size)
    ]


class ValuePredictor(NamedTuple):
    """A network that gives what tasks average.

    Attributes:
      run: pictures (B, H, W, 3) float32 in 0..255, whose sides are multiples of `stride`, to values
        (B, H, W, c) float32 by task.
      averagings: by task, how these values are averaged.
      stride: the network's output stride.
    """

    run: Callable[[np.ndarray], Mapping[str, np.ndarray]]
    averagings: Mapping[str, Averaging]
    stride: int


def mean_values(
    network: ValuePredictor, pictures: Sequence[np.ndarray], size: int, views: Views
) -> dict[str, np.ndarray]:
    """The mean over mirror images and scales of what each task averages.

    Args:
      network: what predicts.
      pictures: uint8 or float32 (H, W, 3) in 0..255, of one shape.
      size: longer side that a picture has for the network at scale 1.
      views: mirror images and scales; they have nothing to do with tiles.

    Returns:
      By task float32 (B, h, w, c), as large as the network sees the pictures at scale 1.
    """
    image_size = pictures[0].shape[:2]
    content = NetworkInput.of(image_size, size, network.stride).content
    total: dict[str, np.ndarray] = {}
    mirrorings = (False, True) if views.flip else (False,)
    for scale in views.scales:
        seen = NetworkInput.of(image_size, max(1, round(scale * size)), network.stride)
        for mirrored in mirrorings:
            step = -1 if mirrored else 1
            batch = np.stack([seen.scaled(picture[:, ::step]) for picture in pictures])
            outputs = network.run(batch)
            for name, averaging in network.averagings.items():
                values = outputs[name][:, : seen.content[0], : seen.content[1]][:, :, ::step]
                if mirrored:
                    values = averaging.unmirrored(values)
                resized = np.stack([_resized(one, content) for one in values])
                total[name] = total[name] + resized if name in total else resized
    count = np.float32(len(views.scales) * len(mirrorings))
    return {name: values / count for name, values in total.items()}


def _resized(values: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(H, W, c) float32 to `(*size, c)`, of which OpenCV leaves out a single channel's axis."""
    return resize_prediction(values, size).reshape(*size, values.shape[-1])


def tiled_predictions(
    network: ValuePredictor,
    picture: np.ndarray,
    seen: NetworkInput,
    views: Views,
    batch_size: int,
) -> dict[str, np.ndarray]:
    """Predictions of a picture that goes through the network in tiles.

    Every tile is predicted as a picture of its own, mirror images and scales included; where tiles
    overlap, weights that sum to 1 lead from one to the next. All tiles have one shape. In memory
    are the picture, one strip of tiles' values, and what is returned.

    Args:
      network: what predicts.
      picture: uint8 (H, W, 3).
      seen: the size at which the network sees it, as a whole at scale 1.
      views: with a tile.
      batch_size: most tiles at once.

    Returns:
      By task the prediction `(*seen.content[, c])`.
    """
    image = picture if seen.content == picture.shape[:2] else seen.scaled(picture)
    rows, columns = (tiles.Cover.of(side, *views.grid(network.stride)) for side in seen.padded)
    shape = (rows.length, columns.length)

    def values(top: int, lefts: Sequence[int]) -> dict[str, np.ndarray]:
        windows = [tiles.window(image, top, left, shape) for left in lefts]
        return mean_values(network, windows, max(shape), views)

    found: dict[str, np.ndarray] = {}
    height, width = seen.content
    for top, strip in tiles.blended(rows, columns, values, batch_size):
        for name, averaging in network.averagings.items():
            part = averaging.prediction(strip[name][: height - top, :width])
            if name not in found:
                found[name] = np.empty((height, width, *part.shape[2:]), part.dtype)
            found[name][top : top + len(part)] = part
    return found
