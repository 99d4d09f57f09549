"""Means of metrics between two lines of progress."""

import jax.numpy as jnp
import numpy as np
import pytest

from astmt_jax.training.averages import Averages


def test_means_of_tasks_and_of_all_of_them():
    """Per task as one array or as a list of scalars, and one number of all together."""
    averages = Averages(("edge", "depth"))
    averages.add(1, {"loss": jnp.array([1.0, 2.0]), "norm": jnp.float32(5)})
    averages.add(2, {"loss": [np.float32(3), np.float32(6)], "norm": jnp.float32(7)})
    assert averages.take() == ({"loss": {"edge": 2.0, "depth": 4.0}}, {"norm": 6.0})
    averages.add(3, {"loss": jnp.array([8.0, 9.0])})
    assert averages.take() == ({"loss": {"edge": 8.0, "depth": 9.0}}, {})


@pytest.mark.parametrize(
    ("metrics", "words"),
    [
        ({"loss": [1.0, np.nan]}, "The loss of task depth is nan at step 4:"),
        ({"gradient_norm": np.inf}, "The gradient norm is inf at step 4:"),
    ],
)
def test_what_is_not_finite_is_named(metrics, words):
    """One step late, as reading it earlier would stall the device."""
    averages = Averages(("edge", "depth"))
    averages.add(4, metrics)
    with pytest.raises(FloatingPointError, match=words):
        averages.flush()
