"""What our network and training make of the golden cases, and how far that is from their values."""

import dataclasses
from collections.abc import Iterator, Mapping
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from astmt_jax.config import OptimizerConfig
from astmt_jax.models.variables import one_task, slice_of_task
from astmt_jax.training.objective import Objective
from astmt_jax.training.optimizer import Optimizer
from astmt_jax.training.state import TrainState
from astmt_jax.training.train_step import TrainStep
from astmt_jax.training.update import Ingredients
from astmt_jax.weights import original as convert
from tests import golden_cases

CompilerOptions = Mapping[str, bool | int] | None

FORWARD_TOLERANCE = {"float64": 1e-6, "float32": 3e-5}  # of the standard deviation
LOSS_TOLERANCE = {"float64": 1e-9, "float32": 1e-5}  # relative
NORM_TOLERANCE = {"float64": 1e-6, "float32": 2e-3}  # of the norm
PROBE_TOLERANCE = {"float64": 1e-6, "float32": 2e-2}  # of the norm


def forward(
    golden: golden_cases.Case, compiler_options: CompilerOptions = None
) -> dict[str, np.ndarray]:
    """features/TASK and out/TASK (every second row and column) of all tasks, in one pass."""
    network = golden.network
    params, stats = convert.from_torch(golden.tensors, network, golden.dtype)
    images, _ = golden.data(golden.values["data_seed"])

    @partial(jax.jit, compiler_options=compiler_options)
    def run(params, stats, images):
        features, _ = network.features(params, stats, images, train=False)
        heads = {
            name: network.head_features(
                name,
                params.heads[name],
                stats.heads[name],
                slice_of_task(features, index),
                train=False,
            )[0]
            for index, name in enumerate(network.names)
        }
        return heads, network.all_logits(params, stats, images)

    features, logits = run(params, stats, images)
    return {f"features/{name}": np.asarray(features[name]) for name in network.names} | {
        f"out/{name}": np.asarray(logits[name][:, ::2, ::2]) for name in network.names
    }


def forward_error(actual: np.ndarray, expected: np.ndarray) -> float:
    """Largest difference after the rounding to float32 that the stored values went through, in
    standard deviations of `expected`."""
    assert actual.shape == expected.shape
    difference = actual.astype(np.float32).astype(np.float64) - expected
    return float(np.abs(difference).max() / expected.std())


def reference_training(golden: golden_cases.Case) -> tuple[TrainStep, TrainState]:
    """The training step of the reference and its initial state."""
    network, values = golden.network, golden.values
    # The reference's settings: SGD, constant rate, task-specific x T, discriminator x 10.
    optimizer = Optimizer(OptimizerConfig(), len(golden.tasks))
    ingredients = Ingredients(
        Objective(network, golden.tasks, values.get("dscr_weight", 0)),
        optimizer,
        learning_rate=lambda step: jnp.asarray(1e-3, golden.dtype),
        alpha=lambda step: jnp.asarray(values.get("alpha", 0), golden.dtype),
    )
    step = TrainStep(ingredients, "per_task")
    params, stats = convert.from_torch(golden.tensors, network, golden.dtype)
    return step, TrainState(jnp.int32(0), params, stats, optimizer.init(params))


def training_batch(golden: golden_cases.Case, number: int) -> dict:
    """One of the batches of a training case."""
    images, labels = golden.data(golden.values["data_seeds"][number])
    return {"image": jnp.asarray(images), "labels": labels}


def gradients(
    golden: golden_cases.Case,
    step: TrainStep,
    state: TrainState,
    compiler_options: CompilerOptions = None,
) -> Iterator[tuple[str, dict[str, jax.Array], dict[str, np.ndarray]]]:
    """Of each task on the first batch: name, metrics, gradients under the reference's names."""
    batch = training_batch(golden, 0)

    @partial(jax.jit, compiler_options=compiler_options)
    def gradients_of(state, batch, index):
        views = one_task(state.params, index), one_task(state.stats, index)
        alpha = step.ingredients.alpha(state.step)
        gradients, _, metrics = step.ingredients.objective.task_gradients(
            *views, batch, index, alpha
        )
        return gradients, metrics

    for index, name in enumerate(golden.network.names):
        found, metrics = gradients_of(state, batch, np.int32(index))
        yield name, metrics, torch_gradients(found, state.stats, golden.network, index)


def torch_gradients(gradients, stats, network, index: int) -> dict[str, np.ndarray]:
    """Gradients of one task's view under the reference's names."""
    name = network.names[index]
    tasks = len(network.names)
    stack = lambda x: np.stack([x] * tasks)  # noqa: E731
    gradients = dataclasses.replace(gradients, task=jax.tree.map(stack, gradients.task))
    tensors = convert.to_torch(gradients, dataclasses.replace(stats, frozen={}), network)
    others = [f".{other}." for other in network.names if other != name]
    return {
        key: value
        for key, value in tensors.items()
        if "running_" not in key and not any(other in key for other in others)
    }


def fingerprint_errors(
    tensors: Mapping[str, np.ndarray], expected: Mapping[str, np.ndarray]
) -> tuple[float, float]:
    """Errors of norms and probes of a task's gradients as one vector, relative to its norm.

    In float32 a unit whose input is almost 0 can fall on the other side of a ReLU. Each such flip
    moves the gradient of a few small tensors by a percent, and the whole gradient by far less.
    Batch norms' inputs are off by 1e-6 to 1e-5 of their deviation in training, from the stem to
    the decoder; sums in float64 inside the 1x1 convolutions lower that by a third only, so that of
    the millions of units a few flip whatever the formulation.
    """
    found = np.array([golden_cases.fingerprint(key, tensors[key]) for key in expected])
    wanted = np.array(list(expected.values()))
    norm_error, probe_error = np.linalg.norm(found - wanted, axis=0)
    scale = np.linalg.norm(wanted[:, 0])
    return float(norm_error / scale), float(probe_error / scale)
