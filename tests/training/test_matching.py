"""Which variables of another network are taken: compared with where they lie in that one."""

import dataclasses

import jax
import numpy as np
import pytest
from tiny_network import CHANNELS, PAIR, SHARED, copied, random_state, tiny_step

from astmt_jax.models.variables import one_task
from astmt_jax.training.matching import match


def variables_of(tasks, seed, **model):
    """Names of the tasks, and random parameters and statistics, different for every seed."""
    state = copied(random_state(tiny_step(tasks=tasks, **model), seed))
    return tuple(tasks), (state.params, state.stats)


def matched(new, given):
    (names, initial), (given_names, found) = new, given
    taken = match(initial, names, found, given_names)
    assert jax.tree.structure(taken.variables) == jax.tree.structure(initial)
    return taken


def assert_identical(actual, expected):
    assert jax.tree.leaves(expected)
    jax.tree.map(np.testing.assert_array_equal, actual, expected)


def of_task(variables, names, name):
    """All that a task owns."""
    index = names.index(name)
    params, stats = (one_task(each, index) for each in variables)
    return params.task, stats.task, params.heads[name]


def test_the_same_tasks_take_everything():
    new, given = variables_of(PAIR, 0), variables_of(PAIR, 1)
    found = matched(new, given)
    assert found.anew == {}
    assert_identical(found.variables, given[1])
    leaves = jax.tree.leaves(given[1])
    assert sum(found.sizes.values()) == sum(leaf.size for leaf in leaves)


@pytest.mark.parametrize("order", [1, -1])
def test_a_new_task_starts_anew_and_others_go_by_name(order):
    tasks = dict(list(CHANNELS.items())[::order])
    new, given = variables_of(tasks, 0), variables_of(PAIR, 1)
    found = matched(new, given)
    assert_identical(found.variables[0].shared, given[1][0].shared)
    assert_identical(found.variables[1].shared, given[1][1].shared)
    for name in PAIR:
        assert_identical(of_task(found.variables, new[0], name), of_task(given[1], given[0], name))
    for kept in (lambda of: of_task(of, new[0], "human_parts"), lambda of: of[0].discriminator):
        assert_identical(kept(found.variables), kept(new[1]))
    assert {owner for owner, _ in found.anew} == {"human_parts", new[0]}
    assert set(found.anew.values()) == {None}


def test_a_discriminator_is_that_of_its_tasks_in_their_order():
    new = variables_of(dict(reversed(PAIR.items())), 0)
    found = matched(new, variables_of(PAIR, 1))
    assert_identical(found.variables[0].discriminator, new[1][0].discriminator)
    assert {owner for owner, _ in found.anew} == {new[0]}


def test_another_shape_is_left_out_and_told():
    new, given = variables_of(PAIR | {"semseg": 9}, 0), variables_of(PAIR, 1)
    found = matched(new, given)
    assert found.anew == {
        ("semseg", ("head", "kernel")): (1, 1, 32, 5),
        ("semseg", ("head", "bias")): (5,),
    }
    assert_identical(found.variables[0].heads["semseg"], new[1][0].heads["semseg"])
    without = {"semseg": {}, "normals": given[1][0].heads["normals"]}
    expected = dataclasses.replace(given[1][0], heads=without)
    actual = dataclasses.replace(
        found.variables[0], heads=without | {"normals": found.variables[0].heads["normals"]}
    )
    assert_identical(actual, expected)


def test_every_task_takes_what_all_shared():
    """From plain multi-task learning to batch norms of each task's own."""
    new = variables_of(PAIR, 0, **SHARED | {"decoder_norm": "per_task"})
    given = variables_of(PAIR, 1, **SHARED)
    found = matched(new, given)
    assert found.anew == {}
    (params, stats), (given_params, given_stats) = found.variables, given[1]
    for index in range(len(PAIR)):
        own, shared = params.task["refine"]["norm"], given_params.shared["refine"]["norm"]
        assert_identical(one_task(params, index).task["refine"]["norm"], shared)
        assert own.keys() == {"scale", "bias"}
        running = given_stats.shared["refine"]["norm"]
        assert_identical(one_task(stats, index).task["refine"]["norm"], running)
