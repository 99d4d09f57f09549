"""A run's folder with a network that compiles in a second, for what works on trained networks."""

import dataclasses
import pathlib

import jax.numpy as jnp
from settings import settings
from tiny_network import TinyNetwork, random_state, step_of

from astmt_jax.config import Config, from_config_dict
from astmt_jax.datasets import registry
from astmt_jax.tasks.task import channels_by_name
from astmt_jax.trained_model import Model
from astmt_jax.training.checkpoint import Checkpoints
from astmt_jax.training.optimizer import Optimizer
from astmt_jax.training.state import initial_state
from astmt_jax.training.workdir import claim_workdir

TASKS = ("semseg", "normals", "edge", "depth")
SIZE = 32
STEP = 7


def tiny_config(**changes) -> Config:
    """Settings of a run on `scenes` with images of 32 pixels; the output stride is 16."""
    chosen = {
        "tasks": TASKS,
        "train__image_size": SIZE,
        "model__decoder_width": 32,
        "model__encoder_adapters": True,
        "model__decoder_adapters": True,
        "discriminator__weight": 0.0,
    }
    return from_config_dict(settings(**chosen | changes))


def tiny_model(**changes) -> Model:
    """A model with random variables, as `load` makes it, of settings with `changes`."""
    config, network, tasks, state = _parts(**changes)
    return Model(config, network, tasks, state.params, state.stats, STEP)


def write_run(workdir: pathlib.Path) -> Model:
    """Writes a run with the variables of the model that is returned.

    `trained_model.Network` must be `TinyNetwork` to load it.
    """
    config, network, tasks, state = _parts()
    claim_workdir(workdir, config)
    checkpoints = Checkpoints(workdir)
    checkpoints.save(STEP, dataclasses.replace(state, step=jnp.int32(STEP)))
    checkpoints.close()
    return Model(config, network, tasks, state.params, state.stats, STEP)


def _parts(**changes):
    config = tiny_config(**changes)
    tasks = registry.tasks_of(config)
    network = TinyNetwork(config.model, channels_by_name(tasks), config.discriminator)
    state = random_state(step_of(network, tasks))
    optimizer = Optimizer(config.optimizer, len(tasks))
    return config, network, tasks, initial_state(state.params, state.stats, optimizer)
