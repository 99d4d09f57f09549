"""Labelled images with random access: where every stage of the input pipeline reads from.

TensorFlow runs what reads and decodes, in parallel, on the host only.
"""

import dataclasses
import itertools
import pathlib
import types
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from array_record.python import array_record_module  # ty: ignore[missing-module-member]

from astmt_jax.files import record_chunks
from astmt_jax.files.messages import as_written, one_line
from astmt_jax.pipeline.derived import DerivedLabel
from astmt_jax.pipeline.examples import Example, Examples, SourceError, StoredExamples
from astmt_jax.pipeline.iteration import limit_libraries, python_call
from astmt_jax.runtime.quiet_tensorflow import tf, tfds

READ_AT_ONCE = 64


class Stored(NamedTuple):
    """Where examples lie: `file`, in which they are the records `start` to `stop` - 1."""

    file: str
    start: int
    stop: int


class Part(NamedTuple):
    """Examples of a source that have labels for the same tasks.

    Attributes:
      name: what messages call it.
      tasks: names of the tasks.
      images: how many of its examples stand in a group of a batch: see `layout.Layout`.
      indices: int64 (n,), ascending: which examples of the source they are.
    """

    name: str
    tasks: tuple[str, ...]
    images: int
    indices: np.ndarray

    @property
    def groups(self) -> int:
        """Number of groups that the examples fill."""
        return len(self.indices) // self.images


