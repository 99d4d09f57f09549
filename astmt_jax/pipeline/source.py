"""Labelled images with random access: where every stage of the input pipeline reads from.

TensorFlow runs what reads and decodes, in parallel, on the host only.
"""

import dataclasses
import itertools
import pathlib
import types
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from array_record.python import array_record_module  # ty: ignore[missing-module-member]

from astmt_jax.files import record_chunks
from astmt_jax.files.messages import as_written, one_line
from astmt_jax.pipeline.derived import DerivedLabel
from astmt_jax.pipeline.iteration import limit_libraries, python_call
from astmt_jax.runtime.quiet_tensorflow import tf, tfds

Example = dict[str, Any]

READ_AT_ONCE = 64


class SourceError(ValueError):
    """Stored examples cannot be read; one sentence that names them and says what to do."""


class Stored(NamedTuple):
    """Where examples lie: `file`, in which they are the records `start` to `stop` - 1."""

    file: str
    start: int
    stop: int


@dataclasses.dataclass(frozen=True)
class Source:
    """Labelled images with random access.

    Attributes:
      name: what messages call it.
      length: number of examples.
      read: indices in 0..length-1 to serialized examples.
      features: parses serialized examples; its keys are those of the examples: `image` (uint8 RGB),
        `name` (unique string), labels.
      decode: stored features, a dict with any subset of the keys, to the example's entries of the
        same keys, NumPy arrays except the name: uint8 (H, W, 1) class and binary maps, float32
        normals, depth and albedo. A label that an example lacks is `IGNORE` everywhere (normals,
        depth: 0).
      packing: decoders of TFDS by key, for maps that `augment.move` moves faster in a packed form.
      remedy: what to do where examples are damaged.
      stored: the records that `from_builder` opened, of which `select` takes some.
      derived: labels that are not stored, by key.
    """

    name: str
    length: int
    read: Callable[[Sequence[int]], Sequence[bytes]]
    features: tfds.features.FeaturesDict
    decode: Callable[[Example], Example]
    packing: Mapping[str, tfds.decode.Decoder] = dataclasses.field(default_factory=dict)
    remedy: str = "prepare the dataset again"
    stored: tuple[Stored, ...] = ()
    derived: Mapping[str, DerivedLabel] = dataclasses.field(default_factory=dict)

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

        return cls(name, len(records), read, info.features, decode, packing, remedy, stored)

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
        read = self.read
        return dataclasses.replace(
            self,
            length=len(indices),
            read=lambda positions: read([indices[position] for position in positions]),
        )

    @property
    def keys(self) -> tuple[str, ...]:
        """Of what can be had of an example: stored, or derived from what is."""
        stored = set(self.features)
        return (
            *self.features,
            *(key for key, it in self.derived.items() if stored.issuperset(it.inputs)),
        )

    def deriving(self, labels: Mapping[str, DerivedLabel]) -> "Source":
        """The same examples with further labels, which are made of what is stored."""
        return dataclasses.replace(self, derived={**self.derived, **labels})

    def parser(self, keys: Collection[str], packed: bool = False) -> Callable[[bytes], Example]:
        """Returns the function from a serialized example to arrays.

        Args:
          keys: only these are decoded.
          packed: give the maps of `packing` in their packed form, but those that others are
            derived from.

        The function raises a `SourceError` about an example that is damaged, or whose derived label
        cannot be made.

        Raises:
          ValueError: the examples lack a key.
        """
        derived = {key: self.derived[key] for key in keys if key in self.derived}
        inputs = {key for label in derived.values() for key in label.inputs}
        stored = (set(keys) - derived.keys()) | inputs
        missing = sorted(stored - set(self.features))
        if missing:
            lacks, has = (
                ("has", self.keys) if inputs.isdisjoint(missing) else ("stores", self.features)
            )
            raise ValueError(
                f"{self.name} {lacks} no {', '.join(missing)}; it has {', '.join(has)}"
            )
        wanted = tfds.decode.PartialDecoding(dict.fromkeys(stored, True))
        features: Any = wanted.extract_features(self.features)  # like them, a FeaturesDict
        kept = self.packing.keys() & stored - inputs if packed else ()
        decoders = {key: self.packing[key] for key in kept}

        def parse(record: bytes) -> Example:
            try:
                example = self.decode(features.deserialize_example_np(record, decoders=decoders))
                if "name" in example:
                    _check_name(example["name"])
            except Exception as error:  # decoders raise whatever they like
                reason = one_line(error.__cause__ or error, 120)
                raise SourceError(
                    f"{self._called(record)} of {self.name} is damaged ({reason}): {self.remedy}."
                ) from error
            for key, label in derived.items():
                try:
                    example[key] = label.of(example)
                except ValueError as error:
                    raise SourceError(
                        f"{self._called(record)} of {self.name} has no {key} ({error}), which a "
                        f"plugin makes of {', '.join(label.inputs)}: mend the plugin."
                    ) from error
            return {key: example[key] for key in keys}

        return parse

    def _called(self, record: bytes) -> str:
        """What a message calls an example."""
        wanted: Any = tfds.decode.PartialDecoding({"name": True}).extract_features(self.features)
        try:
            name = wanted.deserialize_example_np(record)["name"].decode()
        except Exception:
            return "An example"
        return f"The example {as_written(name, 80)}"

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


def _check_name(name: Any) -> None:
    """Refuses what is no name; predictions are written to files that are called so."""
    parts = name.decode().split("/")
    if any(part in ("", ".", "..") or not part.isprintable() for part in parts):
        raise ValueError(f"its name is {name!r}")
