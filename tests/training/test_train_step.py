"""The training step: gradients of both updates, ignored tasks, the discriminator, compilation."""

import dataclasses
from functools import partial

import golden_cases
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax.extend import core
from tiny_network import (
    CHANNELS,
    PAIR,
    SHARED,
    Steps,
    copied,
    in_parts,
    of_layout,
    random_batch,
    random_state,
    step_of,
    tiny_step,
)

from astmt_jax.config import DiscriminatorConfig, ModelConfig, OptimizerConfig
from astmt_jax.models import layers
from astmt_jax.models.discriminator import reverse_gradient, unit_length
from astmt_jax.models.network import Network
from astmt_jax.models.normalization import BatchNorm
from astmt_jax.models.variables import one_task
from astmt_jax.pipeline.layout import ONE_DATASET, Layout
from astmt_jax.tasks import registry as tasks
from astmt_jax.tasks.task import channels_by_name
from astmt_jax.training.objective import Objective
from astmt_jax.training.optimizer import Optimizer
from astmt_jax.training.state import initial_state
from astmt_jax.training.train_step import UPDATES as RULES
from astmt_jax.training.update import Ingredients

NAMES = tuple(CHANNELS)


@pytest.fixture(scope="module")
def step():
    return tiny_step()


view = jax.jit(one_task)


def assert_close(actual, expected, **tolerance):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, **tolerance), actual, expected)


def assert_identical(actual, expected):
    jax.tree.map(np.testing.assert_array_equal, actual, expected)


def parts_of(state, name):
    """What belongs to one task alone: parameters, prediction layer, momentum, statistics."""
    index = NAMES.index(name)
    state = jax.device_get(state)
    params, stats, optimizer = (
        one_task(variables, index) for variables in (state.params, state.stats, state.optimizer)
    )
    return {
        "task": (params.task, optimizer.task),
        "head": (state.params.heads[name], state.optimizer.heads[name]),
        "stats": stats.task,
    }


def num_equal(a, b):
    """How many of the leaves are the same."""
    pairs = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    return sum(np.array_equal(x, y) for x, y in pairs)


def per_task(step, state, batch):
    return step.per_task_update(state, batch)[0]


def joint(step, state, batch):
    return step.joint_update(state, batch)[0]


UPDATES = pytest.mark.parametrize("update", [per_task, joint])


@pytest.mark.parametrize("modulation", [{}, SHARED], ids=["astmt", "shared"])
def test_joint_gradients_are_the_sum_of_the_tasks(modulation):
    with jax.enable_x64(True):
        step = tiny_step("float64", PAIR, **modulation)
        state, batch = random_state(step), random_batch(step)
        alpha = jnp.float64(0.7)
        together, stats, metrics = jax.jit(step.objective.joint_gradients)(
            state.params, state.stats, batch, alpha
        )
        of_task = jax.jit(step.objective.task_gradients)
        alone = [
            of_task(view(state.params, i), view(state.stats, i), batch, i, alpha)
            for i in map(np.int32, range(len(PAIR)))
        ]
        together, stats, metrics = jax.device_get((together, stats, metrics))
        tight = {"rtol": 1e-9, "atol": 1e-12}
        for kind in ("shared", "discriminator", "heads"):
            parts = [jax.device_get(getattr(gradients, kind)) for gradients, _, _ in alone]
            total = jax.tree.map(lambda *x: sum(x), *parts)
            assert all(np.abs(leaf).max() > 1e-6 for leaf in jax.tree.leaves(total))
            assert_close(getattr(together, kind), total, **tight)
        for i, (gradients, new_stats, task_metrics) in enumerate(alone):
            assert_close(one_task(together, i).task, gradients.task, **tight)
            assert_close(one_task(stats, i).task, new_stats.task, **tight)
            assert_close(jax.tree.map(lambda x: x[i], stats.shared), new_stats.shared, **tight)  # noqa: B023
            assert_close({key: x[i] for key, x in metrics.items()}, task_metrics, **tight)
            for j, name in enumerate(PAIR):
                used = any(leaf.any() for leaf in jax.tree.leaves(gradients.heads[name]))
                assert used == (i == j), name


