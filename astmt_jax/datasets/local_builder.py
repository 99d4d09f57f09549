"""What our TFDS builders have in common: nothing is downloaded, and no folder is trusted."""

import contextlib
import os
import pathlib
from collections.abc import Generator
from typing import Any

from absl import logging

from astmt_jax.datasets.stored_metadata import FILE_FORMAT, is_prepared, read_splits
from astmt_jax.runtime.quiet_tensorflow import tfds


class LocalInfo(tfds.core.DatasetInfo):
    """Of what a prepared dataset says about itself, the splits; all else is what the code says."""

    def read_from_directory(self, dataset_info_dir: str | os.PathLike) -> None:
        """Reads the splits; a ValueError tells what is wrong with them."""
        self.set_splits(read_splits(pathlib.Path(dataset_info_dir), self.name, str(self.version)))

    def initialize_from_bucket(self) -> None:
        """TFDS would ask the network; nothing of our datasets is there."""


class LocalBuilder(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """A TFDS builder of data that are made here; subclasses describe them by `local_info`.

    It announces no download, as there is none; progress bars say what it does. (TFDS prints the
    announcements whatever the verbosity is.)

    Raises:
      ValueError: there is a folder of prepared data, but it is damaged.
    """

    def __init__(self, **kwargs: Any):
        super().__init__(file_format=FILE_FORMAT, **kwargs)
        is_prepared(pathlib.Path(self.data_dir))

    def local_info(
        self, description: str, features: tfds.features.FeatureConnector
    ) -> tfds.core.DatasetInfo:
        """What `_info` returns; examples keep the order in which they are generated."""
        return LocalInfo(
            builder=self, description=description, features=features, disable_shuffling=True
        )

    def _log_download_bytes(self) -> None:
        pass

    def _log_download_done(self) -> None:
        pass


@contextlib.contextmanager
def quiet_tfds() -> Generator[None]:
    """Hides TFDS's progress bars, which overwrite ours, and its warning that a config is custom."""
    verbosity = logging.get_verbosity()
    logging.set_verbosity(logging.ERROR)
    tfds.disable_progress_bar()
    try:
        yield
    finally:
        tfds.enable_progress_bar()
        logging.set_verbosity(verbosity)
