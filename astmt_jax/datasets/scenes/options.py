"""Size and seed of the `scenes` dataset."""

import dataclasses

import numpy as np

_SIZES = (64, 512)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ScenesOptions:
    """Size and seed of the dataset; the name under which it is prepared follows from them.

    Attributes:
      image_size: width and height in pixels, 64 to 512.
      num_train: number of training examples, at least 1.
      num_val: number of validation examples, at least 1.
      seed: of all randomness, 0 or more.

    Raises:
      ValueError: if a field is not a whole number in its range.
    """

    image_size: int = 96
    num_train: int = 2000
    num_val: int = 300
    seed: int = 0

    def __post_init__(self):
        check_integer("image_size", self.image_size, *_SIZES)
        check_integer("num_train", self.num_train, 1)
        check_integer("num_val", self.num_val, 1)
        check_integer("seed", self.seed, 0)

    @property
    def name(self) -> str:
        """That of the folder with the dataset of this size and seed."""
        return f"{self.image_size}px_{self.num_train}train_{self.num_val}val_seed{self.seed}"


def check_integer(name: str, value: object, low: int, high: int | None = None) -> None:
    """Raises a ValueError naming the field unless `value` is a whole number in low..high."""
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if whole and value >= low and (high is None or value <= high):
        return
    wanted = f"at least {low}" if high is None else f"from {low} to {high}"
    raise ValueError(f"scenes: {name} is {value!r}, but must be a whole number {wanted}.")