@UPDATES
def test_ignored_task_is_left_alone(step, update):
    """Bitwise, while every other task's parameters, momentum and statistics move."""
    state = random_state(step)
    before = copied(state)
    after = update(step, state, random_batch(step, ignored=["human_parts"]))
    for name in NAMES:
        for kind, old in parts_of(before, name).items():
            new = parts_of(after, name)[kind]
            if name == "human_parts":
                assert_identical(new, old)
            else:
                assert num_equal(new, old) == 0, (name, kind)
    for kind in ("shared", "discriminator"):
        assert num_equal(getattr(after.params, kind), getattr(before.params, kind)) == 0
    assert num_equal(after.stats.shared, before.stats.shared) == 0
    assert int(after.step) == 1


@UPDATES
def test_ignored_task_has_no_influence(step, update):
    """What is shared moves the same whatever the ignored task's own variables hold."""
    batch = random_batch(step, ignored=["human_parts"])
    after = update(step, random_state(step), batch)
    state = random_state(step)
    slot = NAMES.index("human_parts")
    shift = lambda x: x.at[slot].add(0.5)  # noqa: E731
    heads = state.params.heads | {
        "human_parts": jax.tree.map(lambda x: x + 0.5, state.params.heads["human_parts"])
    }
    other = update(
        step,
        dataclasses.replace(
            state,
            params=dataclasses.replace(
                state.params, task=jax.tree.map(shift, state.params.task), heads=heads
            ),
            stats=dataclasses.replace(state.stats, task=jax.tree.map(shift, state.stats.task)),
        ),
        batch,
    )
    tight = {"rtol": 1e-6, "atol": 1e-7}
    assert_close(other.params.shared, after.params.shared, **tight)
    assert_close(other.params.discriminator, after.params.discriminator, **tight)
    assert_close(other.stats.shared, after.stats.shared, **tight)


@UPDATES
def test_nothing_labelled_changes_nothing(step, update):
    state = random_state(step)
    before = copied(state)
    after = update(step, state, random_batch(step, ignored=NAMES))
    assert int(after.step) == 1
    assert_identical(dataclasses.replace(after, step=before.step), before)


def test_per_task_compiles_once_for_all_tasks(step):
    state = step.init(jax.random.key(0))
    for seed in range(2):
        state, metrics = step.per_task_update(state, random_batch(step, seed=seed))
        assert len(metrics["loss"]) == len(NAMES)
    assert step.per_task_update.program._cache_size() == 1


def test_of_a_mixture_one_task_sees_its_own_images_and_all_see_all():
    layout = Layout(3, {"edge": (0, 1), "sal": (1, 3)})
    batch = {"image": np.arange(6.0)[:, None]}

    def seen(rule, task):
        return np.asarray(RULES[rule].seen(layout, batch, task)["image"]).ravel().tolist()

    assert seen("per_task", "edge") == [0, 3]
    assert seen("per_task", "sal") == [1, 2, 4, 5]
    assert seen("joint", "edge") == seen("joint", "sal") == [0, 1, 2, 3, 4, 5]


def test_tasks_of_a_mixture_see_their_own_images(step):
    """Each task's step is that on its rows alone, and other rows can hold anything."""
    layout = Layout(3, {"semseg": (0, 2), "normals": (2, 3)})
    rows = {"semseg": [0, 1, 3, 4], "human_parts": range(6), "normals": [2, 5]}
    update = of_layout(step, layout).per_task_update
    batch = random_batch(step, batch=6)
    after, metrics = update(random_state(step), batch)
    state = random_state(step)
    for index, name in enumerate(NAMES):
        own = jax.tree.map(lambda x: x[np.array(rows[name])], batch)  # noqa: B023
        state, expected = step.per_task_update.program(state, own, jnp.int32(index))
        assert_identical({key: value[index] for key, value in metrics.items()}, expected)
    assert_identical(after, state)


