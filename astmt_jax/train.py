"""The training loop: data, step, log, checkpoint; then evaluation, table and picture."""

import dataclasses
import functools
import pathlib
from typing import Any

import jax
import numpy as np
from clu import metric_writers

from astmt_jax import distributed, evaluate, inference, panels, pipeline, tables
from astmt_jax.checkpoint import CONFIG_FILE, Checkpoints, claim_workdir, recorded_config
from astmt_jax.config import Config
from astmt_jax.datasets import registry
from astmt_jax.interruption import Interrupted, StopRequest
from astmt_jax.models.network import Network, parameter_count
from astmt_jax.monitoring import InputClock, device_memory
from astmt_jax.optimizer import Optimizer, poly_schedule, reversal_schedule
from astmt_jax.pretrained import load_encoder
from astmt_jax.profiling import Hook
from astmt_jax.progress import CONSOLE, LossAverage, Progress
from astmt_jax.sharding import Placement, data_mesh
from astmt_jax.source import Source, labelled
from astmt_jax.train_step import TrainState, TrainStep, initial_state
from astmt_jax.weight_files import WeightsError, read_tensors

RESULTS_FILE = "results.json"
PANELS_FILE = "panels.png"
PANEL_ROWS = 4


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
        tasks = registry.select_tasks(config.dataset.name, config.tasks, config.dataset.options)
        self.network = Network(config.model, tasks, config.discriminator)
        devices = jax.device_count()
        parts = devices * config.train.accumulate
        if config.train.batch_size % parts:
            raise ValueError(
                f"config.train.batch_size is {config.train.batch_size}, but must be a multiple of "
                f"{parts}: of the number of devices, {devices}, times config.train.accumulate."
            )
        self.placement = Placement(data_mesh(), config.train.shard_parameters)
        self.predict = inference.predictor(self.network)

    def open_splits(self) -> "Splits":
        """Opens the dataset's splits, preparing it where that needs no download.

        A network for one task trains on images labelled for it only.

        Raises:
          ValueError: the dataset does not fit the configuration.
          FileNotFoundError: the dataset has to be prepared first, naming the command.
        """
        config = self.config
        data_dir = pathlib.Path(config.dataset.data_dir)
        training, evaluation = (
            self.dataset.open(data_dir, config.dataset.options, split)
            for split in (self.dataset.train_split, self.dataset.eval_split)
        )
        if len(self.network.tasks) == 1:
            training = labelled(training, self.network.tasks[0], config.train.num_threads)
        return Splits(
            training, evaluation, pipeline.steps_per_epoch(training, config.train.batch_size)
        )

    def train_step(self, steps_per_epoch: int, placement: Placement | None = None) -> TrainStep:
        """The update of this experiment, with its schedules, for its own devices or others."""
        config = self.config
        return TrainStep(
            self.network,
            Optimizer(config.optimizer, len(self.network.tasks)),
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
        tensors = None if file is None else read_tensors(file)
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

    def evaluate(
        self,
        state: TrainState,
        source: Source,
        num_rows: int,
        workdir: pathlib.Path,
        save_to: pathlib.Path | None = None,
    ) -> evaluate.Evaluation:
        """Scores `state` on `source`, keeping `num_rows` examples for a picture.

        An interrupted evaluation goes on from notes in `workdir`; predictions go to `save_to`.
        """
        train = self.config.train
        notes = workdir / RESULTS_FILE.replace(".json", ".unfinished")
        if not distributed.is_main():
            notes = notes.with_name(f"{notes.name}-{jax.process_index()}")
        variables = self.placement.replicate(state.evaluated)
        return evaluate.evaluate_network(
            self.network,
            functools.partial(self.predict, *variables),
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


def train(
    experiment: Experiment,
    splits: Splits,
    workdir: pathlib.Path,
    profile: Hook | None = None,
) -> dict[str, dict[str, float]]:
    """Trains until the last epoch, going on from the newest checkpoint, and evaluates.

    Args:
      experiment: what to train.
      splits: on what.
      workdir: its folder; holds config.json, checkpoints, TensorBoard's event files and, at the
        end, results.json and panels.png.
      profile: from `profiling.trace_hook`; None traces nothing.

    Returns:
      The results: task name -> metric -> value.

    Raises:
      FloatingPointError: a loss or the state stopped being finite.
      WeightsError: weights to start from cannot be used; nothing is written then.
      CheckpointError: no checkpoint can be read.
      Interrupted: SIGTERM or SIGINT came; the state is saved.
    """
    config = experiment.config
    num_steps = splits.steps_per_epoch * config.train.epochs
    step = experiment.train_step(splits.steps_per_epoch)
    state, checkpoints = _begin(experiment, step, workdir)
    first_step = int(state.step)
    writer = _writer(workdir)
    try:
        writer.write_hparams(_flat(config.to_dict()))
        CONSOLE.print(
            f"Training {', '.join(experiment.network.names)} on {splits.training.name}: "
            f"{splits.training.length} images, "
            f"{num_steps - first_step} steps, {parameter_count(state.params):,} parameters, "
            f"{jax.device_count()} {jax.devices()[0].platform} device(s) of "
            f"{jax.process_count()} process(es)."
        )
        source = splits.training
        with StopRequest() as stop:
            state = _loop(
                experiment,
                step,
                state,
                source,
                first_step,
                num_steps,
                checkpoints,
                writer,
                stop,
                profile or (lambda number: None),
            )
            checkpoints.close()
            if stop.noted:
                raise Interrupted(
                    f"Stopped by a signal after step {int(state.step)} of {num_steps}, which is "
                    "saved: the same command goes on from there."
                )
        return finish(experiment, splits.evaluation, state, workdir, writer)
    finally:
        writer.close()


def _begin(
    experiment: Experiment, step: TrainStep, workdir: pathlib.Path
) -> tuple[TrainState, Checkpoints]:
    """The state to go on from; a folder without one is claimed once there is a state to start."""
    config = experiment.config.train
    new = functools.partial(Checkpoints, workdir, config.keep_checkpoints, config.keep_every_steps)
    checkpoints = new() if distributed.agreed((workdir / CONFIG_FILE).exists()) else None
    if checkpoints is not None and checkpoints.latest_step() is not None:
        state = experiment.restore(step, checkpoints)
        CONSOLE.print(f"Going on from the checkpoint of step {int(state.step)} in {workdir}.")
    else:
        state = experiment.init(step)
    with distributed.main_process_first():
        if distributed.is_main():
            claim_workdir(workdir, experiment.config)
        shared = (workdir / CONFIG_FILE).exists()
    if not distributed.on_all(shared):
        raise FileNotFoundError(
            f"--workdir={workdir} is not the same folder for all {jax.process_count()} processes, "
            "but must be on a file system that they share."
        )
    return state, checkpoints or new()


def _loop(
    experiment: Experiment,
    step: TrainStep,
    state: TrainState,
    source: Source,
    first_step: int,
    num_steps: int,
    checkpoints: Checkpoints,
    writer: metric_writers.MetricWriter,
    stop: StopRequest,
    profile: Hook,
) -> TrainState:
    """Steps `first_step` + 1 to `num_steps`, or until a stop is requested.

    Returns:
      The state after the last step that was made, which is saved.
    """
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
        process_index=jax.process_index(),
        process_count=jax.process_count(),
        num_threads=config.train.num_threads,
    )
    update = {"per_task": step.per_task_update, "joint": step.joint_update}[
        config.train.update_rule
    ]
    progress = Progress(first_step, num_steps, config.train.batch_size)
    losses = LossAverage(experiment.network.names)
    profile(first_step)
    clock = InputClock()
    placed = pipeline.prefetch(batches, experiment.placement.batch)
    for number, batch in enumerate(clock.timed(placed), first_step + 1):
        with jax.transfer_guard("disallow"):
            state, metrics = update(state, batch)
        losses.add(number, metrics)
        profile(number)
        checkpoints.check()
        last = number == num_steps or stop.reached(number)
        if last or number % config.train.log_every_steps == 0:
            means = losses.take()
            speed = progress.report(number, means["loss"])
            scalars = {f"{key}/{name}": v for key, m in means.items() for name, v in m.items()}
            scalars["learning_rate"] = float(step.learning_rate(np.float32(number - 1)))
            scalars |= {
                "images_per_second": speed,
                "step_seconds": config.train.batch_size / speed,
                "input_wait_fraction": clock.take(),
                **device_memory(),
            }
            writer.write_scalars(number, scalars)
        if last or number % config.train.checkpoint_every_steps == 0:
            losses.flush()  # nothing is saved that is not finite
            checkpoints.save(number, state)
        if last:
            break
    return state


def finish(
    experiment: Experiment,
    source: Source,
    state: TrainState,
    workdir: pathlib.Path,
    writer: metric_writers.MetricWriter,
    save_to: pathlib.Path | None = None,
) -> dict[str, dict[str, float]]:
    """Evaluates, prints the table, and writes results.json, panels.png and predictions."""
    evaluation = experiment.evaluate(state, source, PANEL_ROWS, workdir, save_to)
    results = evaluation.scores.results
    if not distributed.is_main():
        return results
    number = int(state.step)
    about = {
        "dataset": experiment.config.dataset.name,
        "split": experiment.dataset.eval_split,
        "images": source.length,
        "step": number,
        "quantized": experiment.config.evaluation.quantize,
    }
    evaluate.write_results(workdir / RESULTS_FILE, evaluation.scores, about)
    picture = panels.draw(evaluation.rows, experiment.network.tasks, workdir / PANELS_FILE)
    CONSOLE.print(tables.result_table(results, experiment.network.tasks))
    CONSOLE.print(f"Results: {workdir / RESULTS_FILE}   Pictures: {workdir / PANELS_FILE}")
    writer.write_scalars(
        number,
        {
            f"eval_{task}/{metric}": value
            for task, metrics in results.items()
            for metric, value in metrics.items()
        },
    )
    writer.write_images(number, {"panels": picture[None]})
    return results


def evaluate_checkpoint(
    experiment: Experiment,
    splits: Splits,
    workdir: pathlib.Path,
    save_to: pathlib.Path | None = None,
) -> dict[str, dict[str, float]]:
    """Scores the newest checkpoint in `workdir` and writes what `train` writes at its end.

    Args:
      experiment: what was trained.
      splits: its data.
      workdir: its folder.
      save_to: new or empty folder for the predictions, in the layout of `astmt_jax.evaluate`.

    Raises:
      FileNotFoundError: there is no run, or no checkpoint.
      CheckpointError: no checkpoint can be read.
      FileExistsError: the folder for the predictions holds something.
    """
    recorded_config(workdir)
    if save_to is not None and save_to.exists() and any(save_to.iterdir()):
        raise FileExistsError(f"{save_to} is not empty: choose a new folder for the predictions.")
    checkpoints = Checkpoints(workdir, read_only=True)
    state = experiment.restore(experiment.train_step(splits.steps_per_epoch), checkpoints)
    checkpoints.close()
    writer = _writer(workdir)
    results = finish(experiment, splits.evaluation, state, workdir, writer, save_to)
    writer.close()
    return results


def _writer(workdir: pathlib.Path) -> metric_writers.MetricWriter:
    """Writes TensorBoard's files, on the main process only."""
    writers = [metric_writers.SummaryWriter(str(workdir))] if distributed.is_main() else []
    return metric_writers.AsyncMultiWriter(writers)


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings as 'train.epochs' -> value, in types that TensorBoard takes."""
    flat = {}
    for name, value in values.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value if isinstance(value, bool | int | float) else str(value)
    return flat
