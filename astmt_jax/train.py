"""The training loop: data, step, log, checkpoint; then evaluation, table and picture."""

import json
import pathlib
from typing import Any

import jax
import numpy as np
from clu import metric_writers
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from rich.console import Console

from astmt_jax import evaluate, pipeline, tables, visualize
from astmt_jax.checkpoint import Checkpoints
from astmt_jax.config import Config
from astmt_jax.datasets import registry
from astmt_jax.models.network import Network, parameter_count
from astmt_jax.optimizer import Optimizer, poly_schedule, reversal_schedule
from astmt_jax.progress import LossAverage, Progress
from astmt_jax.source import Source, labelled
from astmt_jax.train_step import TrainState, TrainStep

RESULTS_FILE = "results.json"
PANELS_FILE = "panels.png"
PANEL_ROWS = 4


class Experiment:
    """One configuration, made concrete: dataset, network, training step and devices.

    Raises:
      ValueError: the configuration cannot be built, in one sentence.
    """

    def __init__(self, config: Config):
        self.config = config
        self.dataset = registry.find(config.dataset.name)
        tasks = registry.select_tasks(config.dataset.name, config.tasks)
        self.network = Network(config.model, tasks, config.discriminator)
        devices = jax.device_count()
        if config.train.batch_size % devices:
            raise ValueError(
                f"config.train.batch_size is {config.train.batch_size}, but must be a multiple of "
                f"the number of devices, {devices}."
            )
        mesh = jax.make_mesh((devices,), ("data",), axis_types=(AxisType.Auto,))
        self.batch_sharding = NamedSharding(mesh, PartitionSpec("data"))
        self.replicated = NamedSharding(mesh, PartitionSpec())
        self.predict = evaluate.predictor(self.network)

    def open(self, split: str) -> Source:
        """Opens a split of the dataset, preparing it where it can be."""
        dataset = self.config.dataset
        return self.dataset.open(pathlib.Path(dataset.data_dir), dataset.options, split)

    def training_source(self) -> Source:
        """The training split; a network for one task sees only images labelled for it."""
        source = self.open(self.dataset.train_split)
        if len(self.network.tasks) == 1:
            source = labelled(source, self.network.tasks[0], self.config.train.num_threads)
        return source

    def train_step(self, steps_per_epoch: int) -> TrainStep:
        """The update of this experiment, with its schedules."""
        config = self.config
        return TrainStep(
            self.network,
            Optimizer(config.optimizer, len(self.network.tasks)),
            poly_schedule(config.optimizer, steps_per_epoch, config.train.epochs),
            reversal_schedule(steps_per_epoch, config.train.epochs),
            config.discriminator.weight,
        )

    def init(self, step: TrainStep) -> TrainState:
        """State before training, on all devices."""
        return jax.device_put(step.init(jax.random.key(self.config.seed)), self.replicated)

    def evaluate(self, state: TrainState, num_rows: int = 0) -> evaluate.Evaluation:
        """Scores `state` on the evaluation split."""
        train = self.config.train
        return evaluate.evaluate(
            self.network,
            state.params,
            state.stats,
            self.open(self.dataset.eval_split),
            batch_size=train.batch_size,
            image_size=train.image_size,
            normalize=train.normalize,
            sharding=self.batch_sharding,
            num_rows=num_rows,
            num_threads=train.num_threads,
            predict=self.predict,
        )


def train(experiment: Experiment, workdir: pathlib.Path) -> dict[str, dict[str, float]]:
    """Trains until the last epoch, going on from the newest checkpoint, and evaluates.

    Args:
      experiment: what to train.
      workdir: its folder; holds config.json, checkpoints, TensorBoard's event files and, at the
        end, results.json and panels.png.

    Returns:
      The results: task name -> metric -> value.

    Raises:
      FloatingPointError: a loss stopped being finite.
    """
    config, console = experiment.config, Console()
    source = experiment.training_source()
    per_epoch = pipeline.steps_per_epoch(source, config.train.batch_size)
    num_steps = per_epoch * config.train.epochs
    step = experiment.train_step(per_epoch)
    state = experiment.init(step)
    checkpoints = Checkpoints(workdir)
    first_step = checkpoints.latest_step() or 0
    if first_step:
        state = checkpoints.restore(state)
        console.print(f"Going on from the checkpoint of step {first_step} in {workdir}.")
    writer = metric_writers.AsyncWriter(metric_writers.SummaryWriter(str(workdir)))
    writer.write_hparams(_flat(config.to_dict()))
    console.print(
        f"Training {', '.join(experiment.network.names)} on {source.name}: {source.length} images, "
        f"{num_steps - first_step} steps, {parameter_count(state.params):,} parameters, "
        f"{jax.device_count()} {jax.devices()[0].platform} device(s)."
    )
    state = _loop(experiment, step, state, source, first_step, num_steps, checkpoints, writer)
    checkpoints.close()
    results = finish(experiment, state, workdir, writer)
    writer.close()
    return results