@UPDATES
def test_learns_a_batch(step, update):
    """Donated states one after the other: the weighted losses fall, the old state is gone."""
    state, batch = step.init(jax.random.key(1)), random_batch(step)
    first = state
    sums = []
    for _ in range(15):
        method = step.per_task_update if update is per_task else step.joint_update
        state, metrics = method(state, batch)
        sums.append(float(sum(metrics["loss"])))
    assert int(state.step) == 15
    assert sums[-1] < 0.95 * sums[0]
    assert jax.tree.leaves(first.params.shared)[0].is_deleted()


def weighted_losses(step, state, batch):
    """Each task's loss with its multiplier, from the logits."""
    network = step.network

    @jax.jit
    def losses(state):
        params, stats = state.params, state.stats
        features, _ = network.features(params, stats, batch["image"], train=True)
        result = []
        for i, task in enumerate(step.objective.tasks):
            head = params.heads[task.name], stats.heads[task.name]
            logits = network.logits(task.name, *head, features[i], (32, 32))
            result.append(task.loss_weight * task.loss(logits, batch["labels"][task.name]))
        return result

    return losses(state)


def test_metrics(step):
    """One value a task, with the losses' multipliers, and the discriminator's share of hits."""
    state, batch = random_state(step), random_batch(step)
    expected = weighted_losses(step, state, batch)
    _, metrics = step.joint_update(state, batch)
    np.testing.assert_allclose(metrics["loss"], expected, rtol=1e-4)
    accuracy = metrics["discriminator_accuracy"]
    assert accuracy.shape == (len(NAMES),)
    assert ((accuracy >= 0) & (accuracy <= 1)).all()


@pytest.mark.parametrize(
    ("count", "weight", "expected"), [(1, 0.3, False), (3, 0.0, False), (3, 0.3, True)]
)
def test_discriminator_is_for_several_tasks(count, weight, expected):
    """One task, or weight 0: no discriminator, and the objective is the plain task loss."""
    chosen = dict(list(CHANNELS.items())[:count])
    step = tiny_step(tasks=chosen, discriminator_weight=weight)
    state = jax.eval_shape(step.init, jax.random.key(0))
    assert bool(state.params.discriminator) == expected
    gradients, _, metrics = jax.eval_shape(
        step.objective.joint_gradients,
        state.params,
        state.stats,
        random_batch(step),
        jnp.float32(1),
    )
    assert ("discriminator_loss" in metrics) == expected
    assert bool(jax.tree.leaves(gradients.discriminator)) == expected
    assert step.objective.discriminator_weight == (weight if expected else 0.0)


def targets_of(step, name, labels, size):
    """The discriminator's targets for features of `size`."""
    features = jnp.zeros((len(labels), *size, 32))
    found = step.objective.targets(features, dict.fromkeys(NAMES, jnp.asarray(labels)))
    return found.here[NAMES.index(name)]


def test_discriminator_targets_are_the_nearest_labels(step):
    """Position i of the features looks at label i * 4: the task, or 255 where that is ignored."""
    labels = random_batch(step)["labels"]["semseg"]
    expected = np.where(labels[:, ::4, ::4] == 255, 255, NAMES.index("semseg"))
    assert 0 < (expected == 255).mean() < 1
    np.testing.assert_array_equal(targets_of(step, "semseg", labels, (8, 8)), expected)


def test_discriminator_targets_of_sizes_that_do_not_divide(step):
    """Source index floor(i * 33 / 9)."""
    rows = [0, 3, 7, 11, 14, 18, 22, 25, 29]
    labels = np.full((1, 33, 33, 1), 255, np.float32)
    labels[:, rows, 22] = 2
    expected = np.full((1, 9, 9, 1), 255)
    expected[:, :, rows.index(22)] = NAMES.index("human_parts")
    np.testing.assert_array_equal(targets_of(step, "human_parts", labels, (9, 9)), expected)


