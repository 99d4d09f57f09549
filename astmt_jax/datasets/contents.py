"""What a dataset module tells about an unpacked folder, for any builder to store."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence

Stored = dict[str, bytes | None]
"""Map name -> bytes in the form of its kind (`maps.KINDS`), None for a map that is not there."""


@dataclasses.dataclass(frozen=True)
class Contents:
    """Ready to be stored.

    Attributes:
      kinds: map name -> key of `maps.KINDS`; 'image' is one of them.
      splits: split -> names of its examples, in order.
      read: `(split, name) -> maps`, or None for a name that does not belong to the split after all;
        can be pickled, and raises a ValueError of one sentence that names the file at fault.
    """

    kinds: Mapping[str, str]
    splits: Mapping[str, Sequence[str]]
    read: Callable[[str, str], Stored | None]
