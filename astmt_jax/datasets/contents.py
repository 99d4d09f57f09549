"""What a dataset module tells about its archive, for any builder to store.

Free of TensorFlow, so that worker processes start quickly.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from astmt_jax.datasets.statistics import Statistics, of_example
from astmt_jax.files.messages import as_written
from astmt_jax.files.record_chunks import MAX_EXAMPLE

Stored = dict[str, bytes | None]
"""Map name -> bytes in the form of its kind (`maps.KINDS`), None for a map that is not there."""
MAX_STORED = MAX_EXAMPLE - 2**20
"""Bytes of an example's maps: what stands beside them, such as its name, takes less than 1 MiB."""


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

    def keyed(self, split: str, item: tuple[int, str]) -> list[tuple[int, dict[str, Any]]]:
        """(position, name) to a list of one pair of key and example, or of none.

        Raises:
          ValueError: as `read`; or the example is larger than what is read again.
        """
        index, name = item
        stored = self.read(split, name)
        if stored is None:
            return []
        size = sum(len(data) for data in stored.values() if data is not None)
        if size > MAX_STORED:
            raise ValueError(
                f"{as_written(name)} takes {size / 2**20:,.0f} MiB with its labels, but an example "
                f"may take {MAX_STORED >> 20}: make the picture and its labels smaller."
            )
        return [(index, {"name": name, **stored})]

    def counted(
        self, split: str, item: tuple[int, str]
    ) -> tuple[list[tuple[int, dict[str, Any]]], list[dict[str, Statistics]]]:
        """`keyed`, and the statistics of its labels."""
        examples = self.keyed(split, item)
        return examples, [of_example(self.kinds, stored) for _, stored in examples]


@dataclasses.dataclass(frozen=True)
class Configuration:
    """One of the ways in which an archive can be prepared.

    Attributes:
      description: one sentence.
      arguments: keywords of `Archive.contents`.
    """

    description: str
    arguments: Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Archive:
    """The archive or folder from which a user prepares a dataset.

    Attributes:
      description: of the dataset, one sentence.
      marker: a file by which the dataset's root folder is recognised.
      described: what messages call the archive.
      contents: `(folder, **arguments) -> Contents` of the unpacked archive, with the arguments of
        the configuration; raises a ValueError of one sentence that names the file at fault.
      configurations: those that there are, by name, the default first; if there are none, a user
        may give the prepared data any name.
    """

    description: str
    marker: str
    described: str
    contents: Callable[..., Contents]
    configurations: Mapping[str, Configuration] = dataclasses.field(default_factory=dict)
