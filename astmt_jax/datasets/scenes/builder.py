"""TFDS builder of `scenes`: storage, preparation and decoding."""

import io
import os
import pathlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from astmt_jax.datasets.exclusive import preparing
from astmt_jax.datasets.local_builder import LocalBuilder, quiet_tfds
from astmt_jax.datasets.scenes import generate
from astmt_jax.datasets.scenes.options import ScenesOptions, check_integer
from astmt_jax.datasets.stored_metadata import is_prepared
from astmt_jax.datasets.terminal import progress_bar
from astmt_jax.files.picture_size import picture_size
from astmt_jax.pipeline.source import Source
from astmt_jax.runtime.console import CONSOLE
from astmt_jax.runtime.quiet_tensorflow import tfds
from astmt_jax.runtime.workers import ordered_map


class _Png(tfds.features.Image):
    """A PNG picture of one size, which is looked at before it is decoded."""

    def decode_example_np(self, example: bytes) -> np.ndarray:
        size = picture_size(example)
        if size != self.shape[:2]:
            raise ValueError(f"a picture has {size[0]} x {size[1]} pixels")
        pixels = super().decode_example_np(example)
        if pixels.shape != self.shape or pixels.dtype != self.np_dtype:
            raise ValueError(f"a picture is {pixels.dtype} {pixels.shape}")
        return pixels


class Scenes(LocalBuilder):
    """Rooms and outdoor grounds with exact ground truth for all seven tasks.

    Args:
      options: size and seed.
      num_workers: processes that render during preparation; the data do not depend on it.
      **kwargs: those of `LocalBuilder`.
    """

    name = "scenes"
    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First version of the generator."}  # noqa: RUF012 (TFDS's form)

    def __init__(
        self,
        *,
        options: ScenesOptions | None = None,
        num_workers: int = 1,
        **kwargs,
    ):
        check_integer("num_workers", num_workers, 1)
        self._num_workers = num_workers
        self._options = options or ScenesOptions()
        config = tfds.core.BuilderConfig(name=self._options.name)
        super().__init__(config=config, **kwargs)

    def _info(self) -> tfds.core.DatasetInfo:
        size = self._options.image_size

        def png(channels: int, dtype: type[np.unsignedinteger]) -> tfds.features.Image:
            return _Png(shape=(size, size, channels), dtype=dtype, encoding_format="png")

        features = {
            "name": tfds.features.Text(),
            "image": png(3, np.uint8),
            "edge": png(1, np.uint8),
            "semseg": png(1, np.uint8),
            "human_parts": png(1, np.uint8),
            "normals": png(3, np.uint16),
            "sal": png(1, np.uint8),
            "depth": png(1, np.uint16),
            "albedo": png(3, np.uint8),
            "label_map": png(1, np.uint16),
        }
        return self.local_info(str(__doc__), tfds.features.FeaturesDict(features))

    def _split_generators(self, dl_manager):
        del dl_manager  # nothing is downloaded
        counts = (self._options.num_train, self._options.num_val)
        return {
            split: self._generate_examples(split, count)
            for split, count in zip(generate.SPLITS, counts, strict=True)
        }

    def _generate_examples(self, split: str, count: int) -> Iterator[tuple[int, dict]]:
        recipe = generate.Recipe(self._options.seed, split, self._options.image_size)
        with (
            ordered_map(recipe.encoded, range(count), self._num_workers) as examples,
            progress_bar() as bar,
        ):
            tracked = bar.track(examples, total=count, description=f"scenes: rendering {split}")
            for index, example in enumerate(tracked):
                files = {key: io.BytesIO(png) for key, png in example.items()}
                yield index, {"name": recipe.name(index), **files}


def prepare(
    options: ScenesOptions,
    data_dir: str | os.PathLike,
    num_workers: int | None = None,
) -> Scenes:
    """Renders the dataset unless it is there already, or another process renders it.

    An interrupted preparation leaves nothing under the dataset's final folder and can be repeated.
    What another process renders is waited for.

    Args:
      options: size and seed.
      data_dir: TFDS data folder; the dataset goes to data_dir/scenes/CONFIG/VERSION.
      num_workers: rendering processes; all cores by default.

    Returns:
      The builder, ready for reading.

    Raises:
      ValueError: if `num_workers` is not a whole number above 0, or what is there is damaged.
    """
    workers = (os.cpu_count() or 1) if num_workers is None else num_workers
    root = pathlib.Path(os.path.expanduser(data_dir))
    with quiet_tfds():
        builder = Scenes(options=options, data_dir=root, num_workers=workers)
        folder = pathlib.Path(builder.data_dir)
        if is_prepared(folder):
            return builder
        with preparing(folder, root, f"scenes-{options.name}", _tell):
            if not is_prepared(folder):
                builder.download_and_prepare(
                    download_config=tfds.download.DownloadConfig(try_download_gcs=False)
                )
                return builder
        return Scenes(options=options, data_dir=root, num_workers=workers)


def _tell(holder: str) -> None:
    CONSOLE.print(f"The same scenes are rendered by {holder}: waiting ...", markup=False)


def open_split(options: ScenesOptions, data_dir: pathlib.Path, split: str) -> Source:
    """A split, rendered first if need be; errors of `Source.from_builder`."""
    return Source.from_builder(prepare(options, data_dir), split, decode)


def open_prepared(options: ScenesOptions, data_dir: pathlib.Path, split: str) -> Source:
    """A split that is rendered already; errors of `Source.from_builder`.

    Raises:
      FileNotFoundError: it is not.
    """
    folder = data_dir / Scenes.name / options.name / str(Scenes.VERSION)
    if not is_prepared(folder):
        raise FileNotFoundError(
            f"scenes with these options is not rendered in {data_dir}: training does that."
        )
    with quiet_tfds():
        return Source.from_builder(Scenes(options=options, data_dir=str(data_dir)), split, decode)


def decode(features: dict[str, Any]) -> dict[str, Any]:
    """Turns a stored record into an example.

    Args:
      features: one record or any part of it, its images decoded by TFDS.

    Returns:
      The same keys as `render` returns them, and `name`, a string of bytes. Normals carry the
      rounding of their 16-bit codes (1.6e-5 per component), depth that of its code (0.25 mm).
    """
    return {
        key: _DECODERS[key](value) if key in _DECODERS else value for key, value in features.items()
    }


def _decode_normals(codes: np.ndarray) -> np.ndarray:
    normals = (codes.astype(np.float32) - 1) * np.float32(generate.NORMAL_STEP) - 1
    return np.where(codes > 0, normals, np.float32(0))


_DECODERS = {
    "normals": _decode_normals,
    "depth": lambda codes: codes * np.float32(generate.DEPTH_STEP),
    "albedo": lambda codes: codes / np.float32(255),
    "label_map": lambda codes: codes.astype(np.int32),
}