def _loop(
    experiment: Experiment,
    step: TrainStep,
    state: TrainState,
    source: Source,
    first_step: int,
    num_steps: int,
    checkpoints: Checkpoints,
    writer: metric_writers.MetricWriter,
) -> TrainState:
    """Steps `first_step` + 1 to `num_steps`; returns the state after the last."""
    config = experiment.config
    batches = pipeline.train_batches(
        source,
        experiment.network.tasks,
        batch_size=config.train.batch_size,
        image_size=config.train.image_size,
        augmentation=config.augmentation,
        normalize=config.train.normalize,
        seed=config.seed,
        num_steps=num_steps,
        start_step=first_step,
        num_threads=config.train.num_threads,
    )
    update = {"per_task": step.per_task_update, "joint": step.joint_update}[config.train.update]
    console = Console()
    progress = Progress(first_step, num_steps, config.train.batch_size, console)
    losses = LossAverage(experiment.network.names)
    for number, batch in enumerate(
        pipeline.prefetch(batches, experiment.batch_sharding), first_step + 1
    ):
        with jax.transfer_guard("disallow"):
            state, metrics = update(state, batch)
        losses.add(number, metrics)
        last = number == num_steps
        if last or number % config.train.log_every_steps == 0:
            means = losses.take()
            speed = progress.report(number, means["loss"])
            scalars = {f"{key}/{name}": v for key, m in means.items() for name, v in m.items()}
            scalars["learning_rate"] = float(step.learning_rate(np.float32(number - 1)))
            writer.write_scalars(number, scalars | {"images_per_second": speed})
        if last or number % config.train.checkpoint_every_steps == 0:
            losses.flush()  # nothing is saved that is not finite
            checkpoints.save(number, state)
    return state


def finish(
    experiment: Experiment,
    state: TrainState,
    workdir: pathlib.Path,
    writer: metric_writers.MetricWriter,
) -> dict[str, dict[str, float]]:
    """Evaluates, prints the table, and writes results.json and panels.png."""
    console = Console()
    evaluation = experiment.evaluate(state, PANEL_ROWS)
    number = int(state.step)
    document = {
        "dataset": experiment.config.dataset.name,
        "split": experiment.dataset.eval_split,
        "step": number,
        "results": evaluation.results,
    }
    (workdir / RESULTS_FILE).write_text(json.dumps(document, indent=2) + "\n")
    picture = visualize.panels(evaluation.rows, experiment.network.tasks, workdir / PANELS_FILE)
    console.print(tables.result_table(evaluation.results, experiment.network.tasks))
    console.print(f"Results: {workdir / RESULTS_FILE}   Pictures: {workdir / PANELS_FILE}")
    writer.write_scalars(
        number,
        {
            f"eval_{task}/{metric}": value
            for task, metrics in evaluation.results.items()
            for metric, value in metrics.items()
        },
    )
    writer.write_images(number, {"panels": picture[None]})
    return evaluation.results


def restore(experiment: Experiment, workdir: pathlib.Path) -> TrainState:
    """The newest checkpoint in `workdir`.

    Raises:
      FileNotFoundError: there is none.
    """
    checkpoints = Checkpoints(workdir)
    state = checkpoints.restore(experiment.init(experiment.train_step(1)))
    checkpoints.close()
    return state


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings as 'train.epochs' -> value, in types that TensorBoard takes."""
    flat = {}
    for name, value in values.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value if isinstance(value, bool | int | float) else str(value)
    return flat
