"""Updates against PyTorch's rules written out in NumPy, and schedules in closed form."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from networks import on_device

from astmt_jax.config import OptimizerConfig
from astmt_jax.models.variables import Params, one_task
from astmt_jax.training.optimizer import Optimizer, moving_average
from astmt_jax.training.schedules import poly_schedule, reversal_schedule

NUM_TASKS = 2
NAMES = ("sal", "depth")
RATES = (0.1, 0.05, 0.02)


def random_params(seed):
    """`Params` of two tasks with one leaf in each group."""
    random = np.random.default_rng(seed)

    def leaf(*shape):
        return {"kernel": on_device(random.standard_normal(shape), np.float32)}

    return Params(
        shared=leaf(3, 4),
        task=leaf(NUM_TASKS, 5),
        heads={name: leaf(4, 2) for name in NAMES},
        discriminator=leaf(2, 2),
    )


def groups_of(params):
    """The arrays that have an optimizer state of their own, by name."""
    groups = {
        "shared": params.shared["kernel"],
        "discriminator": params.discriminator["kernel"],
    }
    groups |= {f"task{i}": params.task["kernel"][i] for i in range(NUM_TASKS)}
    groups |= {f"head{i}": params.heads[name]["kernel"] for i, name in enumerate(NAMES)}
    return {name: np.array(value) for name, value in groups.items()}


def run(config, activity, params):
    """Parameters and states after one step for each row of `activity`, and after each step."""
    optimizer = Optimizer(config, NUM_TASKS)
    update = jax.jit(optimizer.update)
    states = optimizer.init(params)
    history = []
    for number, row in enumerate(activity):
        params, states = update(
            params,
            random_params(100 + number),
            states,
            np.float32(RATES[number]),
            active=np.array(row),
            head_active=dict(zip(NAMES, map(np.bool_, row), strict=True)),
        )
        history.append((params, states))
    return history


def is_active(group, row):
    """Whether a group takes part in a step in which the tasks of `row` do."""
    return row[int(group[-1])] if group[-1].isdigit() else any(row)


@pytest.mark.parametrize(
    "activity",
    [
        ((True, True), (True, True), (True, True)),
        ((True, True), (True, False), (True, True)),
        ((False, True), (False, False), (True, True)),
    ],
)
@pytest.mark.parametrize("task_multiplier", [None, 0.5])
def test_sgd_is_pytorchs(activity, task_multiplier):
    """Buffer = momentum * buffer + gradient + decay * parameter; inactive groups are left alone."""
    config = OptimizerConfig(
        momentum=0.8, weight_decay=0.03, task_multiplier=task_multiplier, discriminator_multiplier=7
    )
    multiplier = {"s": 1.0, "d": 7.0}
    for kind in "th":
        multiplier[kind] = NUM_TASKS if task_multiplier is None else task_multiplier
    values = {name: value.astype(np.float64) for name, value in groups_of(random_params(0)).items()}
    buffers = {name: np.zeros_like(value) for name, value in values.items()}
    for number, (params, _) in enumerate(run(config, activity, random_params(0))):
        gradients = groups_of(random_params(100 + number))
        for name in values:
            if is_active(name, activity[number]):
                buffers[name] = 0.8 * buffers[name] + gradients[name] + 0.03 * values[name]
                values[name] = values[name] - RATES[number] * multiplier[name[0]] * buffers[name]
        for name, value in groups_of(params).items():
            np.testing.assert_allclose(value, values[name], rtol=1e-5, atol=1e-6, err_msg=name)


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_inactive_is_untouched(name):
    """Bitwise: no step, no decay, no momentum for a task without labels, or for anything at all."""
    history = run(
        OptimizerConfig(name=name, weight_decay=0.5),
        ((True, True), (True, False), (False, False)),
        random_params(0),
    )
    (before, before_states), (partly, partly_states), nothing = history
    second = jax.tree.map(lambda x: x[1], (before.task, before_states.task))
    second_after = jax.tree.map(lambda x: x[1], (partly.task, partly_states.task))
    assert_identical(second_after, second)
    assert_identical(
        (partly.heads["depth"], partly_states.heads["depth"]),
        (before.heads["depth"], before_states.heads["depth"]),
    )
    changed = groups_of(partly)
    for group, value in groups_of(before).items():
        assert (value != changed[group]).all() == (group not in ("task1", "head1")), group
    assert_identical(nothing, (partly, partly_states))


def assert_identical(actual, expected):
    jax.tree.map(np.testing.assert_array_equal, actual, expected)


def test_one_tasks_view_moves_as_its_slice():
    """The view of one task, as per-task updates use it, and the stacked variables agree."""
    config = OptimizerConfig(weight_decay=0.1)
    optimizer = Optimizer(config, NUM_TASKS)
    params, gradients = random_params(0), random_params(1)
    update = jax.jit(optimizer.update)
    head_active = {"sal": np.bool_(False), "depth": np.bool_(True)}
    view, states = update(
        one_task(params, 1),
        one_task(gradients, 1),
        one_task(optimizer.init(params), 1),
        np.float32(0.1),
        active=np.bool_(True),
        head_active=head_active,
    )
    stacked, stacked_states = update(
        params,
        gradients,
        optimizer.init(params),
        np.float32(0.1),
        active=np.array([False, True]),
        head_active=head_active,
    )
    close = lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6)  # noqa: E731
    jax.tree.map(close, (view, states), (one_task(stacked, 1), one_task(stacked_states, 1)))


def test_adamw_is_optaxs():
    config = OptimizerConfig(name="adamw", momentum=0.85, adam_b2=0.95, weight_decay=0.02)
    history = run(config, ((True, True),) * 3, random_params(0))
    value = random_params(0).shared
    make = lambda rate: optax.adamw(rate, b1=0.85, b2=0.95, weight_decay=0.02)  # noqa: E731
    state = make(0.0).init(value)
    for number, (params, _) in enumerate(history):
        updates, state = make(RATES[number]).update(
            random_params(100 + number).shared, state, value
        )
        value = optax.apply_updates(value, updates)
        np.testing.assert_allclose(params.shared["kernel"], value["kernel"], rtol=1e-6)


def test_adamw_counts_each_tasks_own_steps():
    """A task that joins at the second step starts with the bias correction of a first step."""
    config = OptimizerConfig(name="adamw", weight_decay=0.0, task_multiplier=1.0)
    first, second = run(config, ((True, False), (True, True)), random_params(0))
    step = groups_of(second[0])["task1"] - groups_of(first[0])["task1"]
    gradient = groups_of(random_params(101))["task1"]
    np.testing.assert_allclose(step, -RATES[1] * np.sign(gradient), rtol=1e-4)


def test_poly_schedule_by_epoch():
    """The rate falls at the first step of each epoch, to rate * (1 - epoch / epochs) ** power."""
    config = OptimizerConfig(learning_rate=0.5, poly_power=0.9, decay_every="epoch")
    schedule = poly_schedule(config, steps_per_epoch=4, epochs=5)
    found = [float(schedule(jnp.int32(step))) for step in range(20)]
    expected = [0.5 * (1 - step // 4 / 5) ** 0.9 for step in range(20)]
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_poly_schedule_by_step():
    config = OptimizerConfig(learning_rate=0.5, poly_power=2.0, decay_every="step")
    schedule = poly_schedule(config, steps_per_epoch=4, epochs=5)
    found = [float(schedule(jnp.int32(step))) for step in (0, 1, 7, 10, 19, 20)]
    expected = [0.5 * (1 - step / 20) ** 2 for step in (0, 1, 7, 10, 19, 20)]
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_warm_up_is_linear():
    config = OptimizerConfig(learning_rate=1.0, warmup_steps=4, decay_every="epoch", poly_power=1.0)
    schedule = poly_schedule(config, steps_per_epoch=100, epochs=10)
    found = [float(schedule(jnp.int32(step))) for step in (0, 1, 2, 3, 4, 99, 100)]
    np.testing.assert_allclose(found, [0.25, 0.5, 0.75, 1, 1, 1, 0.9], rtol=1e-6)


def test_reversal_schedule():
    """tanh(5 p), with p the share of epochs begun."""
    schedule = reversal_schedule(steps_per_epoch=3, epochs=4)
    found = [float(schedule(jnp.int32(step))) for step in range(12)]
    expected = [np.tanh(5 * (step // 3 + 1) / 4) for step in range(12)]
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_moving_average_in_closed_form():
    """A weighted sum of all values so far, whose weights add up to 1; the decay grows to 0.5."""
    values = np.random.default_rng(0).standard_normal((21, 3))
    decays = np.array([min(0.5, (1 + n) / (10 + n)) for n in range(20)])
    assert decays[7] < decays[8] == decays[-1] == 0.5
    # The value before step 0 came with weight 1; each step scales what there was by its decay.
    left = np.append(np.cumprod(decays[::-1])[::-1], 1.0)
    weights = np.append(1.0, 1 - decays) * left
    np.testing.assert_allclose(weights.sum(), 1)
    average = {"kernel": np.float32(values[0])}
    following = jax.jit(moving_average)
    for number, value in enumerate(values[1:]):
        average = following(average, {"kernel": np.float32(value)}, 0.5, np.int32(number))
    np.testing.assert_allclose(average["kernel"], weights @ values, rtol=1e-5)


def test_moving_average_of_a_constant_is_the_constant():
    """To the bit: frozen weights and tasks that are not trained stay what they are."""
    constant = jnp.asarray(np.random.default_rng(0).standard_normal(50), jnp.float32)
    found = moving_average(constant, constant, 0.999, jnp.int32(12345))
    np.testing.assert_array_equal(found, constant)
