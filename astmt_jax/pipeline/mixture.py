"""Several sources as one: each example has labels for the tasks that draw from its source only."""

import dataclasses
import functools
import types
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from astmt_jax.labels import IGNORE
from astmt_jax.pipeline.examples import Example
from astmt_jax.pipeline.geometries import UNKNOWN_IS_ZERO
from astmt_jax.pipeline.source import Part, Source
from astmt_jax.tasks.task import Task


class Member(NamedTuple):
    """A source among several.

    Attributes:
      name: unique among them; the names of its examples begin with it.
      source: the examples.
      tasks: records of the tasks that draw from it.
      images: how many of its examples stand in a group of a batch.
      own_keys: key of a label -> what the source calls it, where that is something else.
    """

    name: str
    source: Source
    tasks: tuple[Task, ...]
    images: int
    own_keys: Mapping[str, str] = types.MappingProxyType({})

    @property
    def labels(self) -> set[str]:
        """Keys of the maps that its tasks need."""
        return {key for task in self.tasks for key in (task.name, task.truth)}

    def own_key(self, key: str) -> str:
        """What the source calls the entry of an example that is called `key` here."""
        return self.own_keys.get(key, key)

    def forms(self, keys: Collection[str]) -> dict[str, tuple[np.dtype, int]]:
        """As `Source.forms`, of some of its labels."""
        forms = self.source.forms({self.own_key(key) for key in keys})
        return {key: forms[self.own_key(key)] for key in keys}


def mixed(name: str, members: Sequence[Member], groups: int | None) -> Source:
    """One source of the examples of several, in their order.

    A serialized example begins with the number of its source, in one byte. Labels for the tasks of
    other sources are unknown everywhere, and no source gives labels but those of its own tasks.

    Args:
      name: what messages call it.
      members: the sources; no task draws from two.
      groups: as `Source.groups`.

    Raises:
      ValueError: a source lacks a label.
    """
    starts = np.cumsum([0, *(member.source.length for member in members)])

    def read(indices: Sequence[int]) -> Sequence[bytes]:
        owners = np.searchsorted(starts, np.asarray(indices, np.int64), side="right") - 1
        records = [b""] * len(owners)
        for number in np.unique(owners).tolist():
            places = np.flatnonzero(owners == number).tolist()
            own = [int(indices[place] - starts[number]) for place in places]
            for place, record in zip(places, members[number].source.read(own), strict=True):
                records[place] = bytes([number]) + record
        return records

    parts = tuple(
        Part(
            member.source.name,
            tuple(task.name for task in member.tasks),
            member.images,
            np.arange(start, start + member.source.length),
        )
        for member, start in zip(members, starts, strict=False)
    )
    stored = tuple(it for member in members for it in member.source.stored)
    examples = MixedExamples(name, tuple(members))
    examples.check()
    return Source(name, int(starts[-1]), read, examples, stored, parts, groups)


@dataclasses.dataclass(frozen=True)
class MixedExamples:
    """What the examples of several sources hold.

    Attributes:
      name: what messages call them.
      members: the sources.
    """

    name: str
    members: tuple[Member, ...]

    @property
    def keys(self) -> tuple[str, ...]:
        """As `Examples.keys`."""
        labels = [key for member in self.members for key in sorted(member.labels)]
        return ("name", "image", *dict.fromkeys(labels))

    def check(self) -> None:
        """Raises ValueError where a source lacks a label of its tasks."""
        for member in self.members:
            member.source.parser(sorted(map(member.own_key, member.labels)))

    def parser(self, keys: Collection[str], packed: bool = False) -> Callable[[bytes], Example]:
        """As `Examples.parser`."""
        missing = sorted(set(keys) - set(self.keys))
        if missing:
            raise ValueError(
                f"{self.name} has no {', '.join(missing)}; it has {', '.join(self.keys)}"
            )
        unknown = self._unknown(keys)
        parsers = [self._parser_of(member, keys, packed, unknown) for member in self.members]
        return lambda record: parsers[record[0]](record[1:])

    def _parser_of(
        self,
        member: Member,
        keys: Collection[str],
        packed: bool,
        unknown: Mapping[str, Callable[[tuple[int, int]], np.ndarray]],
    ) -> Callable[[bytes], Example]:
        own = {"name", "image"} | member.labels
        lacking = [key for key in keys if key not in own]
        present = [key for key in keys if key in own]
        needed = dict.fromkeys(map(member.own_key, [*present, "image"] if lacking else present))
        parse = member.source.parser(needed, packed)

        def parse_own(record: bytes) -> Example:
            parsed = parse(record)
            example = {key: parsed[member.own_key(key)] for key in present}
            if "name" in present:
                example["name"] = f"{member.name}/".encode() + example["name"]
            for key in lacking:
                example[key] = unknown[key](parsed["image"].shape[:2])
            return {key: example[key] for key in keys}

        return parse_own

    def _unknown(self, keys: Collection[str]) -> dict[str, Callable[[tuple[int, int]], np.ndarray]]:
        """Key of a label -> the function from height and width to a map that is unknown."""
        found = {}
        for member in self.members:
            wanted = member.labels & set(keys)
            zero = {task.name for task in member.tasks if task.geometry in UNKNOWN_IS_ZERO}
            for key, (dtype, channels) in member.forms(wanted).items():
                value = 0 if key in zero else IGNORE
                found[key] = functools.partial(_full, channels, value, dtype)
        return found


def _full(channels: int, value: int, dtype: Any, size: tuple[int, int]) -> np.ndarray:
    return np.full((*size, channels), value, dtype)
