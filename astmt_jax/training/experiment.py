"""An experiment made concrete: its data, its network and its training step, on these devices."""

import dataclasses
import os
import pathlib
from collections.abc import Iterator

import jax

from astmt_jax.config import Config
from astmt_jax.datasets import registry
from astmt_jax.evaluation import inference
from astmt_jax.evaluation.network import Evaluation, evaluate_network
from astmt_jax.models.network import Network
from astmt_jax.pipeline import batches as pipeline
from astmt_jax.pipeline.source import Source, check_classes, labelled
from astmt_jax.runtime.interruption import check_stop
from astmt_jax.runtime.sharding import Placement, data_mesh
from astmt_jax.tasks.task import channels_by_name
from astmt_jax.training.checkpoint import Checkpoints
from astmt_jax.training.optimizer import Optimizer, poly_schedule, reversal_schedule
from astmt_jax.training.train_step import TrainState, TrainStep, initial_state
from astmt_jax.weights.files import WeightsError, read_tensors
from astmt_jax.weights.imagenet import load_encoder


@dataclasses.dataclass(frozen=True)
class Splits:
    """The data of an experiment.

    Attributes:
      training: what it learns from.
      evaluation: what it is scored on.
      steps_per_epoch: full batches in `training`.
    """

    training: Source
    evaluation: Source
    steps_per_epoch: int


class Experiment:
    """One configuration, made concrete: dataset, network, training step and devices.

    Raises:
      ValueError: the configuration cannot be built, in one sentence.
    """

    def __init__(self, config: Config):
        self.config = config
        self.dataset = registry.find(config.dataset.name).with_splits(
            config.dataset.train_split, config.dataset.eval_split
        )
        self.tasks = registry.tasks_of(config)
        self.network = Network(config.model, channels_by_name(self.tasks), config.discriminator)
        devices = jax.device_count()
        parts = devices * config.train.accumulate
        if config.train.batch_size % parts:
            raise ValueError(
                f"config.train.batch_size is {config.train.batch_size}, but must be a multiple of "
                f"{parts}: of the number of devices, {devices}, times config.train.accumulate."
            )
        self.placement = Placement(data_mesh(), config.train.shard_parameters)
        self.predict = inference.predictor(self.network, self.tasks)

    def open_splits(self) -> "Splits":
        """Opens the dataset's splits, preparing it where that needs no download.

        A network for one task trains on images labelled for it only.

        Raises:
          ValueError: the dataset does not fit the configuration.
          FileNotFoundError: the dataset has to be prepared first, naming the command.
        """
        config = self.config
        training, evaluation = (
            self.dataset.open(config.dataset.folder, config.dataset.options, split)
            for split in (self.dataset.train_split, self.dataset.eval_split)
        )
        for task in self.tasks:
            if task.name in self.dataset.named_by_options:
                for source in (training, evaluation):
                    check_classes(source, task, config.train.num_threads)
        if len(self.tasks) == 1:
            training = labelled(training, self.tasks[0], config.train.num_threads)
        return Splits(
            training, evaluation, pipeline.steps_per_epoch(training, config.train.batch_size)
        )

    def train_step(self, steps_per_epoch: int, placement: Placement | None = None) -> TrainStep:
        """The update of this experiment, with its schedules, for its own devices or others."""
        config = self.config
        return TrainStep(
            self.network,
            self.tasks,
            Optimizer(config.optimizer, len(self.tasks)),
            poly_schedule(config.optimizer, steps_per_epoch, config.train.epochs),
            reversal_schedule(steps_per_epoch, config.train.epochs),
            config.discriminator.weight,
            config.train.accumulate,
            placement or self.placement,
        )

    def init(self, step: TrainStep) -> TrainState:
        """State before training, placed; every process computes all of it first.

        Raises:
          WeightsError: `model.pretrained` cannot be read or does not fit the encoder.
          FileNotFoundError: there is no such file.
        """
        file = self.config.model.pretrained
        tensors = None if file is None else read_tensors(os.path.expanduser(file))
        state = step.init(jax.random.key(self.config.seed))
        if tensors is not None:
            try:
                params, stats = load_encoder(tensors, state.params, state.stats, self.network)
            except WeightsError as error:
                backbone = self.config.model.backbone
                raise WeightsError(f"{file} does not fit backbone {backbone}: {error}") from error
            state = initial_state(params, stats, step.optimizer)
        return self.placement.put(state)

    def restore(self, step: TrainStep, checkpoints: Checkpoints) -> TrainState:
        """The newest checkpoint's state, placed; FileNotFoundError if there is none."""
        shapes = jax.eval_shape(step.init, jax.random.key(self.config.seed))
        return checkpoints.restore(self.placement.described(shapes))

    def train_batches(
        self, source: Source, num_steps: int, start_step: int = 0
    ) -> Iterator[pipeline.Batch]:
        """This process's share of the batches of steps `start_step` + 1 to `num_steps`.

        See `pipeline.train_batches`.
        """
        train = self.config.train
        return pipeline.train_batches(
            source,
            self.tasks,
            batch_size=train.batch_size,
            image_size=train.image_size,
            augmentation=self.config.augmentation,
            normalize=train.normalize,
            seed=self.config.seed,
            num_steps=num_steps,
            start_step=start_step,
            process_index=jax.process_index(),
            process_count=jax.process_count(),
            num_threads=train.num_threads,
        )

    def evaluate(
        self,
        state: TrainState,
        source: Source,
        num_rows: int,
        notes: pathlib.Path,
        save_to: pathlib.Path | None = None,
    ) -> Evaluation:
        """Scores `state` on `source`, keeping `num_rows` examples for a picture.

        An interrupted evaluation goes on from `notes`; predictions go to `save_to`.

        Raises:
          Interrupted: SIGTERM came, to one of several processes.
        """
        train = self.config.train
        variables = self.placement.replicate(state.evaluated)

        def predict(images: jax.Array) -> dict[str, jax.Array]:
            check_stop()
            return self.predict(*variables, images)

        return evaluate_network(
            self.tasks,
            predict,
            source,
            self.config.evaluation,
            batch_size=train.batch_size,
            image_size=train.image_size,
            normalize=train.normalize,
            sharding=self.placement.batch,
            num_rows=num_rows,
            num_threads=train.num_threads,
            notes=notes,
            save_to=save_to,
        )
