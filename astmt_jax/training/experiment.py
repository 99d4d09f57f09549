"""An experiment made concrete: its data, its network and its training step, on these devices."""

import dataclasses
import functools
import os
import pathlib
from collections.abc import Callable, Iterator
from typing import Any

import jax

from astmt_jax.config import Config
from astmt_jax.datasets import registry
from astmt_jax.evaluation import predictor
from astmt_jax.evaluation.baselines import read_baselines
from astmt_jax.evaluation.network import Evaluation, evaluate_network
from astmt_jax.evaluation.scoring import applied_to, conventions
from astmt_jax.metrics.summary import Results, average_drop
from astmt_jax.models.network import Network
from astmt_jax.pipeline import batches as pipeline
from astmt_jax.pipeline.settings import InputSettings
from astmt_jax.pipeline.source import Source
from astmt_jax.pipeline.survey import check_classes, labelled
from astmt_jax.records import check_choice
from astmt_jax.runtime import distributed
from astmt_jax.runtime.interruption import check_stop
from astmt_jax.runtime.sharding import Placement, data_mesh
from astmt_jax.tasks.task import Task, channels_by_name
from astmt_jax.training import criterion, origin, start, trackers
from astmt_jax.training.checkpoint import Checkpoints
from astmt_jax.training.objective import Objective
from astmt_jax.training.optimizer import Optimizer
from astmt_jax.training.schedules import SCHEDULES, learning_rate_schedule, reversal_schedule
from astmt_jax.training.state import TrainedVariables, TrainState, initial_state
from astmt_jax.training.train_step import UPDATES, TrainStep
from astmt_jax.training.trained_tasks import TrainedTasks
from astmt_jax.training.update import Ingredients


@dataclasses.dataclass(frozen=True)
class Splits:
    """The data of an experiment.

    Attributes:
      training: what it learns from.
      evaluation: what it is scored on.
      steps_per_epoch: full batches in `training`.
      validation: what it is evaluated on during training, where that is another split.
    """

    training: Source
    evaluation: Source
    steps_per_epoch: int
    validation: Source | None = None


