"""Labels that are not stored, but made of what is."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from astmt_jax.files.messages import one_line


@dataclasses.dataclass(frozen=True)
class DerivedLabel:
    """How the map of one label is made of others, image by image.

    Attributes:
      inputs: keys of an example's entries, such as 'depth' or 'image', as `Source.decode` has them.
      make: these entries, in that order, to the map (H, W, channels).
      channels: of the map.
      dtype: of the map, uint8 or float32.
    """

    inputs: tuple[str, ...]
    make: Callable[..., np.ndarray]
    channels: int
    dtype: type[np.generic]

    def of(self, example: Mapping[str, Any]) -> np.ndarray:
        """The map of an example.

        Raises:
          ValueError: it cannot be made, or has another form; one sentence without its end.
        """
        maps = [example[key] for key in self.inputs]
        try:
            made = np.asarray(self.make(*maps))
        except Exception as error:  # what makes it raises whatever it likes
            raise ValueError(f"{type(error).__name__}: {one_line(error, 200)}") from error
        wanted = (*maps[0].shape[:2], self.channels)
        if made.shape != wanted or made.dtype != self.dtype:
            raise ValueError(
                f"it is {made.dtype} {made.shape}, but must be {np.dtype(self.dtype)} {wanted}"
            )
        return made
