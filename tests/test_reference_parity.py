"""The network, its losses and its training against values of the reference implementation.

Runs every forward_*.json and train_*.json of --golden-dir (default: tests/golden), in float64 and
in float32.
"""

import contextlib
import dataclasses

import golden_cases
import jax
import jax.numpy as jnp
import numpy as np

from astmt_jax import convert
from astmt_jax.models.discriminator import unit_length
from astmt_jax.models.network import one_task
from astmt_jax.optimizer import Optimizer, OptimizerConfig
from astmt_jax.train_step import TrainState, TrainStep

FORWARD_TOLERANCE = {"float64": 1e-6, "float32": 3e-5}  # of the standard deviation
LOSS_TOLERANCE = {"float64": 1e-9, "float32": 1e-5}  # relative
NORM_TOLERANCE = {"float64": 1e-6, "float32": 2e-3}  # of the norm
PROBE_TOLERANCE = {"float64": 1e-6, "float32": 2e-2}  # of the norm


def pytest_generate_tests(metafunc):
    """One test a golden file and dtype."""
    directory = metafunc.config.getoption("--golden-dir")
    kind = metafunc.function.__name__.split("_")[1]
    if "path" in metafunc.fixturenames:
        paths = sorted(directory.glob(f"{kind}_*.json"))
        assert paths, f"no {kind}_*.json in {directory}"
        metafunc.parametrize("path", paths, ids=lambda p: p.stem)
    if "dtype" in metafunc.fixturenames:
        metafunc.parametrize("dtype", ["float64", "float32"])


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


def test_forward(path, dtype):
    """Features and logits of every task, in one pass over all tasks."""
    with precision(dtype):
        case = golden_cases.Case(path, dtype)
        network = case.network
        params, stats = convert.from_torch(case.tensors, network, case.dtype)
        images, _ = case.data(case.values["data_seed"])
        expected = np.load(path.with_suffix(".npz"))

        @jax.jit
        def run(params, stats, images):
            features, _ = network.features(params, stats, images, train=False)
            return features, network.predict_all(params, stats, images)

        features, logits = run(params, stats, images)
        for index, name in enumerate(network.names):
            assert_close(features[index], expected[f"features/{name}"], dtype)
            assert_close(logits[name][:, ::2, ::2], expected[f"out/{name}"], dtype)


def assert_close(actual, expected: np.ndarray, dtype: str) -> None:
    """Largest difference, after the rounding to float32 that the stored values went through."""
    actual = np.asarray(actual).astype(np.float32)
    assert actual.shape == expected.shape
    error = np.abs(actual.astype(np.float64) - expected).max()
    assert error <= FORWARD_TOLERANCE[dtype] * expected.std()


def reference_training(case: golden_cases.Case) -> tuple[TrainStep, TrainState]:
    """The training step of the reference and its initial state."""
    network, values = case.network, case.values
    # The reference's settings: SGD, constant rate, task-specific x T, discriminator x 10.
    optimizer = Optimizer(OptimizerConfig(), len(network.tasks))
    step = TrainStep(
        network,
        optimizer,
        learning_rate=lambda step: jnp.asarray(1e-3, case.dtype),
        alpha=lambda step: jnp.asarray(values["alpha"], case.dtype),
        discriminator_weight=values["dscr_weight"],
    )
    params, stats = convert.from_torch(case.tensors, network, case.dtype)
    return step, TrainState(jnp.int32(0), params, stats, optimizer.init(params))


def torch_gradients(gradients, stats, network, index: int) -> dict[str, np.ndarray]:
    """Gradients of one task's view under the reference's names."""
    name = network.names[index]
    tasks = len(network.tasks)
    stack = lambda x: jnp.stack([x] * tasks)  # noqa: E731
    gradients = dataclasses.replace(gradients, task=jax.tree.map(stack, gradients.task))
    tensors = convert.to_torch(gradients, stats, network)
    others = [f".{other}." for other in network.names if other != name]
    return {
        key: value
        for key, value in tensors.items()
        if "running_" not in key and not any(other in key for other in others)
    }


def test_train_first_step(path, dtype):
    """Losses, gradients on the features, discriminator's logits and every parameter's gradient."""
    with precision(dtype):
        case = golden_cases.Case(path, dtype)
        network = case.network
        step, state = reference_training(case)
        images, labels = case.data(case.values["data_seeds"][0])
        batch = {"image": jnp.asarray(images), "labels": labels}
        alpha = step.alpha(state.step)

        @jax.jit
        def intermediate(params, stats, batch):
            features, _ = network.features(params, stats, batch["image"], train=True)
            result = {}
            for index, name in enumerate(network.names):
                _, gradient, _ = step._task_loss(
                    index, params.heads, features[index], batch["labels"]
                )
                logits = ()
                if network.has_discriminator:
                    logits = network.discriminate(params.discriminator, unit_length(gradient))
                result[name] = gradient, logits
            return result

        found = intermediate(state.params, state.stats, batch)
        gradients_of = jax.jit(step.task_gradients)
        for index, name in enumerate(network.names):
            expected = case.values["first"][name]
            gradients, _, metrics = gradients_of(
                one_task(state.params, index),
                one_task(state.stats, index),
                batch,
                jnp.int32(index),
                alpha,
            )
            check_losses(metrics, (expected["loss"], expected.get("dscr_loss")), dtype)
            feature_gradient, logits = found[name]
            assert_fingerprint(
                f"feature_grad:{name}", nchw(feature_gradient), expected["feature_grad"], dtype
            )
            if network.has_discriminator:
                assert_fingerprint(
                    f"dscr_logits:{name}", nchw(logits), expected["dscr_logits"], dtype
                )
            tensors = torch_gradients(gradients, state.stats, network, index)
            assert set(expected["grads"]) <= set(tensors)
            assert_gradients(tensors, expected["grads"], dtype)
            for key in set(tensors) - set(expected["grads"]):
                assert not tensors[key].any(), f"{key} has a gradient, but not in the reference"


def check_losses(metrics, expected, dtype: str) -> None:
    """Task loss and, where there is one, discriminator loss."""
    loss, discriminator_loss = expected
    np.testing.assert_allclose(float(metrics["loss"]), loss, rtol=LOSS_TOLERANCE[dtype])
    if discriminator_loss is not None and "discriminator_loss" in metrics:
        np.testing.assert_allclose(
            float(metrics["discriminator_loss"]), discriminator_loss, rtol=LOSS_TOLERANCE[dtype]
        )


def test_train_sequence(path):
    """Two batches of per-task SGD: all losses, then every parameter and running statistic.

    In float64 only: over ten updates float32's rounding grows beyond what a comparison can use.
    """
    dtype = "float64"
    with precision(dtype):
        case = golden_cases.Case(path, dtype)
        step, state = reference_training(case)
        for seed, expected in zip(case.values["data_seeds"], case.values["seq"], strict=True):
            images, labels = case.data(seed)
            batch = {"image": jnp.asarray(images), "labels": labels}
            state, metrics = step.per_task_update(state, batch)
            for index, name in enumerate(case.network.names):
                check_losses({k: v[index] for k, v in metrics.items()}, expected[name], dtype)
        assert int(state.step) == len(case.values["data_seeds"])
        tensors = convert.to_torch(state.params, state.stats, case.network)
        expected = case.values["after"] | case.values["after_stats"]
        assert set(tensors) == set(expected)
        for key, value in expected.items():
            assert_fingerprint(key, tensors[key], value, dtype)
