"""TFDS builders of the datasets that are read from archives or folders."""

import abc
import dataclasses
import functools
import os
import pathlib
from collections.abc import Iterator
from typing import Any, ClassVar

import tensorflow_datasets as tfds

from astmt_jax.datasets import fsv, nyud, own_data, pascal_context, voc_sbd
from astmt_jax.datasets.contents import Contents
from astmt_jax.datasets.maps import StoredMap
from astmt_jax.datasets.terminal import LocalBuilder, progress_bar
from astmt_jax.files.folder import Folder
from astmt_jax.runtime.workers import ordered_map


@dataclasses.dataclass(frozen=True)
class Preparation:
    """How a dataset is prepared.

    Attributes:
      folder: the unpacked dataset.
      num_workers: processes that read and encode; the data do not depend on it.
      beam: whether Apache Beam distributes the work instead.
    """

    folder: Folder
    num_workers: int = 1
    beam: bool = False


class StoredDataset(LocalBuilder, skip_registration=True):
    """Stores what a dataset module tells about an unpacked folder.

    Examples have a `name` and the maps of `Contents.kinds`; they keep the order of the lists.

    Args:
      preparation: None to read what is prepared already.
      **kwargs: those of every TFDS builder.

    Attributes:
      MARKER: a file by which the dataset's root folder is recognised.
      DESCRIBED: what messages call the source.
    """

    VERSION = tfds.core.Version("1.1.0")
    RELEASE_NOTES: ClassVar[dict[str, str]] = {
        "1.1.0": "Labels are arrays compressed by Zstandard.",
        "1.0.0": "First version: labels are PNG files.",
    }
    MARKER: ClassVar[str]
    DESCRIBED: ClassVar[str]

    def __init__(
        self,
        *,
        preparation: Preparation | None = None,
        file_format: str = "array_record",
        **kwargs: Any,
    ):
        self._preparation = preparation
        super().__init__(file_format=file_format, **kwargs)

    @abc.abstractmethod
    def _contents_of(self, folder: Folder) -> Contents:
        """What the dataset's module tells about the folder."""

    @functools.cached_property
    def _contents(self) -> Contents:
        return self._contents_of(self._preparation.folder)

    def _info(self) -> tfds.core.DatasetInfo:
        return self.dataset_info_from_configs(
            description=type(self).__doc__,
            features=self._features(),
            disable_shuffling=True,
        )

    def _features(self) -> tfds.features.FeaturesDict:
        """Those of the files that are prepared, which can differ from one archive to another."""
        if self._preparation is None:
            return tfds.features.FeaturesDict.from_config(os.fspath(self._data_dir))
        maps = {key: StoredMap(kind) for key, kind in self._contents.kinds.items()}
        return tfds.features.FeaturesDict({"name": tfds.features.Text(), **maps})

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Any]:
        del dl_manager  # nothing is downloaded
        generate = self._transform if self._preparation.beam else self._generate_examples
        return {split: generate(split) for split in self._contents.splits}

    def _generate_examples(self, split: str) -> Iterator[tuple[int, dict[str, Any]]]:
        names = self._contents.splits[split]
        read = functools.partial(self._contents.keyed, split)
        with (
            ordered_map(read, enumerate(names), self._preparation.num_workers) as examples,
            progress_bar() as bar,
        ):
            description = f"{self.name}: preparing {split}"
            for found in bar.track(examples, total=len(names), description=description):
                yield from found

    def _transform(self, split: str) -> Any:
        """The same as a transform of Apache Beam, which is installed with the extra [beam]."""
        import apache_beam as beam

        read = functools.partial(self._contents.keyed, split)
        return (
            f"names_of_{split}" >> beam.Create(list(enumerate(self._contents.splits[split])))
            | f"spread_{split}" >> beam.Reshuffle()
            | f"read_{split}" >> beam.FlatMap(read)
        )


