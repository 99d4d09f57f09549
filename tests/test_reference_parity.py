"""The network, its losses and its training against values of the reference implementation.

Runs every case of --golden-dir (default: tests/golden) in float64 and in float32: forward_*.json
with the .npz beside it, train_*.json and losses*.npz. A kind of which there is none is skipped.
"""

import contextlib
import dataclasses
import functools
import pathlib
from typing import NamedTuple

import golden_cases
import jax
import jax.numpy as jnp
import numpy as np

from astmt_jax.config import OptimizerConfig
from astmt_jax.models.discriminator import unit_length
from astmt_jax.models.network import one_task, slice_of_task
from astmt_jax.training.objective import Objective
from astmt_jax.training.optimizer import Optimizer
from astmt_jax.training.state import TrainState
from astmt_jax.training.train_step import TrainStep
from astmt_jax.training.update import Ingredients
from astmt_jax.weights import original as convert

FORWARD_TOLERANCE = {"float64": 1e-6, "float32": 3e-5}  # of the standard deviation
LOSS_TOLERANCE = {"float64": 1e-9, "float32": 1e-5}  # relative
NORM_TOLERANCE = {"float64": 1e-6, "float32": 2e-3}  # of the norm
PROBE_TOLERANCE = {"float64": 1e-6, "float32": 2e-2}  # of the norm


class LossCase(NamedTuple):
    """One loss in an archive of DATASET/TASK/{logits,label,loss,grad}."""

    archive: pathlib.Path
    dataset: str
    task: str

    def __str__(self) -> str:
        return f"{self.archive.stem}-{self.dataset}-{self.task}"


def loss_cases(archive: pathlib.Path) -> list[LossCase]:
    """All of one archive."""
    with np.load(archive) as arrays:
        names = sorted(name for name in arrays if name.endswith("/logits"))
    return [LossCase(archive, *name.split("/")[:2]) for name in names]


def find_cases(directory: pathlib.Path) -> dict[str, list]:
    """The cases of each kind in a folder."""
    return {
        "forward": sorted(directory.glob("forward_*.json")),
        "train": sorted(directory.glob("train_*.json")),
        "losses": [c for path in sorted(directory.glob("losses*.npz")) for c in loss_cases(path)],
    }


def pytest_generate_tests(metafunc):
    """One test a case and dtype; a test's name says which kind of case it takes."""
    kind = metafunc.function.__name__.split("_")[1]
    if "case" in metafunc.fixturenames:
        cases = find_cases(metafunc.config.getoption("--golden-dir"))[kind]
        metafunc.parametrize("case", cases, ids=lambda c: getattr(c, "stem", str(c)))
    if "dtype" in metafunc.fixturenames:
        metafunc.parametrize("dtype", ["float64", "float32"])


def test_there_are_cases(golden_dir):
    assert any(find_cases(golden_dir).values()), (
        f"{golden_dir} has no golden case: no forward_*.json, train_*.json or losses*.npz."
    )


def precision(dtype: str):
    """Context in which arrays of `dtype` exist."""
    return jax.enable_x64(True) if dtype == "float64" else contextlib.nullcontext()


def nchw(x) -> np.ndarray:
    """NHWC array in the reference's layout."""
    return np.moveaxis(np.asarray(x), -1, 1)


def assert_fingerprint(name: str, tensor, expected, dtype: str) -> None:
    """Compares norm and probe of a tensor in the reference's layout."""
    norm, probe = golden_cases.fingerprint(name, tensor)
    scale = max(expected[0], 1e-30)
    assert abs(norm - expected[0]) <= NORM_TOLERANCE[dtype] * scale, name
    assert abs(probe - expected[1]) <= PROBE_TOLERANCE[dtype] * scale, name


