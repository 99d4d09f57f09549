"""What tests of exported networks share."""

import jax
import numpy as np
from networks import SMALL
from tiny_run import tiny_config

from astmt_jax.config import from_config_dict
from astmt_jax.datasets import registry
from astmt_jax.models.network import Network
from astmt_jax.tasks.task import channels_by_name
from astmt_jax.trained_model import Model


def real_model(**model):
    """A model with the real trunk and random variables."""
    values = tiny_config().to_dict()
    values["model"] |= SMALL | model
    config = from_config_dict(values)
    tasks = registry.tasks_of(config)
    network = Network(config.model, channels_by_name(tasks), config.discriminator)
    return Model(config, network, tasks, *jax.jit(network.init)(jax.random.key(0)), 0)


def assert_agrees(run, model, tasks, shape):
    """Checks an exported network on random pictures (batch, height, width) against the network."""
    images = np.random.default_rng(1).integers(0, 256, (*shape, 3)).astype(np.uint8)
    found = run(images.astype(np.float32))
    expected = model.predict_batch(list(images), tasks, size=max(shape[1:]))
    assert sorted(found) == sorted(tasks)
    for name in tasks:
        wanted = np.stack([prediction[name] for prediction in expected])
        assert found[name].dtype == wanted.dtype
        np.testing.assert_allclose(found[name], wanted, atol=1e-4)