@dataclasses.dataclass(frozen=True)
class Source:
    """Labelled images with random access.

    Attributes:
      name: what messages call it.
      length: number of examples.
      read: indices in 0..length-1 to serialized examples.
      examples: what these hold.
      stored: the records that `from_builder` opened, of which `select` takes some.
      parts: of the examples, where not all have labels for the same tasks; () where they do.
      groups: of a batch that make an epoch; None for as many as the largest part fills.
    """

    name: str
    length: int
    read: Callable[[Sequence[int]], Sequence[bytes]]
    examples: Examples
    stored: tuple[Stored, ...] = ()
    parts: tuple[Part, ...] = ()
    groups: int | None = None

    @classmethod
    def from_builder(
        cls,
        builder: tfds.core.DatasetBuilder,
        split: str,
        decode: Callable[[Example], Example],
        packing: Mapping[str, tfds.decode.Decoder] = types.MappingProxyType({}),
    ) -> "Source":
        """Opens a split of a prepared array_record dataset; slices such as 'val[:100]' and several
        joined, 'train+val', are splits, too.

        Raises:
          ValueError: the split does not exist, is empty or has an example twice, or the files have
            no random access.
          SourceError: a file is missing, damaged or a bomb, or has another number of examples
            than dataset_info.json says.
        """
        info = builder.info
        name = f"{info.full_name}:{as_written(split, 80)}"
        if any(part.split("[")[0] not in info.splits for part in split.split("+")):
            known = ", ".join(info.splits) or "none"
            raise ValueError(f"there is no split {name}; prepared splits: {known}")
        try:
            is_empty = info.splits[split].num_examples == 0
        except (ValueError, RecursionError) as error:  # of many lines, or many parts
            raise ValueError(
                f"there is no {name}: slices are written as val[:100], val[50%:] or train[:9]+val,"
                " and end within the split"
            ) from error
        if is_empty:
            raise ValueError(f"{name} is empty; at least one example is needed")
        if info.file_format.value != "array_record":
            raise ValueError(
                f"{name} is stored as {info.file_format.value}; random access needs"
                " file_format='array_record'"
            )
        remedy = f"remove {builder.data_dir} and prepare the dataset again"
        files = info.splits[split].file_instructions
        stored = tuple(Stored(it.filename, it.skip, it.skip + it.take) for it in files)
        if any(
            part.file == following.file and following.start < part.stop
            for part, following in itertools.pairwise(sorted(stored))
        ):
            raise ValueError(f"{name} has images twice; its parts must not overlap")
        for file in files:
            _check_file(pathlib.Path(file.filename), file.examples_in_shard, remedy)
        records = builder.as_data_source(
            split=split, deserialize_method=tfds.decode.DeserializeMethod.RAW_BYTES
        )

        def read(indices: Sequence[int]) -> Sequence[bytes]:
            try:
                return records.__getitems__(indices)
            except Exception as error:  # the library raises whatever it likes
                raise SourceError(
                    f"Examples of {name} cannot be read ({one_line(error, 120)}): {remedy}."
                ) from error

        examples = StoredExamples(name, info.features, decode, packing, remedy)
        return cls(name, len(records), read, examples, stored)

    def shared_with(self, other: "Source") -> int:
        """How many records both have, before `select`; the same picture stored twice is two."""
        return sum(
            max(0, min(own.stop, its.stop) - max(own.start, its.start))
            for own in self.stored
            for its in other.stored
            if own.file == its.file
        )

    def select(self, indices: Sequence[int]) -> "Source":
        """Returns the source that has only these examples, in this order."""
        read, chosen = self.read, np.asarray(indices, np.int64)
        parts = (
            part._replace(indices=np.flatnonzero(np.isin(chosen, part.indices)))
            for part in self.parts
        )
        return dataclasses.replace(
            self,
            length=len(indices),
            read=lambda positions: read([indices[position] for position in positions]),
            parts=tuple(part for part in parts if len(part.indices)),
        )

    def labelled_for(self, tasks: Collection[str]) -> "Source":
        """Without the parts that have labels for none of these tasks.

        Raises:
          ValueError: it has parts, and none has labels for one of the tasks.
        """
        lacking = [task for task in tasks if all(task not in part.tasks for part in self.parts)]
        if self.parts and lacking:
            raise ValueError(
                f"{self.name} has no examples for {', '.join(lacking)}: it needs a split of each "
                "task's dataset"
            )
        if all(set(part.tasks) & set(tasks) for part in self.parts):
            return self
        kept = [part for part in self.parts if set(part.tasks) & set(tasks)]
        indices = np.sort(np.concatenate([part.indices for part in kept]))
        name = " + ".join(part.name for part in kept)
        return dataclasses.replace(self.select(indices.tolist()), name=name)

    def drawn_from(self) -> tuple[Part, ...]:
        """The parts that batches are drawn from: itself, where there are no others."""
        return self.parts or (Part(self.name, (), 1, np.arange(self.length)),)

    @property
    def keys(self) -> tuple[str, ...]:
        """As `Examples.keys`."""
        return self.examples.keys

    def deriving(self, labels: Mapping[str, DerivedLabel]) -> "Source":
        """The same examples with further labels, which are made of what is stored.

        Raises:
          TypeError: they are several sources', which have their own labels.
        """
        if not isinstance(self.examples, StoredExamples):
            raise TypeError(f"{self.name} has labels of its sources only.")
        return dataclasses.replace(self, examples=self.examples.deriving(labels))

    def parser(self, keys: Collection[str], packed: bool = False) -> Callable[[bytes], Example]:
        """As `Examples.parser`."""
        return self.examples.parser(keys, packed)

    def forms(self, keys: Collection[str]) -> dict[str, tuple[np.dtype, int]]:
        """Type and number of channels of each map; those of the first example are those of all."""
        (record,) = self.read([0])
        example = self.parser(keys)(record)
        return {key: (example[key].dtype, example[key].shape[2]) for key in keys}

    def records(
        self, steps: range, locate: Callable[[int], tuple[np.ndarray, ...]]
    ) -> tf.data.Dataset:
        """Reads the examples that each step asks for.

        Args:
          steps: what to call `locate` with.
          locate: step to int64 columns (n,) of equal length; the last has indices of examples.

        Returns:
          A dataset of tuples: the columns' elements, then the serialized example.
        """
        limit_libraries()

        def read(step: np.ndarray) -> tuple[np.ndarray, ...]:
            columns = locate(int(step))
            return *columns, np.array(self.read(columns[-1].tolist()), dtype=object)

        types = [tf.int64] * len(locate(steps.start)) + [tf.string]

        def load(step: tf.Tensor) -> tuple[tf.Tensor, ...]:
            columns = python_call(read, [step], types)
            for column in columns:
                column.set_shape((None,))
            return tuple(columns)

        dataset = tf.data.Dataset.range(steps.start, steps.stop, steps.step)
        return dataset.map(load, num_parallel_calls=2).unbatch()

    def in_order(self) -> tf.data.Dataset:
        """A dataset of all examples in order, as (index, serialized example)."""

        def locate(start: int) -> tuple[np.ndarray]:
            return (np.arange(start, min(start + READ_AT_ONCE, self.length)),)

        return self.records(range(0, self.length, READ_AT_ONCE), locate)


def _check_file(path: pathlib.Path, count: int, remedy: str) -> None:
    if not path.is_file():
        raise SourceError(f"{path} is missing: {remedy}.")
    try:
        found = record_chunks.check(path)
    except ValueError as error:
        raise SourceError(f"{path} {error}: {remedy}.") from None
    reader = array_record_module.ArrayRecordReader(str(path), options="readahead_buffer_size:0")
    if not reader.ok():
        raise SourceError(f"{path} is truncated or corrupt: {remedy}.")
    reader.close()
    if found != count:
        raise SourceError(
            f"{path} has {found} examples, but dataset_info.json beside it says {count}: {remedy}."
        )