def assert_gradients(tensors: dict, expected: dict, dtype: str) -> None:
    """Compares gradients: each tensor in float64, all of a task as one vector in float32.

    In float32 a unit whose input is almost 0 can fall on the other side of a ReLU. Each such flip
    moves the gradient of a few small tensors by a percent, and the whole gradient by far less.
    Batch norms' inputs are off by 1e-6 to 1e-5 of their deviation in training, from the stem to
    the decoder; sums in float64 inside the 1x1 convolutions lower that by a third only, so that of
    the millions of units a few flip whatever the formulation.
    """
    if dtype == "float64":
        for key, value in expected.items():
            assert_fingerprint(key, tensors[key], value, dtype)
        return
    found = np.array([golden_cases.fingerprint(key, tensors[key]) for key in expected])
    wanted = np.array(list(expected.values()))
    norm_error, probe_error = np.linalg.norm(found - wanted, axis=0)
    scale = np.linalg.norm(wanted[:, 0])
    assert norm_error <= NORM_TOLERANCE[dtype] * scale
    assert probe_error <= PROBE_TOLERANCE[dtype] * scale


@functools.cache  # so that losses of one shape are compiled once
def compiled_loss(task: str, channels: int, edge_weight: float | None):
    return jax.jit(jax.value_and_grad(golden_cases.task_record(task, channels, edge_weight).loss))


def test_losses(case, dtype):
    """Loss without its multiplier, and its gradient with respect to the logits."""
    with precision(dtype):
        prefix = f"{case.dataset}/{case.task}/"
        with np.load(case.archive) as arrays:
            logits, labels, loss, gradient = (
                arrays[prefix + name] for name in ("logits", "label", "loss", "grad")
            )
        edge_weight = golden_cases.EDGE_WEIGHT.get(case.dataset)
        loss_and_gradient = compiled_loss(case.task, logits.shape[-1], edge_weight)
        found, found_gradient = loss_and_gradient(jnp.asarray(logits, dtype), jnp.asarray(labels))
        assert found.dtype == found_gradient.dtype == dtype
        np.testing.assert_allclose(found, loss, rtol=LOSS_TOLERANCE[dtype])
        error = np.linalg.norm(found_gradient - gradient)
        assert error <= NORM_TOLERANCE[dtype] * np.linalg.norm(gradient)


def test_forward(case, dtype):
    """Features and logits of every task, in one pass over all tasks."""
    with precision(dtype):
        golden = golden_cases.Case(case, dtype)
        network = golden.network
        params, stats = convert.from_torch(golden.tensors, network, golden.dtype)
        images, _ = golden.data(golden.values["data_seed"])
        expected = np.load(case.with_suffix(".npz"))

        @jax.jit
        def run(params, stats, images):
            features, _ = network.features(params, stats, images, train=False)
            return {
                name: network.head_features(
                    name,
                    params.heads[name],
                    stats.heads[name],
                    slice_of_task(features, index),
                    train=False,
                )[0]
                for index, name in enumerate(network.names)
            }, network.all_logits(params, stats, images)

        features, logits = run(params, stats, images)
        for name in network.names:
            assert_close(features[name], expected[f"features/{name}"], dtype)
            assert_close(logits[name][:, ::2, ::2], expected[f"out/{name}"], dtype)


def assert_close(actual, expected: np.ndarray, dtype: str) -> None:
    """Largest difference, after the rounding to float32 that the stored values went through."""
    actual = np.asarray(actual).astype(np.float32)
    assert actual.shape == expected.shape
    error = np.abs(actual.astype(np.float64) - expected).max()
    assert error <= FORWARD_TOLERANCE[dtype] * expected.std()


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


def torch_gradients(gradients, stats, network, index: int) -> dict[str, np.ndarray]:
    """Gradients of one task's view under the reference's names."""
    name = network.names[index]
    tasks = len(network.names)
    stack = lambda x: jnp.stack([x] * tasks)  # noqa: E731
    gradients = dataclasses.replace(gradients, task=jax.tree.map(stack, gradients.task))
    tensors = convert.to_torch(gradients, dataclasses.replace(stats, frozen={}), network)
    others = [f".{other}." for other in network.names if other != name]
    return {
        key: value
        for key, value in tensors.items()
        if "running_" not in key and not any(other in key for other in others)
    }


