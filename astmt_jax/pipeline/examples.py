"""What the bytes of stored examples hold: from a record to arrays.

An example has an `image` (uint8 RGB), a `name` (unique string) and labels.
"""

import dataclasses
from collections.abc import Callable, Collection, Mapping
from typing import Any, Protocol

from astmt_jax.files.messages import as_written, one_line
from astmt_jax.pipeline.derived import DerivedLabel
from astmt_jax.runtime.quiet_tensorflow import tfds

Example = dict[str, Any]


class SourceError(ValueError):
    """Stored examples cannot be read; one sentence that names them and says what to do."""


class Examples(Protocol):
    """What can be had of the examples of a source."""

    @property
    def keys(self) -> tuple[str, ...]:
        """Of what can be had of an example: stored, or derived from what is."""
        ...

    def parser(self, keys: Collection[str], packed: bool = False) -> Callable[[bytes], Example]:
        """Returns the function from a serialized example to arrays.

        Args:
          keys: only these are decoded.
          packed: give the maps that have one in their packed form.

        The function raises a `SourceError` about an example that is damaged, or whose derived label
        cannot be made.

        Raises:
          ValueError: the examples lack a key.
        """
        ...


@dataclasses.dataclass(frozen=True)
class StoredExamples:
    """Examples as TFDS serializes them.

    Attributes:
      name: what messages call their source.
      features: parses serialized examples; its keys are those of the examples.
      decode: stored features, a dict with any subset of the keys, to the example's entries of the
        same keys, NumPy arrays except the name: uint8 (H, W, 1) class and binary maps, float32
        normals, depth and albedo. A label that an example lacks is `IGNORE` everywhere (normals,
        depth: 0).
      packing: decoders of TFDS by key, for maps that `augment.move` moves faster in a packed form;
        maps that others are derived from are not packed.
      remedy: what to do where examples are damaged.
      derived: labels that are not stored, by key.
    """

    name: str
    features: tfds.features.FeaturesDict
    decode: Callable[[Example], Example]
    packing: Mapping[str, tfds.decode.Decoder] = dataclasses.field(default_factory=dict)
    remedy: str = "prepare the dataset again"
    derived: Mapping[str, DerivedLabel] = dataclasses.field(default_factory=dict)

    @property
    def keys(self) -> tuple[str, ...]:
        """As `Examples.keys`."""
        stored = set(self.features)
        return (
            *self.features,
            *(key for key, it in self.derived.items() if stored.issuperset(it.inputs)),
        )

    def deriving(self, labels: Mapping[str, DerivedLabel]) -> "StoredExamples":
        """The same with further labels, which are made of what is stored."""
        return dataclasses.replace(self, derived={**self.derived, **labels})

    def parser(self, keys: Collection[str], packed: bool = False) -> Callable[[bytes], Example]:
        """As `Examples.parser`."""
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


def _check_name(name: Any) -> None:
    """Refuses what is no name; predictions are written to files that are called so."""
    parts = name.decode().split("/")
    if any(part in ("", ".", "..") or not part.isprintable() for part in parts):
        raise ValueError(f"its name is {name!r}")
