"""A trained network for use on any picture: `load(workdir).predict(photo)`."""

import collections
import functools
import os
import pathlib
from collections.abc import Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from astmt_jax import plugins as _plugins
from astmt_jax.config import NORMALIZATIONS, Config
from astmt_jax.datasets import registry
from astmt_jax.evaluation import predictor
from astmt_jax.models.network import Network, Params, Stats, slice_of_task
from astmt_jax.pictures.network_input import NetworkInput
from astmt_jax.pictures.photos import Photo, read_photo
from astmt_jax.tasks.task import Task, channels_by_name
from astmt_jax.training.trained import restore_variables
from astmt_jax.training.workdir import recorded_config


def load(workdir: str | pathlib.Path, plugins: str | pathlib.Path = "") -> "Model":
    """The network of a run's checkpoint, the best with `train.best_by`, otherwise the newest.

    The run may still be going on. Needs neither the dataset nor what training needs besides the
    network.

    Args:
      workdir: folder that `astmt_jax.main` or `astmt_jax.convert` made.
      plugins: what adds the run's tasks, dataset or backbone, as `plugins.load` takes it. Those
        that `config.json` names are not loaded: the folder may come from a stranger.

    Raises:
      FileNotFoundError: the folder holds no run, or no checkpoint yet.
      CheckpointError: no checkpoint can be read.
      ValueError: its settings cannot be read, or need a plugin that is not loaded.
      PluginError: a plugin cannot be loaded.
    """
    _plugins.load(str(plugins))
    workdir = pathlib.Path(os.path.expanduser(workdir))
    config = recorded_config(workdir)
    tasks = registry.tasks_of(config)
    network = Network(config.model, channels_by_name(tasks), config.discriminator)
    trained = restore_variables(workdir, config, network)
    return Model(config, network, tasks, *trained.evaluated, int(trained.step))


class Model:
    """A trained network with its variables.

    The network sees a picture with its aspect ratio kept: the longer side is scaled to `size`
    pixels, both sides are padded to multiples of the output stride by repeating the last row and
    column, and what is predicted for the padding is cut off. (The scores of `astmt_jax.main` are of
    pictures warped to squares, as in training; for square pictures both are the same.) One program
    is compiled for each padded shape, number of images, which are powers of two, and number of
    tasks: it serves all tasks and modulations.

    Attributes:
      config: the run's settings.
      network: the network.
      params: its trained variables.
      stats: its other variables.
      step: batches that it was trained on.
      tasks: records of the tasks, in the order of `config.tasks`.
    """

    def __init__(
        self,
        config: Config,
        network: Network,
        tasks: tuple[Task, ...],
        params: Params,
        stats: Stats,
        step: int,
    ):
        self.config = config
        self.network = network
        self.params = params
        self.stats = stats
        self.step = step
        self.tasks = tasks
        self._features = jax.jit(functools.partial(features, network, config.train.normalize))
        self._prediction = jax.jit(
            lambda *values, name, size: prediction(network, *values, self.task(name), size),
            static_argnames=("name", "size"),
        )

    def task(self, name: str) -> Task:
        """The record of a task; ValueError, listing all, if there is none of that name."""
        for task in self.tasks:
            if task.name == name:
                return task
        raise ValueError(
            f"There is no task {name!r}: the model has {', '.join(self.network.names)}."
        )

    def predict(
        self,
        image: Photo,
        tasks: Sequence[str] | None = None,
        modulation: str | None = None,
        size: int | None = None,
    ) -> dict[str, np.ndarray]:
        """Predictions for one picture, at its own resolution.

        Args:
          image: path, Pillow image or uint8 (H, W, 3) RGB; see `photos.read_photo`.
          tasks: names of tasks; None is all.
          modulation: task whose modulation (batch norm, squeeze-and-excitation, adapters) the
            shared network has for all of them, as the paper shows what attention does; None is
            each task's own.
          size: longer side, in pixels, at which the network sees the picture; None is that of
            training.

        Returns:
          By task, with H and W those of the picture (upright):
            edge, sal: float32 (H, W), probability in 0..1.
            semseg, human_parts: uint8 (H, W), class ids; `task(...).class_names` names them.
            normals: float32 (H, W, 3), unit vectors, x right, y down, z towards the camera.
            depth: float32 (H, W), metres along the optical axis (of FSV: disparity).
            albedo: float32 (H, W, 3) RGB, reflectance in 0..1.

        Raises:
          ValueError: an unknown task, or a picture that cannot be read.
          OSError: a file that cannot be opened.
        """
        return self.predict_batch([image], tasks, modulation, size)[0]

    def predict_batch(
        self,
        images: Sequence[Photo],
        tasks: Sequence[str] | None = None,
        modulation: str | None = None,
        size: int | None = None,
        *,
        batch_size: int = 8,
        resize: bool = True,
    ) -> list[dict[str, np.ndarray]]:
        """Predictions for several pictures; those of one shape go through the network together.

        Args:
          images: as in `predict`, of any sizes.
          tasks: as in `predict`.
          modulation: as in `predict`.
          size: as in `predict`.
          batch_size: most images that go through the network at once.
          resize: bring predictions to the pictures' own resolution; if not, they have that at which
            the network saw the pictures, which saves memory where these are large.

        Returns:
          What `predict` returns, for each picture in order.
        """
        pictures = [read_photo(image) for image in images]
        modulations = self._modulations(tasks, modulation)
        inputs = [self.network_input(picture.shape[:2], size) for picture in pictures]
        predictions: list[dict[str, np.ndarray]] = [{} for _ in pictures]
        for chunk in _chunks([one.padded for one in inputs], batch_size):
            batch = np.stack([inputs[index].scaled(pictures[index]) for index in chunk])
            outputs = self._run(batch, modulations)
            for position, index in enumerate(chunk):
                height, width = inputs[index].content
                size_wanted = pictures[index].shape[:2] if resize else (height, width)
                for name, output in outputs.items():
                    cropped = output[position, :height, :width]
                    predictions[index][name] = predictor.resize_task_prediction(
                        self.task(name), cropped, size_wanted
                    )
        return predictions

    def network_input(self, image_size: tuple[int, int], size: int | None = None) -> NetworkInput:
        """The size at which the network sees a picture of (height, width) `image_size`.

        Raises:
          ValueError: `size` is not positive.
        """
        size = self.config.train.image_size if size is None else size
        return NetworkInput.of(image_size, size, self.config.model.output_stride)

    def colorize(
        self, task: str, prediction: np.ndarray, value_range: tuple[float, float] | None = None
    ) -> np.ndarray:
        """A prediction in colours, uint8 (H, W, 3) RGB.

        Args:
          task: its task's name.
          prediction: as `predict` returns it.
          value_range: ends of the colour scale of depth, in metres; None is the prediction's own.
        """
        return self.task(task).colorize(prediction, value_range)

    def _modulations(
        self, tasks: Sequence[str] | None, modulation: str | None
    ) -> tuple[tuple[str, str], ...]:
        names = self.network.names if tasks is None else tuple(dict.fromkeys(tasks))
        for name in (*names, *([] if modulation is None else [modulation])):
            self.task(name)
        return tuple((name, modulation or name) for name in names)

    def _run(
        self, batch: np.ndarray, modulations: tuple[tuple[str, str], ...]
    ) -> Mapping[str, np.ndarray]:
        """Predictions for a batch (B, H, W, 3), padded to a power of two."""
        missing = (1 << (len(batch) - 1).bit_length()) - len(batch)
        padded = np.pad(batch, [(0, missing), (0, 0), (0, 0), (0, 0)])
        used = list(dict.fromkeys(modulation for _, modulation in modulations))
        numbers = np.array([self.network.names.index(name) for name in used], np.int32)
        modulated = self._features(self.params, self.stats, padded, numbers)
        outputs = {
            name: self._prediction(
                self.params,
                self.stats,
                modulated,
                np.int32(used.index(modulation)),
                name=name,
                size=padded.shape[1:3],
            )
            for name, modulation in modulations
        }
        return {name: jax.device_get(output) for name, output in outputs.items()}


