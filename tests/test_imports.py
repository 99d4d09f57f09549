"""What an import loads, and what it leaves as it is, each in a process of its own."""

import os
import pathlib
import subprocess
import sys

import jax
import numpy as np
import pytest
from forked_programs import programs
from settings import settings

from astmt_jax.config import from_config_dict
from astmt_jax.training.checkpoint import Checkpoints
from astmt_jax.training.experiment import Experiment
from astmt_jax.training.workdir import claim_workdir

ROOT = pathlib.Path(__file__).parents[1]
DATA = ("tensorflow", "tensorflow_datasets", "clu")
PICTURES = ("matplotlib", "cv2", "PIL")
KERAS = ("keras", "clu", "sklearn", "pandas", "matplotlib.pyplot")
SETTINGS = ("ml_collections",)
HEAVY = (*DATA, *PICTURES, "scipy.io")
RENDERER = "astmt_jax.datasets.scenes.renderer"

LIGHT = {
    "astmt_jax.config": (*HEAVY, *SETTINGS, "flax", "orbax", "rich", "scipy"),
    "astmt_jax.datasets.prepare": KERAS,
    "astmt_jax.datasets.registry": (*DATA, "matplotlib", "scipy.io", RENDERER),
    "astmt_jax.datasets.show": KERAS,
    "astmt_jax.datasets.scenes.generate": (*DATA, "jax"),
    "astmt_jax.demo.__main__": (*DATA, "gradio", "scipy.io"),
    "astmt_jax.evaluate": KERAS,
    "astmt_jax.export.__main__": (*DATA, "matplotlib", "scipy.io"),
    "astmt_jax.metrics.edges": (*HEAVY, "jax", "rich"),
    "astmt_jax.metrics.saliency": (*HEAVY, "jax", "rich"),
    "astmt_jax.metrics.summary": (*HEAVY, "jax", "rich"),
    "astmt_jax.models.cost": HEAVY,
    "astmt_jax.models.network": HEAVY,
    "astmt_jax.pipeline.augment": DATA,
    "astmt_jax.pipeline.transfer": DATA,
    "astmt_jax.predict.__main__": (*DATA, "scipy.io"),
    "astmt_jax.runtime.workers": (*DATA, "jax"),
    "astmt_jax.summary": (*DATA, "matplotlib", "scipy.io"),
    "astmt_jax.tasks.losses": HEAVY,
    "astmt_jax.tasks.registry": HEAVY,
    "astmt_jax.trained_model": (*DATA, "matplotlib", "scipy.io", RENDERER),
    "astmt_jax.training.objective": HEAVY,
    "astmt_jax.training.optimizer": HEAVY,
    "astmt_jax.training.train_step": (*HEAVY, *SETTINGS),
    "astmt_jax.weights.original": (*HEAVY, *SETTINGS, "safetensors"),
}
"""Module -> packages that it must not load. (Flax itself loads rich.)"""


def run(script: str) -> str:
    """What a script prints in an interpreter of its own."""
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout


NETWORKS = ("jax", "flax.nnx", "optax")
"""What processes have loaded already in which modules are imported that may load it."""


@pytest.fixture(scope="module")
def forked(tmp_path_factory):
    with programs(tmp_path_factory.mktemp("forked"), os.environ, *NETWORKS) as started:
        yield started


def loaded_by(module, forked) -> list[str]:
    """Names of all modules that are loaded once this one is."""
    if {"jax", "flax", "rich", "sklearn"} & set(LIGHT[module]):  # scikit-learn comes with Keras
        return run(f"import sys, {module}; print(*sys.modules)").split()
    program = forked.start("tests.imported", module)
    printed, errors = program.communicate()
    assert program.returncode == 0, errors
    return printed.split()


@pytest.mark.parametrize("module", LIGHT)
def test_an_import_is_light(module, forked):
    loaded = loaded_by(module, forked)
    assert module in loaded
    assert not set(LIGHT[module]) & set(loaded)


UNCHANGED = """
import logging, os, signal
import clu.metric_writers, cv2, jax, orbax.checkpoint
import tensorflow as tf

def state():
    return (
        cv2.getNumThreads(),
        tf.config.get_visible_devices(),
        [list(logging.getLogger(name).filters) for name in (None, "absl", "concurrent.futures")],
        [logging.getLogger(name).level for name in (None, "absl")],
        [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)],
        jax.config.jax_compilation_cache_dir,
    )

before = state()
import astmt_jax.main, astmt_jax.evaluate, astmt_jax.predict.__main__, astmt_jax.export.__main__
import astmt_jax.compare.__main__, astmt_jax.report.__main__, astmt_jax.datasets.prepare
import astmt_jax.pipeline.batches
import astmt_jax.datasets.stored
print(before == state())
next(iter(astmt_jax.pipeline.iteration.iterate(tf.data.Dataset.range(1), count=1, threads=1)))
print(cv2.getNumThreads())
"""


def test_the_pipeline_changes_libraries_when_it_runs_only():
    assert run(UNCHANGED).split() == ["True", "1"]


WITHOUT_KERAS = """
import sys, astmt_jax.main
print({"keras.src", "sklearn", "pandas", "matplotlib.pyplot"} & set(sys.modules))
import tensorflow as tf
from tensorboard.plugins.hparams import api
print(issubclass(api.KerasCallback, tf.keras.callbacks.Callback), hasattr(api, "other"))
"""


def test_training_loads_keras_only_for_who_asks_for_it():
    """And then all that TensorBoard has for it."""
    assert run(WITHOUT_KERAS).split() == ["set()", "True", "False"]


WITHOUT_TENSORFLOW = """
import sys
sys.modules |= dict.fromkeys({packages!r})  # as if they were not installed
import numpy as np
from astmt_jax import load
predictions = load({workdir!r}).predict(np.zeros((20, 30, 3), np.uint8))
print({{name: prediction.shape for name, prediction in predictions.items()}})
"""


def test_a_network_predicts_where_tensorflow_is_not_installed(tmp_path):
    config = from_config_dict(
        settings(
            tasks=("semseg", "normals"),
            model__width_multiplier=0.0625,
            train__image_size=32,
            discriminator__weight=0.0,
        )
    )
    claim_workdir(tmp_path, config)
    step = Experiment(config).train_step(steps_per_epoch=1)
    with Checkpoints(tmp_path) as checkpoints:
        zeros = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), described(step))
        checkpoints.save(3, jax.device_put(zeros))
    printed = run(WITHOUT_TENSORFLOW.format(packages=DATA, workdir=str(tmp_path)))
    assert printed.strip() == "{'semseg': (20, 30), 'normals': (20, 30, 3)}"


def described(step):
    return jax.eval_shape(step.init, jax.random.key(0))
