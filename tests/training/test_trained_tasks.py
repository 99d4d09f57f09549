"""Training what one task owns: nothing else moves by a bit, and nothing else is computed."""

import dataclasses
from functools import partial

import jax
import numpy as np
import pytest
from tiny_network import (
    CHANNELS,
    PAIR,
    SHARED,
    Steps,
    copied,
    in_parts,
    random_batch,
    random_state,
    tiny_step,
    training_only,
)

from astmt_jax.config import OptimizerConfig
from astmt_jax.models.normalization import BatchNorm
from astmt_jax.models.variables import one_task, parameter_count
from astmt_jax.training.optimizer import Optimizer
from astmt_jax.training.state import initial_state

NEW = "human_parts"
INDEX = list(CHANNELS).index(NEW)
UPDATES = pytest.mark.parametrize("update", ["per_task", "joint"])
MODULATIONS = pytest.mark.parametrize("modulation", [{}, SHARED], ids=["astmt", "shared"])


def updated(step, update, state, batch):
    return getattr(step, f"{update}_update")(state, batch)


def split_by_owner(variables):
    """Leaves that `NEW` owns, and all others, of parameters or statistics of all tasks."""
    own = jax.tree.leaves((one_task(variables, INDEX).task, variables.heads[NEW]))
    rest = [np.delete(leaf, INDEX, axis=0) for leaf in jax.tree.leaves(variables.task)]
    fields = {field.name for field in dataclasses.fields(variables)} - {"task", "heads"}
    heads = {name: head for name, head in variables.heads.items() if name != NEW}
    rest += jax.tree.leaves(([getattr(variables, name) for name in sorted(fields)], heads))
    return own, rest


@UPDATES
@MODULATIONS
def test_only_what_the_task_owns_moves(update, modulation):
    """Every variable of it does; all others, running statistics too, are bitwise as before."""
    step = training_only(tiny_step(discriminator_weight=0.0, **modulation), [NEW])
    state, before = random_state(step), copied(random_state(step))
    for seed in range(2):
        state, metrics = updated(step, update, state, random_batch(step, seed=seed))
        assert [np.size(value) for value in metrics["loss"]] == [1]
    after = copied(state)
    for kind in ("params", "stats"):
        (own, rest), (own_before, rest_before) = (
            split_by_owner(getattr(each, kind)) for each in (after, before)
        )
        assert len(rest) > 3
        assert all(map(np.array_equal, rest, rest_before))
        assert not any(map(np.array_equal, own, own_before))
    assert int(after.step) == 2


def test_the_optimizer_has_states_for_what_is_trained():
    step = training_only(tiny_step(discriminator_weight=0.0), [NEW])
    state = random_state(step)
    trained = sum(leaf.size for leaf in split_by_owner(copied(state.params))[0])
    assert parameter_count(state.optimizer) == trained  # SGD: one momentum a parameter
    assert 0 < trained < parameter_count(state.params) / 3


@UPDATES
def test_gradients_are_those_of_the_whole_network(update, monkeypatch):
    """With batch norm held still: of what the task owns they are what training everything has."""
    normalize = BatchNorm.__call__
    monkeypatch.setattr(
        BatchNorm, "__call__", lambda self, x, *, train: normalize(self, x, train=False)
    )
    with jax.enable_x64(True):
        whole = tiny_step("float64", PAIR, discriminator_weight=0.0)
        step = training_only(whole, ["normals"])
        state, batch = random_state(whole), random_batch(whole)
        alone = step.ingredients.trained_tasks.of(state.params, state.stats)
        found = []
        for each, variables, index in ((whole, (state.params, state.stats), 1), (step, alone, 0)):
            if update == "joint":
                gradients, _, _ = jax.jit(each.objective.joint_gradients)(*variables, batch, 1.0)
                of_task = one_task(gradients, index).task
            else:
                views = [one_task(view, index) for view in variables]
                run = jax.jit(each.objective.task_gradients)
                gradients, _, _ = run(*views, batch, np.int32(index), 1.0)
                of_task = gradients.task
            found.append((of_task, gradients.heads["normals"]))
        assert all(np.abs(leaf).max() > 1e-6 for leaf in jax.tree.leaves(found))
        jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-9, atol=1e-12), *found)


def test_shared_batch_norm_has_its_running_statistics_in_training():
    """Without anything that tasks own the trunk computes as in prediction."""
    whole = tiny_step(discriminator_weight=0.0, encoder_norm="shared", **SHARED)
    step = training_only(whole, [NEW])
    state, batch = random_state(whole), random_batch(whole)
    predicted, _ = jax.jit(partial(whole.network.features, train=False))(
        state.params, state.stats, batch["image"]
    )
    alone = step.ingredients.trained_tasks.of(state.params, state.stats)
    trained, _ = jax.jit(partial(step.network.features, train=True))(*alone, batch["image"])
    np.testing.assert_allclose(trained[0], predicted[INDEX], rtol=1e-6, atol=1e-6)


@UPDATES
def test_averages_of_others_stay(update):
    whole = tiny_step(discriminator_weight=0.0)
    config = OptimizerConfig(learning_rate=0.01, ema_decay=0.3)
    optimizer = Optimizer(config, len(CHANNELS))
    step = training_only(Steps(dataclasses.replace(whole.ingredients, optimizer=optimizer)), [NEW])
    start = random_state(step)
    tasks = step.ingredients.trained_tasks
    state = initial_state(start.params, start.stats, optimizer, tasks)
    before = copied(state)
    for seed in range(2):
        state, _ = updated(step, update, state, random_batch(step, seed=seed))
    after = copied(state)
    for number in range(2):
        own, rest = split_by_owner(after.average[number])
        own_before, rest_before = split_by_owner(before.average[number])
        assert all(map(np.array_equal, rest, rest_before))
        assert not any(map(np.array_equal, own, own_before))


@UPDATES
def test_parts_move_the_same(update):
    """Two parts leave all else alone, too, and the task moves."""
    step = in_parts(training_only(tiny_step(discriminator_weight=0.0), [NEW]), 2)
    state, before = random_state(step), copied(random_state(step))
    state, _ = updated(step, update, state, random_batch(step, batch=4))
    after = copied(state)
    for kind in ("params", "stats"):
        (own, rest), (own_before, rest_before) = (
            split_by_owner(getattr(each, kind)) for each in (after, before)
        )
        assert all(map(np.array_equal, rest, rest_before))
        assert not any(map(np.array_equal, own, own_before))


def operations(step):
    """Of the gradients of a batch of 2 images of 64 pixels."""
    state = jax.eval_shape(step.init, jax.random.key(0))
    of = jax.eval_shape(step.ingredients.trained, state)
    batch = jax.eval_shape(lambda: random_batch(step, size=64))
    gradients = jax.jit(step.objective.joint_gradients)
    lowered = gradients.lower(of.params, of.stats, batch, jax.ShapeDtypeStruct((), np.float32))
    return lowered.cost_analysis()["flops"]


@MODULATIONS
def test_gradients_of_what_is_frozen_are_not_computed(modulation):
    """Saved are those of both convolutions' kernels, and of the second one's input."""
    one = {"normals": 3}
    everything = tiny_step(tasks=one, discriminator_weight=0.0, **modulation)
    frozen = training_only(tiny_step(discriminator_weight=0.0, **modulation), list(one))
    positions, taps = 2 * 16**2, 3**2
    stem, refine = positions * taps * 3 * 8, positions * taps * 8 * 32
    saved = operations(everything) - operations(frozen)
    assert saved == pytest.approx(2 * (stem + 2 * refine), rel=0.06)