def test_reversed_gradient():
    """Forward the identity, backward -alpha times what comes in, nothing for alpha itself."""
    x = jnp.asarray(np.random.default_rng(0).standard_normal((3, 4)), jnp.float32)
    weights = jnp.arange(12.0).reshape(3, 4)

    def value(x, alpha):
        return jnp.sum(weights * jnp.sin(reverse_gradient(x, alpha)))

    np.testing.assert_array_equal(reverse_gradient(x, jnp.float32(0.3)), x)
    by_x, by_alpha = jax.grad(value, argnums=(0, 1))(x, jnp.float32(0.3))
    np.testing.assert_allclose(by_x, -0.3 * weights * jnp.cos(x), rtol=1e-6)
    assert by_alpha == 0


def test_unit_length():
    x = np.array([[3.0, 4.0], [0.0, 0.0], [1e-6, 0.0], [-2.0, 0.0]], np.float32)
    expected = x / (np.linalg.norm(x, axis=-1, keepdims=True) + 1e-10)
    np.testing.assert_allclose(unit_length(jnp.asarray(x)), expected, rtol=1e-6)


def test_derivative_of_unit_length():
    """(I - u u^T) / length with u the direction, and 0 for a vector of length 0."""
    x = np.array([3.0, -4.0, 12.0], np.float32)
    u = x / 13
    found = jax.jacobian(unit_length)(jnp.asarray(x))
    np.testing.assert_allclose(found, (np.eye(3) - np.outer(u, u)) / 13, atol=1e-7)
    np.testing.assert_array_equal(jax.jacobian(unit_length)(jnp.zeros(3)), np.zeros((3, 3)))


def test_bfloat16_computes_close_to_float32_and_keeps_float32():
    """The loss is that of float32 but for rounding; variables stay float32 and finite."""
    one = {"semseg": 5}
    half, full = tiny_step("bfloat16", one), tiny_step("float32", one)
    batch = random_batch(half)
    state, metrics = half.joint_update(random_state(half), batch)
    leaves = jax.tree.leaves((state.params, state.stats, state.optimizer))
    assert {leaf.dtype for leaf in leaves} == {jnp.dtype("float32")}
    assert all(np.isfinite(leaf).all() for leaf in leaves)
    network = half.network
    features, _ = jax.eval_shape(
        partial(network.features, train=False), state.params, state.stats, batch["image"]
    )
    assert features.dtype == jnp.bfloat16
    expected = weighted_losses(full, random_state(full), batch)
    np.testing.assert_allclose(metrics["loss"], expected, rtol=0.03)
    assert metrics["loss"][0] != expected[0]


@UPDATES
def test_accumulated_update_is_that_of_the_large_batch(update, monkeypatch):
    """With batch norm held still nothing else is different: all variables, momentum and metrics.

    The parts have different numbers of labels and of positives, and the discriminator takes part.
    """
    normalize = BatchNorm.__call__
    monkeypatch.setattr(
        BatchNorm, "__call__", lambda self, x, *, train: normalize(self, x, train=False)
    )
    with jax.enable_x64(True):
        step = tiny_step("float64", {"semseg": 5, "sal": 1})
        results = []
        for num_parts in (1, 2):
            stepper, state, metrics = in_parts(step, num_parts), random_state(step), []
            for seed in range(2):
                batch = random_batch(step, batch=4, seed=seed)
                labels = {name: x.at[0, :20].set(255) for name, x in batch["labels"].items()}
                method = getattr(stepper, f"{update.__name__}_update")
                state, values = method(state, batch | {"labels": labels})
                metrics.append(copied(values))
            results.append((copied(state), metrics))
        before = random_state(step)
        assert num_equal(results[0][0].params, before.params) == 0
        assert_close(results[1], results[0], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    ("layout", "parts"),
    [
        (ONE_DATASET, [[0, 2], [1, 3]]),
        (Layout(2, {"semseg": (0, 1), "normals": (1, 2)}), [[0, 1, 4, 5], [2, 3, 6, 7]]),
    ],
    ids=["images", "groups"],
)
def test_accumulated_statistics_move_once_a_part(step, layout, parts):
    """Every second group from the first on, then every second from the second on."""
    state, batch = random_state(step), random_batch(step, batch=sum(map(len, parts)))
    params, stats = (view(variables, np.int32(0)) for variables in (state.params, state.stats))
    run = jax.jit(partial(step.network.task_features, train=True))
    for part in parts:
        _, stats = run(params, stats, np.asarray(batch["image"])[part])
    expected = copied(stats.shared)
    after, _ = in_parts(of_layout(step, layout), 2).joint_update(state, batch)
    assert_close(after.stats.shared, expected, rtol=1e-5, atol=1e-6)


