"""What an import loads, and what it leaves as it is, each in a fresh interpreter."""

import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[1]
DATA = ("tensorflow", "tensorflow_datasets", "clu")

LIGHT = {
    "astmt_jax.datasets.registry": DATA,
    "astmt_jax.datasets.scenes.generate": (*DATA, "jax"),
    "astmt_jax.pipeline.augment": DATA,
    "astmt_jax.pipeline.transfer": DATA,
    "astmt_jax.runtime.workers": (*DATA, "jax"),
}
"""Module -> packages that it must not load."""


def run(script: str) -> str:
    """What a script prints in an interpreter of its own."""
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout


@pytest.mark.parametrize("module", LIGHT)
def test_an_import_is_light(module):
    loaded = run(f"import sys, {module}; print(*sys.modules)").split()
    assert module in loaded
    assert not set(LIGHT[module]) & set(loaded)


UNCHANGED = """
import cv2
import tensorflow as tf
before = cv2.getNumThreads(), tf.config.get_visible_devices()
import astmt_jax.pipeline.batches
import astmt_jax.datasets.stored
print(before == (cv2.getNumThreads(), tf.config.get_visible_devices()))
next(iter(astmt_jax.pipeline.iteration.iterate(tf.data.Dataset.range(1), threads=1)))
print(cv2.getNumThreads())
"""


def test_the_pipeline_changes_libraries_when_it_runs_only():
    assert run(UNCHANGED).split() == ["True", "1"]