def features(
    network: Network,
    normalize: str,
    params: Params,
    stats: Stats,
    images: jax.Array,
    modulations: jax.Array | np.ndarray,
):
    """The trunk's features of pictures, as `predictor.modulated_features` gives them.

    Args:
      network: what predicts.
      normalize: key of `config.NORMALIZATIONS`.
      params: of all tasks.
      stats: of all tasks.
      images: (B, H, W, 3) RGB in 0..255, uint8 or floating point; H and W are multiples of the
        output stride.
      modulations: (M,) int32, numbers of the tasks whose modulations the trunk gets.
    """
    mean, deviation = (jnp.asarray(value, jnp.float32) for value in NORMALIZATIONS[normalize])
    scaled = (images.astype(jnp.float32) - mean) / deviation
    return predictor.modulated_features(network, params, stats, scaled, modulations)


def prediction(
    network: Network,
    params: Params,
    stats: Stats,
    modulated,
    index: jax.Array | int,
    task: Task,
    size: tuple[int, int],
) -> jax.Array:
    """Prediction `(B, *size[, c])` of one task, as its record's `predict` gives it.

    Args:
      network: what predicts.
      params: of all tasks.
      stats: of all tasks.
      modulated: what `features` gave for M modulations.
      index: () int32, which of them the task reads.
      task: its record.
      size: height and width of the pictures.
    """
    logits = network.head_logits(slice_of_task(modulated, index), task.name, params, stats, size)
    return task.predict(logits)


def _chunks(shapes: Sequence[tuple[int, int]], batch_size: int) -> list[list[int]]:
    """Indices of equal shapes together, at most `batch_size` of them."""
    if batch_size < 1:
        raise ValueError(f"batch_size is {batch_size}, but must be at least 1.")
    groups = collections.defaultdict(list)
    for index, shape in enumerate(shapes):
        groups[shape].append(index)
    return [
        group[start : start + batch_size]
        for group in groups.values()
        for start in range(0, len(group), batch_size)
    ]
