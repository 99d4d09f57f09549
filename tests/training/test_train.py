"""The training loop: when it saves, and what ends it. The training step is a stand-in."""

import contextlib
import re
import signal
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from settings import settings

from astmt_jax.config import from_config_dict
from astmt_jax.files import storage
from astmt_jax.models.variables import Params, Stats
from astmt_jax.pipeline.layout import ONE_DATASET
from astmt_jax.runtime.interruption import Interrupted
from astmt_jax.runtime.sharding import Placement, data_mesh
from astmt_jax.training import loop as module
from astmt_jax.training.checkpoint import Checkpoints
from astmt_jax.training.criterion import SelectionError
from astmt_jax.training.dashboard import Dashboard
from astmt_jax.training.experiment import Splits
from astmt_jax.training.loop import Loop, train
from astmt_jax.training.state import TrainState

NUM_STEPS = 10
CONFIG = from_config_dict(
    settings(
        tasks=("depth",),
        train__epochs=5,
        train__checkpoint_every_steps=4,
        train__log_every_steps=5,
        discriminator__weight=0.0,
    )
)


NO_WATCH = types.SimpleNamespace(is_due=lambda step: False)


class Watch:
    """Evaluations of which one, of the state after a step, gets a signal before its first batch."""

    def __init__(self, step):
        self.evaluated = []
        self._step = step

    def is_due(self, step):
        if step == self._step:  # the loop has looked for signals before it asks this
            signal.raise_signal(signal.SIGTERM)
        return step == self._step

    def evaluate(self, step, state, dashboard, check):
        self.evaluated.append(int(state.step))
        check()


def state_after(step, size=3):
    """A state whose only parameter holds random numbers (which do not compress) plus the step."""
    kernel = {"kernel": np.random.default_rng(0).standard_normal(size) + step}
    params = Params(shared=kernel, task={}, heads={}, discriminator={})
    params = jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), params)
    return TrainState(jnp.int32(step), params, Stats({}, {}, {}, {}), params)


def counting_step(events, size=3):
    """A step that counts; `events` are functions that are called within one, by its number."""

    def update(state, batch):
        del batch
        number = int(jax.device_get(state.step)) + 1
        loss = events.get(number, lambda: 1.0)()
        return state_after(number, size), {"loss": [np.float32(loss)]}

    return types.SimpleNamespace(
        update=update, ingredients=types.SimpleNamespace(learning_rate=lambda step: 0.1)
    )


@pytest.fixture
def loop(monkeypatch, tmp_path):
    """Runs the loop with something happening within some steps.

    Returns the number of the last step, and whether the loop was interrupted.
    """
    # The stand-in computes on the host.
    monkeypatch.setattr(jax, "transfer_guard", lambda level: contextlib.nullcontext())
    experiment = types.SimpleNamespace(
        config=CONFIG,
        network=types.SimpleNamespace(names=("depth",)),
        layout=ONE_DATASET,
        placement=Placement(data_mesh()),
        train_batches=lambda source, num_steps, start: [{"image": np.zeros(1)}] * num_steps,
    )
    source = types.SimpleNamespace(name="nothing", length=1)
    splits = Splits(source, source, NUM_STEPS // CONFIG.train.epochs)

    def run(events, folder=tmp_path, size=3, watch=NO_WATCH):
        checkpoints, step = Checkpoints(folder), counting_step(events, size)
        with Dashboard(tmp_path, CONFIG, ()) as dashboard:
            started = Loop(experiment, splits, step, checkpoints, dashboard, watch)
            try:
                return int(started.run(state_after(0, size), None).step), False
            except Interrupted as message:
                found = re.search(r"after step (\d+)", str(message))
                return found and int(found[1]), True

    return run


def saved(folder):
    return {int(path.name) for path in (folder / "checkpoints").iterdir() if path.name.isdigit()}


def test_loop_saves_now_and_then_and_at_the_end(loop, tmp_path):
    assert loop({}) == (NUM_STEPS, False)
    assert saved(tmp_path) == {8, 10}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_ends_the_loop_behind_its_step(loop, tmp_path, number):
    """The step that it comes in is finished and saved."""
    assert loop({6: lambda: signal.raise_signal(number) or 1.0}) == (6, True)
    assert saved(tmp_path) == {4, 6}
    restored = Checkpoints(tmp_path, read_only=True).restore(state_after(0))
    jax.tree.map(np.testing.assert_array_equal, restored, state_after(6))


def test_signal_ends_an_evaluation_on_the_way(loop, tmp_path):
    """It is begun, so that it is missed where the run goes on, and its state is saved."""
    watch = Watch(6)
    assert loop({}, watch=watch) == (None, True)
    assert watch.evaluated == [6]
    assert saved(tmp_path) == {4, 6}


def test_a_run_that_stops_evaluates_when_it_goes_on(loop, tmp_path):
    watch = types.SimpleNamespace(is_due=lambda step: step == 6, evaluate=None)
    assert loop({6: lambda: signal.raise_signal(signal.SIGTERM) or 1.0}, watch=watch) == (6, True)
    assert saved(tmp_path) == {4, 6}


def test_a_run_that_is_refused_tells_no_service(tmp_path, monkeypatch):
    """What was evaluated before is looked at before anything shows that a run began."""

    def refuse(*arguments):
        raise SelectionError("other settings")

    experiment = types.SimpleNamespace(
        config=CONFIG,
        tasks=(),
        check_watching=lambda: None,
        check_training=lambda: None,
        train_step=lambda steps: None,
    )
    monkeypatch.setattr(module, "_begin", lambda *arguments: (state_after(0), None))
    monkeypatch.setattr(module, "Watch", refuse)
    source = types.SimpleNamespace(name="nothing", length=1)
    with pytest.raises(SelectionError):
        train(experiment, Splits(source, source, 1), tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("step", [7, 8])
def test_loss_that_is_not_finite_ends_the_loop(loop, tmp_path, step):
    """Named with its task and step, and nothing is saved of it."""
    with pytest.raises(FloatingPointError, match=f"loss of task depth is nan at step {step}"):
        loop({step: lambda: np.nan})
    assert Checkpoints(tmp_path, read_only=True).latest_step() == 4


def test_full_disk_ends_the_loop(loop, small_disk):
    """What saving in the background runs into comes to light; the checkpoint before is intact."""
    disk = small_disk("1m")
    size = 3 * 2**15  # a state takes 630 kB in a checkpoint, so that two do not fit
    with pytest.raises(Exception, match="No space left on device") as caught:
        loop({}, disk, size)
    assert storage.is_disk_full(caught.value)
    reader = Checkpoints(disk, read_only=True)
    restored = reader.restore(state_after(0, size))
    reader.close()
    assert int(restored.step) == 4