def feature_gradients(step: TrainStep, params, stats, batch) -> dict[str, tuple]:
    """Of each task: its loss's gradient on the features, and what the discriminator makes of it."""
    objective = step.ingredients.objective
    network = objective.network
    features, _ = network.features(params, stats, batch["image"], train=True)
    result = {}
    for index, task in enumerate(objective.tasks):
        head, head_stats = params.heads[task.name], stats.heads[task.name]
        label = batch["labels"][task.name]
        of_task, _ = network.head_features(
            task.name, head, head_stats, slice_of_task(features, index), train=True
        )

        def loss(features, task=task, head=head, head_stats=head_stats, label=label):
            logits = network.logits(task.name, head, head_stats, features, label.shape[1:3])
            return task.loss_weight * task.loss(logits, label)

        gradient = jax.grad(loss)(of_task)
        logits = None
        if network.has_discriminator:
            logits = network.discriminate(params.discriminator, unit_length(gradient))
        result[task.name] = gradient, logits
    return result


def test_train_first_step(case, dtype):
    """Losses, gradients on the features, discriminator's logits and every parameter's gradient."""
    with precision(dtype):
        golden = golden_cases.Case(case, dtype)
        network = golden.network
        step, state = reference_training(golden)
        images, labels = golden.data(golden.values["data_seeds"][0])
        batch = {"image": jnp.asarray(images), "labels": labels}
        intermediate = jax.jit(functools.partial(feature_gradients, step))
        found = intermediate(state.params, state.stats, batch)
        gradients_of = jax.jit(step.ingredients.objective.task_gradients)
        for index, name in enumerate(network.names):
            expected = golden.values["first"][name]
            gradients, _, metrics = gradients_of(
                one_task(state.params, index),
                one_task(state.stats, index),
                batch,
                jnp.int32(index),
                step.ingredients.alpha(state.step),
            )
            losses = expected["loss"], expected.get("dscr_loss")
            check_losses(metrics, losses, LOSS_TOLERANCE[dtype])
            for kind, tensor in zip(("feature_grad", "dscr_logits"), found[name], strict=True):
                if expected.get(kind) is not None:
                    assert_fingerprint(f"{kind}:{name}", nchw(tensor), expected[kind], dtype)
            tensors = torch_gradients(gradients, state.stats, network, index)
            assert set(expected["grads"]) <= set(tensors)
            assert_gradients(tensors, expected["grads"], dtype)
            for key in set(tensors) - set(expected["grads"]):
                assert not tensors[key].any(), f"{key} has a gradient, but not in the reference"


def check_losses(metrics, expected, tolerance: float) -> None:
    """Task loss and, where there is one, discriminator loss."""
    for key, value in zip(("loss", "discriminator_loss"), expected, strict=False):
        if value is not None and key in metrics:
            np.testing.assert_allclose(float(metrics[key]), value, rtol=tolerance)


def test_train_sequence(case):
    """Two batches of per-task SGD: all losses, then every parameter and running statistic.

    In float64 only: on these random networks every update multiplies the rounding of the ones
    before, and in float32 it ends beyond what a comparison can use.
    """
    dtype = "float64"
    with precision(dtype):
        golden = golden_cases.Case(case, dtype)
        step, state = reference_training(golden)
        for seed, expected in zip(golden.values["data_seeds"], golden.values["seq"], strict=True):
            images, labels = golden.data(seed)
            batch = {"image": jnp.asarray(images), "labels": labels}
            state, metrics = step.update(state, batch)
            for index, name in enumerate(golden.network.names):
                of_task = {key: values[index] for key, values in metrics.items()}
                check_losses(of_task, expected[name], LOSS_TOLERANCE[dtype])
        assert int(state.step) == len(golden.values["data_seeds"])
        tensors = convert.to_torch(state.params, state.stats, golden.network)
        expected = golden.values["after"] | golden.values["after_stats"]
        assert set(expected) <= set(tensors)
        for key, value in expected.items():
            assert_fingerprint(key, tensors[key], value, dtype)
        for key in set(tensors) - set(expected):
            np.testing.assert_array_equal(tensors[key], golden.tensors[key])  # never trained