class PascalContext(StoredDataset):
    """PASCAL-Context: edges, semantic segmentation, human parts, normals and saliency."""

    name = "pascal_context"
    MARKER, DESCRIBED = pascal_context.MARKER, pascal_context.DESCRIBED

    def _contents_of(self, folder: Folder) -> Contents:
        return pascal_context.contents(folder)


class Nyud(StoredDataset):
    """NYU Depth v2: edges, semantic segmentation, normals and depth."""

    name = "nyud"
    MARKER, DESCRIBED = nyud.MARKER, nyud.DESCRIBED
    BUILDER_CONFIGS: ClassVar[list[tfds.core.BuilderConfig]] = [
        tfds.core.BuilderConfig(name="classes41", description="With the background as a class."),
        tfds.core.BuilderConfig(name="classes40", description="The background is ignored."),
    ]

    def _contents_of(self, folder: Folder) -> Contents:
        return nyud.contents(folder, int(self.builder_config.name.removeprefix("classes")))


class Fsv(StoredDataset):
    """FSV (GTA): semantic segmentation, albedo and disparity."""

    name = "fsv"
    MARKER, DESCRIBED = fsv.MARKER, fsv.DESCRIBED

    def _contents_of(self, folder: Folder) -> Contents:
        return fsv.contents(folder)


class VocSbd(StoredDataset):
    """PASCAL VOC 2012 and SBD: semantic segmentation."""

    name = "voc_sbd"
    MARKER, DESCRIBED = voc_sbd.MARKER, voc_sbd.DESCRIBED

    def _contents_of(self, folder: Folder) -> Contents:
        return voc_sbd.contents(folder)


class OwnData(StoredDataset):
    """A folder of your own, with any subset of the tasks; each has a configuration's name."""

    name = "own_data"
    MARKER, DESCRIBED = own_data.MARKER, own_data.DESCRIBED

    def _contents_of(self, folder: Folder) -> Contents:
        return own_data.contents(folder)


BUILDERS = {builder.name: builder for builder in (PascalContext, Nyud, Fsv, VocSbd, OwnData)}
"""Dataset name -> its builder."""


def folder_of(dataset: str, config: str | None, data_dir: pathlib.Path) -> pathlib.Path:
    """Where a dataset is stored."""
    return data_dir / dataset / (config or "") / str(BUILDERS[dataset].VERSION)


def make_builder(
    dataset: str, config: str | None, data_dir: pathlib.Path, preparation: Preparation
) -> StoredDataset:
    """The builder that prepares a dataset."""
    return _make(dataset, config, data_dir, preparation)


def open_builder(
    dataset: str, config: str | None, data_dir: pathlib.Path, options: str = ""
) -> StoredDataset:
    """The builder of a prepared dataset, for reading.

    Args:
      dataset: key of `BUILDERS`.
      config: name of its configuration, None where there is one form only.
      data_dir: TFDS data folder.
      options: what --options of the command that prepares it must be; '' for nothing.

    Raises:
      FileNotFoundError: it is not prepared; names the command that does it.
    """
    if not (folder_of(dataset, config, data_dir) / "dataset_info.json").is_file():
        chosen = f" --options={options}" if options else ""
        raise FileNotFoundError(
            f"{dataset} is not prepared in {data_dir}; run: python -m astmt_jax.datasets.prepare "
            f"--dataset={dataset}{chosen} --data_dir={data_dir} --source=PATH, where PATH is "
            f"{BUILDERS[dataset].DESCRIBED}."
        )
    return _make(dataset, config, data_dir, None)


def _make(
    dataset: str, config: str | None, data_dir: pathlib.Path, preparation: Preparation | None
) -> StoredDataset:
    kind = BUILDERS[dataset]
    named = {item.name: item for item in kind.BUILDER_CONFIGS}
    chosen = named.get(config) or (tfds.core.BuilderConfig(name=config) if config else None)
    return kind(config=chosen, data_dir=os.fspath(data_dir), preparation=preparation)