@UPDATES
def test_moving_average_follows_every_batch(step, update):
    """Of parameters and statistics, once a batch; it is what predictions are made with."""
    config = OptimizerConfig(learning_rate=0.01, ema_decay=0.3)
    optimizer = Optimizer(config, len(NAMES))
    averaging = Steps(dataclasses.replace(step.ingredients, optimizer=optimizer))
    start = random_state(step)
    state = initial_state(start.params, start.stats, averaging.optimizer)
    expected = copied((state.params, state.stats))
    assert_identical(state.evaluated, expected)
    for number in range(2):
        state = update(averaging, state, random_batch(step, seed=number))
        decay = min(0.3, (1 + number) / (10 + number))
        expected = jax.tree.map(
            lambda a, x: decay * a + (1 - decay) * np.asarray(x),  # noqa: B023
            expected,
            (state.params, state.stats),
        )
    assert_close(state.evaluated, expected, rtol=1e-4, atol=1e-6)
    assert num_equal(state.evaluated[0].shared, state.params.shared) == 0


def equations(jaxpr):
    """All equations of a program and of those that it calls."""
    for equation in jaxpr.eqns:
        yield equation
        for value in jax.tree.leaves(equation.params, is_leaf=is_program):
            if is_program(value):
                yield from equations(getattr(value, "jaxpr", value))


def sums(jaxpr):
    """All sums in a program: dtype, and number of summands of each."""
    for equation in equations(jaxpr):
        if equation.primitive.name == "reduce_sum":
            (operand,), (result,) = equation.invars, equation.outvars
            yield operand.aval.dtype, operand.aval.size // result.aval.size


def is_program(value):
    return isinstance(value, core.Jaxpr | core.ClosedJaxpr)


def test_tasks_keep_nothing_for_each_other(step):
    """What a switch over tasks returns is as large as features, or labels: no classes' logits.

    All branches return what any of them does, so that a task would pay for the logits of all.
    """
    state, batch = random_state(step), random_batch(step, size=64)
    views = one_task(state.params, 0), one_task(state.stats, 0)
    program = jax.make_jaxpr(step.objective.task_gradients)(*views, batch, 0, 1.0)
    switches = [e for e in equations(program.jaxpr) if e.primitive.name == "cond"]
    assert len(switches) >= 2  # forwards and backwards
    shapes = [result.aval.shape for switch in switches for result in switch.outvars]
    labels = {label.shape for label in batch["labels"].values()}
    assert not [shape for shape in shapes if 64 in shape and shape not in labels]


