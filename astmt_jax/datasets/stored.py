"""The TFDS builder of datasets that are read from archives or folders."""

import collections
import dataclasses
import functools
import os
import pathlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar

from astmt_jax.datasets.contents import Archive, Contents
from astmt_jax.datasets.local_builder import LocalBuilder
from astmt_jax.datasets.maps import StoredMap, complete, packing
from astmt_jax.datasets.statistics import Statistics
from astmt_jax.datasets.stored_metadata import is_prepared, read_features
from astmt_jax.datasets.terminal import progress_bar
from astmt_jax.files.folder import Folder
from astmt_jax.pipeline.source import Source
from astmt_jax.runtime.quiet_tensorflow import tfds
from astmt_jax.runtime.workers import ordered_map


@dataclasses.dataclass(frozen=True)
class Preparation:
    """How a dataset is prepared.

    Attributes:
      folder: the unpacked dataset.
      num_workers: processes that read and encode; the data do not depend on it.
      beam: whether Apache Beam distributes the work instead.
      check: is called with the statistics of each label when all is written and nothing counts as
        prepared yet; what it raises ends the preparation. Beam counts nothing.
    """

    folder: Folder
    num_workers: int = 1
    beam: bool = False
    check: Callable[[Mapping[str, Statistics]], None] = lambda statistics: None


class StoredDataset(LocalBuilder, skip_registration=True):
    """Stores what a dataset module tells about an unpacked folder.

    Examples have a `name` and the maps of `Contents.kinds`; they keep the order of the lists.
    Each dataset has a subclass, as TFDS wants names to belong to classes: see `Prepared.builder`.

    Args:
      preparation: None to read what is prepared already.
      **kwargs: those of `LocalBuilder`.

    Raises:
      ValueError: what is prepared is damaged.
    """

    VERSION = tfds.core.Version("1.1.0")
    RELEASE_NOTES: ClassVar[dict[str, str]] = {
        "1.1.0": "Labels are arrays compressed by Zstandard.",
        "1.0.0": "First version: labels are PNG files.",
    }
    _archive: ClassVar[Archive]

    def __init__(self, *, preparation: Preparation | None = None, **kwargs: Any):
        self._preparation = preparation
        self._statistics = collections.defaultdict[str, Statistics](Statistics)
        super().__init__(**kwargs)

    @functools.cached_property
    def _contents(self) -> Contents:
        config = self.builder_config
        chosen = self._archive.configurations.get(config.name) if config else None
        arguments = chosen.arguments if chosen else {}
        return self._archive.contents(self._preparation.folder, **arguments)

    def _info(self) -> tfds.core.DatasetInfo:
        return self.local_info(self._archive.description, self._features())

    def _features(self) -> tfds.features.FeatureConnector:
        """Those of the files that are prepared, which can differ from one archive to another."""
        if self._preparation is None:
            return read_features(pathlib.Path(self._data_dir))
        maps = {key: StoredMap(kind) for key, kind in self._contents.kinds.items()}
        return tfds.features.FeaturesDict({"name": tfds.features.Text(), **maps})

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Any]:
        del dl_manager  # nothing is downloaded
        generate = self._transform if self._preparation.beam else self._generate_examples
        return {split: generate(split) for split in self._contents.splits}

    def _generate_examples(self, split: str) -> Iterator[tuple[int, dict[str, Any]]]:
        names = self._contents.splits[split]
        read = functools.partial(self._contents.counted, split)
        with (
            ordered_map(read, enumerate(names), self._preparation.num_workers) as examples,
            progress_bar() as bar,
        ):
            description = f"{self.name}: preparing {split}"
            for keyed, counted in bar.track(examples, total=len(names), description=description):
                for labels in counted:
                    for label, found in labels.items():
                        self._statistics[label].add(found)
                yield from keyed

    def _download_and_prepare(self, dl_manager: tfds.download.DownloadManager, **kwargs) -> None:
        """Writes to a folder that TFDS renames afterwards."""
        super()._download_and_prepare(dl_manager, **kwargs)
        self._preparation.check(self._statistics)

    def _transform(self, split: str) -> Any:
        """The same as a transform of Apache Beam, which is installed with the extra [beam]."""
        import apache_beam as beam

        read = functools.partial(self._contents.keyed, split)
        return (
            f"names_of_{split}" >> beam.Create(list(enumerate(self._contents.splits[split])))
            | f"spread_{split}" >> beam.Reshuffle()
            | f"read_{split}" >> beam.FlatMap(read)
        )


@dataclasses.dataclass(frozen=True)
class Prepared:
    """What was, or is to be, prepared from an archive.

    Attributes:
      dataset: its name.
      archive: what it is prepared from.
      config: name of the configuration; None if there is none.
      data_dir: TFDS data folder.
      options: what --options of the command that prepares it must be; '' for nothing.
    """

    dataset: str
    archive: Archive
    config: str | None
    data_dir: pathlib.Path
    options: str = ""

    @property
    def folder(self) -> pathlib.Path:
        """Where it is stored."""
        return self.data_dir / self.dataset / (self.config or "") / str(StoredDataset.VERSION)

    @property
    def is_complete(self) -> bool:
        """Whether it is there; errors of `is_prepared`."""
        return is_prepared(self.folder)

    def builder(self, preparation: Preparation | None) -> StoredDataset:
        """The builder that prepares it, or with None, only reads it."""
        kind = _builder_class(self.dataset, self.archive)
        named = {item.name: item for item in kind.BUILDER_CONFIGS}
        config = named.get(self.config)
        if self.config and config is None:
            config = tfds.core.BuilderConfig(name=self.config)
        return kind(config=config, data_dir=os.fspath(self.data_dir), preparation=preparation)

    def open(self) -> StoredDataset:
        """The builder that reads it.

        Raises:
          FileNotFoundError: it is not prepared; names the command that does it.
          ValueError: it is damaged.
        """
        if not self.is_complete:
            chosen = f" --options={self.options}" if self.options else ""
            raise FileNotFoundError(
                f"{self.dataset} is not prepared in {self.data_dir}; run: "
                f"python -m astmt_jax.datasets.prepare --dataset={self.dataset}{chosen} "
                f"--data_dir={self.data_dir} --source=PATH, where PATH is "
                f"{self.archive.described}."
            )
        return self.builder(None)

    def open_split(self, split: str) -> Source:
        """One of its splits; errors of `open` and `Source.from_builder`."""
        builder = self.open()
        features = builder.info.features
        return Source.from_builder(builder, split, complete(features), packing(features))


def _builder_class(dataset: str, archive: Archive) -> type[StoredDataset]:
    """The subclass of a dataset."""

    class Builder(StoredDataset, skip_registration=True):
        name = dataset
        _archive = archive
        BUILDER_CONFIGS: ClassVar[list[tfds.core.BuilderConfig]] = [
            tfds.core.BuilderConfig(name=config, description=configuration.description)
            for config, configuration in archive.configurations.items()
        ]

    return Builder
