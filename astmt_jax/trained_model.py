"""A trained network for use on any picture: `load(workdir).predict(photo)`."""

import functools
import os
import pathlib
from collections.abc import Mapping, Sequence

import jax
import numpy as np

from astmt_jax import plugins as _plugins
from astmt_jax.config import Config
from astmt_jax.datasets import registry
from astmt_jax.evaluation.predictor import features, logits, prediction, resize_task_prediction
from astmt_jax.evaluation.views import (
    PLAIN,
    ValuePredictor,
    Views,
    chunks,
    mean_values,
    tiled_predictions,
)
from astmt_jax.models.network import Network
from astmt_jax.models.variables import Params, Stats
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
      workdir: folder that `astmt_jax.main` or `astmt_jax.convert` made, or `astmt_jax.export` for
        a model hub.
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
        self._values = jax.jit(
            lambda *values, name, size: (
                self.task(name).averaged_by().values(logits(network, *values, name, size))
            ),
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
        *,
        tile: int | None = None,
        overlap: int | None = None,
        flip: bool = False,
        scales: Sequence[float] = (1.0,),
    ) -> dict[str, np.ndarray]:
        """Predictions for one picture, at its own resolution.

        With `tile` the network sees the picture at its own resolution (or at `size`), in tiles,
        each as a picture of its own, so that a large picture fits into the memory. With `flip` and
        `scales` it sees the picture, or each tile, several times, and predictions are means: of
        probabilities, of metres, of reflectances, of unit vectors brought back to unit length.

        Args:
          image: path, Pillow image or uint8 (H, W, 3) RGB; see `photos.read_photo`.
          tasks: names of tasks; None is all.
          modulation: task whose modulation (batch norm, squeeze-and-excitation, adapters) the
            shared network has for all of them, as the paper shows what attention does; None is
            each task's own.
          size: longer side, in pixels, at which the network sees the picture; None is that of
            training, with `tile` the picture's own.
          tile: side of the tiles, a multiple of the output stride; None is the whole at once.
          overlap: of neighbouring tiles, a multiple of the output stride; None is an eighth of
            `tile`. In it, weights that sum to 1 lead from one tile to the next.
          flip: also see the mirror image.
          scales: at how many times its size the picture, or each tile, is seen.

        Returns:
          By task, with H and W those of the picture (upright):
            edge, sal: float32 (H, W), probability in 0..1.
            semseg, human_parts: uint8 (H, W), class ids; `task(...).class_names` names them.
            normals: float32 (H, W, 3), unit vectors, x right, y down, z towards the camera.
            depth: float32 (H, W), metres along the optical axis (of FSV: disparity).
            albedo: float32 (H, W, 3) RGB, reflectance in 0..1.

        Raises:
          ValueError: an unknown task, a view that there is not, or a picture that cannot be read.
          OSError: a file that cannot be opened.
        """
        views = Views(tile, overlap, flip, tuple(scales))
        return self.predict_batch([image], tasks, modulation, size, views=views)[0]

    def predict_batch(
        self,
        images: Sequence[Photo],
        tasks: Sequence[str] | None = None,
        modulation: str | None = None,
        size: int | None = None,
        *,
        batch_size: int = 8,
        resize: bool = True,
        views: Views = PLAIN,
    ) -> list[dict[str, np.ndarray]]:
        """Predictions for several pictures; those of one shape go through the network together.

        Args:
          images: as in `predict`, of any sizes.
          tasks: as in `predict`.
          modulation: as in `predict`.
          size: as in `predict`.
          batch_size: most images, or tiles of an image, that go through the network at once.
          resize: bring predictions to the pictures' own resolution; if not, they have that at which
            the network saw the pictures, which saves memory where these are large.
          views: tiles, mirror images and scales, as in `predict`.

        Returns:
          What `predict` returns, for each picture in order.
        """
        modulations = self._modulations(tasks, modulation)
        self.check_views(views, tasks)
        pictures = [read_photo(image) for image in images]
        inputs = [self.network_input(picture.shape[:2], size, views) for picture in pictures]
        predictions: list[dict[str, np.ndarray]] = [{} for _ in pictures]
        for chunk in chunks(pictures, inputs, views, batch_size):
            chosen = [pictures[index] for index in chunk], [inputs[index] for index in chunk]
            outputs = self._outputs(*chosen, modulations, views, batch_size)
            for position, index in enumerate(chunk):
                height, width = inputs[index].content
                size_wanted = pictures[index].shape[:2] if resize else (height, width)
                for name, output in outputs.items():
                    cropped = output[position, :height, :width]
                    predictions[index][name] = resize_task_prediction(
                        self.task(name), cropped, size_wanted
                    )
        return predictions

    def network_input(
        self, image_size: tuple[int, int], size: int | None = None, views: Views = PLAIN
    ) -> NetworkInput:
        """The size at which the network sees a picture of (height, width) `image_size`.

        Raises:
          ValueError: `size` is not positive.
        """
        if size is None:
            size = self.config.train.image_size if views.tile is None else max(image_size)
        return NetworkInput.of(image_size, size, self.config.model.output_stride)

    def check_views(self, views: Views, tasks: Sequence[str] | None = None) -> None:
        """ValueError for ways to see a picture that the network, or a task, does not take."""
        if views.tile is not None:
            views.grid(self.config.model.output_stride)
        if not views.is_plain:
            for name in self.network.names if tasks is None else tasks:
                self.task(name).averaged_by()

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

    def _outputs(
        self,
        pictures: Sequence[np.ndarray],
        inputs: Sequence[NetworkInput],
        modulations: tuple[tuple[str, str], ...],
        views: Views,
        batch_size: int,
    ) -> Mapping[str, np.ndarray]:
        """Predictions by task for pictures that are seen together, as the network sees them."""
        if views.is_plain:
            batch = [seen.scaled(picture) for seen, picture in zip(inputs, pictures, strict=True)]
            return self._run(np.stack(batch), modulations, self._prediction)
        network = ValuePredictor(
            lambda batch: self._run(batch, modulations, self._values),
            {name: self.task(name).averaged_by() for name, _ in modulations},
            self.config.model.output_stride,
        )
        if views.tile is None:
            means = mean_values(network, pictures, max(inputs[0].content), views)
            return {name: network.averagings[name].prediction(means[name]) for name in means}
        ((picture,), (seen,)) = pictures, inputs
        tiled = tiled_predictions(network, picture, seen, views, batch_size)
        return {name: prediction[None] for name, prediction in tiled.items()}

    def _run(
        self,
        batch: np.ndarray,
        modulations: tuple[tuple[str, str], ...],
        head: jax.stages.Wrapped,
    ) -> Mapping[str, np.ndarray]:
        """What `head` makes of a batch (B, H, W, 3), which is padded to a power of two."""
        missing = (1 << (len(batch) - 1).bit_length()) - len(batch)
        padded = np.pad(batch, [(0, missing), (0, 0), (0, 0), (0, 0)])
        used = list(dict.fromkeys(modulation for _, modulation in modulations))
        numbers = np.array([self.network.names.index(name) for name in used], np.int32)
        modulated = self._features(self.params, self.stats, padded, numbers)
        outputs = {
            name: head(
                self.params,
                self.stats,
                modulated,
                np.int32(used.index(modulation)),
                name=name,
                size=padded.shape[1:3],
            )
            for name, modulation in modulations
        }
        return {name: jax.device_get(output)[: len(batch)] for name, output in outputs.items()}