def test_bfloat16_has_long_sums_and_everything_kept_in_float32():
    """Statistics, losses and gradients are float32, and so is every sum over images or pixels."""
    records = tuple(golden_cases.task_record(name, count, 0.95) for name, count in PAIR.items())
    config = ModelConfig(
        backbone="resnet14", width_multiplier=0.0625, decoder_width=32, dtype="bfloat16"
    )
    network = Network(config, channels_by_name(records), DiscriminatorConfig(kernel=3))
    step = step_of(network, records)
    state, batch = random_state(step), random_batch(step, size=64)
    gradients = partial(step.objective.joint_gradients, batch=batch, alpha=jnp.float32(1))
    jaxpr, outputs = jax.make_jaxpr(gradients, return_shape=True)(state.params, state.stats)
    assert {leaf.dtype for leaf in jax.tree.leaves(outputs)} == {jnp.dtype("float32")}
    found = list(sums(jaxpr.jaxpr))
    assert max(summands for _, summands in found) > 1000
    assert all(dtype != jnp.bfloat16 for dtype, summands in found if summands > len(PAIR))


def program_size(names):
    """Operations in the joint step's program for the smallest backbone, at full width."""
    records = tuple(getattr(tasks, name)() for name in names)
    network = Network(
        ModelConfig(backbone="resnet14"), channels_by_name(records), DiscriminatorConfig()
    )
    step = Steps(
        Ingredients(
            Objective(network, records, 0.01),
            Optimizer(OptimizerConfig(), len(records)),
            lambda _: jnp.float32(1e-3),
            lambda _: jnp.float32(1.0),
        )
    )
    state = jax.eval_shape(step.init, jax.random.key(0))
    channels = {task.name: task.channels if task.name == "normals" else 1 for task in records}
    batch = {
        "image": jax.ShapeDtypeStruct((2, 128, 128, 3), jnp.float32),
        "labels": {
            name: jax.ShapeDtypeStruct((2, 128, 128, count), jnp.float32)
            for name, count in channels.items()
        },
    }
    return step.joint_update.lower(state, batch).as_text().count(" = stablehlo.")


def test_joint_program_hardly_grows_with_tasks():
    """Compile time follows the number of operations: with 5 tasks at most 1.3 times that with 1."""
    one = program_size(["semseg"])
    five = program_size(["edge", "semseg", "human_parts", "normals", "sal"])
    print(f"operations: {one} with 1 task, {five} with 5: {five / one:.2f} times as many")
    assert five <= 1.3 * one


class UberTrunk(nnx.Module):
    """Low- and high-level features of the widths that heads of the uber decoder read."""

    def __init__(self, config: ModelConfig):
        self.low = layers.Conv(3, 16, 3, stride=4, dtype=config.compute_dtype)
        self.high = layers.Conv(16, 128, 1, stride=2, dtype=config.compute_dtype)

    def __call__(self, images: jax.Array, *, train: bool) -> tuple[jax.Array, jax.Array]:
        del train
        low = self.low(images)
        return low, self.high(low)


class UberNetwork(Network):
    def _new_trunk(self) -> UberTrunk:
        return UberTrunk(self.config)


@pytest.fixture(scope="module")
def uber_step():
    config = ModelConfig(decoder="uber", width_multiplier=0.0625)
    records = tuple(golden_cases.task_record(name, count) for name, count in CHANNELS.items())
    return step_of(UberNetwork(config, CHANNELS), records, discriminator_weight=0.0)


def test_heads_with_batch_norm_learn_alike_in_both_updates(uber_step):
    """Heads have statistics of their own there; momentum makes no difference in a first step."""
    batch = random_batch(uber_step, ignored=["human_parts"])
    before = copied(random_state(uber_step))
    after = copied(joint(uber_step, random_state(uber_step), batch))
    one_by_one = copied(per_task(uber_step, random_state(uber_step), batch))
    first, last = "semseg", "human_parts"
    assert_close(one_by_one.params.heads[first], after.params.heads[first], rtol=1e-4, atol=1e-6)
    assert_close(one_by_one.stats.heads[first], after.stats.heads[first], rtol=1e-4, atol=1e-6)
    for state in (after, one_by_one):
        for part in ("params", "stats", "optimizer"):
            old, new = (getattr(x, part).heads for x in (before, state))
            assert_identical(new[last], old[last])
            assert num_equal(new[first], old[first]) == 0