class Experiment:
    """One configuration, made concrete: dataset, network, training step and devices.

    Raises:
      ValueError: the configuration cannot be built, in one sentence.
      FileNotFoundError: something is left open that depends on the file `model.pretrained` or the
        run `init_from`, and there is no such thing.
    """

    def __init__(self, config: Config):
        self.config = config = origin.settled(config)
        self.input = InputSettings.of(config)
        self.dataset = registry.find(config.dataset.name).with_splits(
            config.dataset.train_split, config.dataset.eval_split
        )
        self.layout = self.dataset.layout(config.dataset.options, config.learning_tasks)
        self.tasks = applied_to(config.evaluation, registry.tasks_of(config))
        self.network = Network(config.model, channels_by_name(self.tasks), config.discriminator)
        check_choice("train.update_rule", config.train.update_rule, UPDATES)
        check_choice("optimizer.schedule", config.optimizer.schedule, SCHEDULES)
        criterion.check_settings(config, self.tasks)
        self.objective = Objective(self.network, self.tasks, config.discriminator.weight)
        self.optimizer = Optimizer(config.optimizer, len(self.tasks))
        self.placement = Placement(data_mesh(), config.train.shard_parameters)
        self.trained_tasks = None
        if config.freeze is not None:
            self.trained_tasks = TrainedTasks(self.network, config.learning_tasks)
        self.predict = predictor.predictor(self.network, self.tasks)

    @property
    def learning_tasks(self) -> tuple[Task, ...]:
        """The records of the tasks that training changes."""
        return tuple(task for task in self.tasks if task.name in self.config.learning_tasks)

    @property
    def scored_by(self) -> dict[str, Any]:
        """What decides what its scores mean, whatever the split: results.json says it."""
        evaluation = self.config.evaluation
        return {
            "dataset": " + ".join(self.dataset.names(self.config.dataset.options)),
            "quantized": evaluation.quantize,
            **conventions(evaluation, self.tasks),
        }

    @functools.cached_property
    def baselines(self) -> Results | None:
        """Results of single-task networks, or None; errors of `read_baselines`."""
        path = self.config.train.baselines
        if path is None:
            return None
        return read_baselines(pathlib.Path(os.path.expanduser(path)), self.tasks, self.scored_by)

    def drops(self, results: Results) -> dict[str, float]:
        """The drop of every task, and 'average', in percent; empty without baselines."""
        if self.baselines is None:
            return {}
        return average_drop(results, self.baselines, self.tasks)

    def check_watching(self) -> None:
        """Checks that what shows the run, and what it is compared with, are there.

        Raises:
          ValueError: a tracker is not installed, or the baselines are missing or do not fit.
        """
        trackers.check_installed(self.config.train.trackers)
        _ = self.baselines

    def check_training(self) -> None:
        """Checks that devices and parts divide a batch, and that batch norm compares something.

        Raises:
          ValueError: they do not, or it would see one value a channel, which it makes 0 whatever
            the image is.
        """
        train, devices = self.config.train, jax.device_count()
        if train.batch_size % (devices * train.accumulate):
            raise ValueError(
                f"config.train.batch_size is {train.batch_size}, but must be a multiple of "
                f"{devices * train.accumulate}: of the number of devices, {devices}, times "
                "config.train.accumulate."
            )
        images = train.batch_size // train.accumulate
        if images * self.network.fewest_positions(train.image_size) > 1:
            return
        raise ValueError(
            f"config.train.batch_size is {train.batch_size} and config.train.accumulate "
            f"{train.accumulate}, which makes parts of one image, but batch norm would see one "
            f"position of it and learn nothing: choose a batch_size of at least "
            f"{2 * train.accumulate}, or a smaller accumulate."
        )

    @property
    def evaluation_input(self) -> InputSettings:
        """The network's input in batches that the devices divide; the last one is padded anyway."""
        devices = jax.device_count()
        batch_size = -(-self.input.batch_size // devices) * devices
        return dataclasses.replace(self.input, batch_size=batch_size)

    def open_splits(self, prepare: bool = True) -> "Splits":
        """Opens the dataset's splits.

        One task alone is trained on images labelled for it only.

        Args:
          prepare: prepares the dataset first where that needs no download; if not, nothing is
            written.

        Raises:
          ValueError: the dataset does not fit the configuration.
          FileNotFoundError: the dataset has to be prepared first, naming the command.
        """
        config = self.config
        opened = self.dataset.open if prepare else self.dataset.open_prepared

        def open_split(split: str, tasks: tuple[str, ...]) -> Source:
            source = opened(config.dataset.folder, config.dataset.options, split)
            return source.labelled_for(tasks)

        training = open_split(self.dataset.train_split, config.learning_tasks)
        evaluation = open_split(self.dataset.eval_split, config.tasks)
        split, validation = config.dataset.validation_split, None
        if split:
            validation = open_split(split, config.tasks)
            if config.train.best_by is not None:
                criterion.check_apart(validation, training, evaluation)
        named = self.dataset.tasks_named_by(config.dataset.options)
        for task in (task for task in self.tasks if task.name in named):
            for source in filter(None, (training, evaluation, validation)):
                of_task = source.labelled_for((task.name,))
                check_classes(of_task, task, config.train.num_threads)
        if len(self.learning_tasks) == 1:
            training = labelled(training, self.learning_tasks[0], config.train.num_threads)
        steps_per_epoch = pipeline.steps_per_epoch(training, config.train.batch_size)
        return Splits(training, evaluation, steps_per_epoch, validation)

    def train_step(self, steps_per_epoch: int, placement: Placement | None = None) -> TrainStep:
        """The update of this experiment, with its schedules, for its own devices or others."""
        config, epochs = self.config, self.config.train.epochs
        objective = self.objective
        if self.trained_tasks is not None:
            objective = Objective(self.trained_tasks.alone, self.learning_tasks, 0.0)
        ingredients = Ingredients(
            objective,
            self.optimizer,
            learning_rate_schedule(config.optimizer, steps_per_epoch, epochs),
            reversal_schedule(steps_per_epoch, epochs),
            config.train.accumulate,
            placement or self.placement,
            self.trained_tasks,
            self.layout,
        )
        return TrainStep(ingredients, config.train.update_rule)

    def init(self, step: TrainStep) -> TrainState:
        """State before training, placed; every process computes all of it first.

        Errors of `start.from_classifier` and `start.from_run`.
        """
        config = self.config
        state = step.init(jax.random.key(config.seed))
        variables = state.params, state.stats
        if config.model.pretrained is not None:
            variables = start.from_classifier(config, self.network, variables)
        if config.init_from is not None:
            replicated = self.placement.replicated
            variables = start.from_run(config, variables, self.trained_tasks, replicated)
        if variables[0] is not state.params:
            state = initial_state(*variables, self.optimizer, self.trained_tasks)
        return self.placement.put(state)

    def restore(self, step: TrainStep, checkpoints: Checkpoints) -> TrainState:
        """The newest checkpoint's state, placed; FileNotFoundError if there is none."""
        shapes = jax.eval_shape(step.init, jax.random.key(self.config.seed))
        return checkpoints.restore(self.placement.described(shapes))

    def train_batches(
        self, source: Source, num_steps: int, start_step: int = 0
    ) -> Iterator[pipeline.Batch]:
        """This process's share of the batches of steps `start_step` + 1 to `num_steps`.

        See `pipeline.batches.train_batches`.
        """
        return pipeline.train_batches(
            source,
            self.learning_tasks,
            self.input,
            self.config.augmentation,
            seed=self.config.seed,
            steps=range(start_step, num_steps),
            share=pipeline.Share.of_this_process(),
        )

    def seen_by_tasks(self, batch: pipeline.Batch) -> list[pipeline.Batch]:
        """What of a batch goes through the network for every task, in the order of `tasks`."""
        update = UPDATES[self.config.train.update_rule]
        return [update.seen(self.layout, batch, task.name) for task in self.tasks]

    def describe_batch(self, batch_size: int) -> pipeline.Batch:
        """Shapes and dtypes of batches of `batch_size` groups (see `layout.Layout`)."""
        images = batch_size * self.layout.size
        return pipeline.describe_batch(self.learning_tasks, images, self.config.train.image_size)

    def evaluate(
        self,
        variables: TrainState | TrainedVariables,
        source: Source,
        num_rows: int,
        notes: pathlib.Path,
        save_to: pathlib.Path | None = None,
        check: Callable[[], None] = check_stop,
    ) -> Evaluation:
        """Scores `variables` on `source`, keeping `num_rows` examples for a picture.

        An interrupted evaluation goes on from `notes`, beside which further processes have files of
        their own; predictions go to `save_to`.

        Raises:
          Interrupted: `check`, called before each batch, says that a signal came; by default
            SIGTERM to one of several processes.
        """
        if not distributed.is_main():
            notes = notes.with_name(f"{notes.name}-{jax.process_index()}")
        evaluated = self.placement.replicate(variables.evaluated)

        def predict(images: jax.Array) -> dict[str, jax.Array]:
            check()
            return self.predict(*evaluated, images)

        return evaluate_network(
            self.tasks,
            predict,
            source,
            self.evaluation_input,
            quantize=self.config.evaluation.quantize,
            sharding=self.placement.batch,
            num_rows=num_rows,
            notes=notes,
            save_to=save_to,
        )
