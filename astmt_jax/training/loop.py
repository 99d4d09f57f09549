"""The training loop: data, step, log, checkpoint; then evaluation, table and picture."""

import functools
import pathlib
from typing import Any

import jax
import numpy as np

from astmt_jax.evaluation import tables
from astmt_jax.evaluation.results import RESULTS_FILE, write_results
from astmt_jax.models.network import parameter_count
from astmt_jax.pictures import panels
from astmt_jax.pipeline.source import Source
from astmt_jax.pipeline.transfer import prefetch
from astmt_jax.runtime import distributed
from astmt_jax.runtime.console import CONSOLE
from astmt_jax.runtime.interruption import Interrupted, StopRequest
from astmt_jax.runtime.monitoring import InputClock, device_memory
from astmt_jax.runtime.profiling import Hook
from astmt_jax.runtime.quiet_tensorflow import metric_writers
from astmt_jax.training.checkpoint import CONFIG_FILE, Checkpoints, claim_workdir, recorded_config
from astmt_jax.training.experiment import Experiment, Splits
from astmt_jax.training.progress import LossAverage, Progress
from astmt_jax.training.train_step import TrainState, TrainStep

PANELS_FILE = "panels.png"
PANEL_ROWS = 4


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
        with StopRequest() as stop, checkpoints:
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
    batches = experiment.train_batches(source, num_steps, first_step)
    update = {"per_task": step.per_task_update, "joint": step.joint_update}[
        config.train.update_rule
    ]
    if first_step < num_steps:
        CONSOLE.print("Compiling the training step, or reading it from the compilation cache ...")
    progress = Progress(first_step, num_steps, config.train.batch_size)
    losses = LossAverage(experiment.network.names)
    profile(first_step)
    clock = InputClock()
    placed = prefetch(batches, experiment.placement.batch)
    for number, batch in enumerate(clock.timed(placed), first_step + 1):
        with jax.transfer_guard("disallow"):
            state, metrics = update(state, batch)
        losses.add(number, metrics)
        profile(number)
        checkpoints.check()
        last = number == num_steps or stop.reached()
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
        elif number == first_step + 1:
            progress.restart(number)
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
    notes = workdir / RESULTS_FILE.replace(".json", ".unfinished")
    if not distributed.is_main():
        notes = notes.with_name(f"{notes.name}-{jax.process_index()}")
    evaluation = experiment.evaluate(state, source, PANEL_ROWS, notes, save_to)
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
    write_results(workdir / RESULTS_FILE, evaluation.scores, about)
    picture = panels.draw(evaluation.rows, experiment.tasks, workdir / PANELS_FILE)
    CONSOLE.print(tables.result_table(results, experiment.tasks))
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
    with Checkpoints(workdir, read_only=True) as checkpoints:
        state = experiment.restore(experiment.train_step(splits.steps_per_epoch), checkpoints)
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
