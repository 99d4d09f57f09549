"""The training loop: data, step, log, checkpoint, now and then evaluation; then the scores."""

import functools
import pathlib

import jax

from astmt_jax.metrics.summary import Results
from astmt_jax.models.variables import parameter_count
from astmt_jax.pipeline.transfer import prefetch
from astmt_jax.runtime import distributed
from astmt_jax.runtime.console import CONSOLE
from astmt_jax.runtime.interruption import Interrupted, StopRequest
from astmt_jax.runtime.profiling import Hook
from astmt_jax.training.checkpoint import Checkpoints
from astmt_jax.training.dashboard import Dashboard
from astmt_jax.training.experiment import Experiment, Splits
from astmt_jax.training.finish import finish, scored_checkpoint
from astmt_jax.training.state import TrainState
from astmt_jax.training.train_step import TrainStep
from astmt_jax.training.watch import Watch
from astmt_jax.training.workdir import CONFIG_FILE, claim_workdir


def train(
    experiment: Experiment,
    splits: Splits,
    workdir: pathlib.Path,
    profile: Hook | None = None,
) -> Results:
    """Trains until the last epoch, going on from the newest checkpoint, and evaluates.

    Args:
      experiment: what to train.
      splits: on what.
      workdir: its folder; holds config.json, checkpoints, TensorBoard's event files, where they
        are asked for best, evaluations.json and trackers.json, and, at the end, results.json and
        panels.png.
      profile: from `profiling.trace_hook`; None traces nothing.

    Raises:
      ValueError: a part of a batch is too small for batch norm; a tracker or the baselines cannot
        be used.
      FloatingPointError: a loss or the state stopped being finite.
      WeightsError: weights to start from cannot be used; nothing is written then.
      CheckpointError: no checkpoint can be read.
      SelectionError: no best checkpoint can be chosen.
      TrackerError: a tracker cannot be started.
      Interrupted: SIGTERM or SIGINT came; the state is saved.
    """
    experiment.check_watching()
    experiment.check_training()
    step = experiment.train_step(splits.steps_per_epoch)
    state, checkpoints = _begin(experiment, step, workdir)
    watch = Watch(experiment, splits, workdir)
    with Dashboard(workdir, experiment.config, experiment.tasks) as dashboard:
        dashboard.settings()
        loop = Loop(experiment, splits, step, checkpoints, dashboard, watch)
        state = loop.run(state, profile)
        scored = scored_checkpoint(experiment, workdir, state)
        return finish(experiment, splits.evaluation, scored, workdir, dashboard)


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


class Loop:
    """The steps of training that are left to do.

    Args:
      experiment: what to train.
      splits: on what.
      step: its update.
      checkpoints: where states are saved.
      dashboard: what shows how it goes.
      watch: evaluates on the way.
    """

    def __init__(
        self,
        experiment: Experiment,
        splits: Splits,
        step: TrainStep,
        checkpoints: Checkpoints,
        dashboard: Dashboard,
        watch: Watch,
    ):
        self._experiment = experiment
        self._source = splits.training
        self._num_steps = splits.steps_per_epoch * experiment.config.train.epochs
        self._step = step
        self._checkpoints = checkpoints
        self._dashboard = dashboard
        self._watch = watch

    def run(self, state: TrainState, profile: Hook | None) -> TrainState:
        """Trains to the last step, and returns the state after it, which is saved.

        Raises:
          Interrupted: a stop was requested; the state after the last step that was made is saved.
        """
        self._announce(state)
        with StopRequest() as stop, self._checkpoints:
            state = self._steps(state, stop, profile or (lambda number: None))
        if stop.noted:
            raise Interrupted(
                f"Stopped by a signal after step {int(state.step)} of {self._num_steps}, which is "
                "saved: the same command goes on from there."
            )
        return state

    def _announce(self, state: TrainState) -> None:
        left = self._num_steps - int(state.step)
        CONSOLE.print(
            f"Training {', '.join(self._experiment.config.learning_tasks)} on {self._source.name}: "
            f"{self._source.length} images, "
            f"{left} steps, {parameter_count(state.params):,} parameters, "
            f"{jax.device_count()} {jax.devices()[0].platform} device(s) of "
            f"{jax.process_count()} process(es)."
        )
        if left > 0:
            CONSOLE.print(
                "Compiling the training step, or reading it from the compilation cache ..."
            )

    def _steps(self, state: TrainState, stop: StopRequest, profile: Hook) -> TrainState:
        """Steps to the last one, or until a stop is requested; returns the state after them."""
        settings, first = self._experiment.config.train, int(state.step)
        if self._watch.is_due(first):
            self._watch.evaluate(first, state, self._dashboard, stop.check)
        images = settings.batch_size * self._experiment.layout.size
        report = self._dashboard.training(
            first, self._num_steps, images, self._step.ingredients.learning_rate
        )
        profile(first)
        examples = self._experiment.train_batches(self._source, self._num_steps, first)
        placed = prefetch(examples, self._experiment.placement.batch)
        for number, batch in enumerate(report.timed(placed), first + 1):
            with jax.transfer_guard("disallow"):
                state, metrics = self._step.update(state, batch)
            report.add(number, metrics)
            profile(number)
            self._checkpoints.check()
            stopping = stop.reached()
            last = number == self._num_steps or stopping
            due = self._watch.is_due(number)
            if last or number % settings.log_every_steps == 0:
                report.write(number)
            elif number == first + 1:
                report.restart(number)
            if last or due or number % settings.checkpoint_every_steps == 0:
                report.check()  # nothing is saved that is not finite
                self._checkpoints.save(number, state)
            if due and not stopping:
                self._checkpoints.wait()  # so that the run never goes on from before its best one
                self._watch.evaluate(number, state, self._dashboard, stop.check)
                report.restart(number)
            if last:
                break
        return state
