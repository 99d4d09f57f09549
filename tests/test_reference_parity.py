"""The network, its losses and its training against values of the reference implementation.

Runs every case of --golden-dir (default: tests/golden) in float64 and, compiled as users compile
it, in float32: forward_*.json with the .npz beside it, train_*.json and losses*.npz. A kind of
which there is none is skipped.
"""

import contextlib
import functools
import pathlib
from typing import NamedTuple

import compilation
import jax
import numpy as np

from astmt_jax.models.discriminator import unit_length
from astmt_jax.models.variables import slice_of_task
from astmt_jax.training.train_step import TrainStep
from astmt_jax.weights import original as convert
from tests import golden_cases, golden_runs
from tests.golden_runs import (
    FORWARD_TOLERANCE,
    LOSS_TOLERANCE,
    NORM_TOLERANCE,
    PROBE_TOLERANCE,
)


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


def compiler_options(dtype: str):
    """None in float64, where only the formulas matter: programs that compile quickly."""
    return None if dtype == "float64" else compilation.AS_USERS_DO


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
    """Compares gradients: each tensor in float64, all of a task as one vector in float32."""
    if dtype == "float64":
        for key, value in expected.items():
            assert_fingerprint(key, tensors[key], value, dtype)
        return
    norm_error, probe_error = golden_runs.fingerprint_errors(tensors, expected)
    assert norm_error <= NORM_TOLERANCE[dtype]
    assert probe_error <= PROBE_TOLERANCE[dtype]


@functools.cache  # so that losses of one shape are compiled once
def compiled_loss(task: str, channels: int, edge_weight: float | None, dtype: str):
    loss = golden_cases.task_record(task, channels, edge_weight).loss
    return jax.jit(jax.value_and_grad(loss), compiler_options=compiler_options(dtype))


def test_losses(case, dtype):
    """Loss without its multiplier, and its gradient with respect to the logits."""
    with precision(dtype):
        prefix = f"{case.dataset}/{case.task}/"
        with np.load(case.archive) as arrays:
            logits, labels, loss, gradient = (
                arrays[prefix + name] for name in ("logits", "label", "loss", "grad")
            )
        edge_weight = golden_cases.EDGE_WEIGHT.get(case.dataset)
        loss_and_gradient = compiled_loss(case.task, logits.shape[-1], edge_weight, dtype)
        found, found_gradient = loss_and_gradient(logits.astype(dtype), labels)
        assert found.dtype == found_gradient.dtype == dtype
        np.testing.assert_allclose(found, loss, rtol=LOSS_TOLERANCE[dtype])
        error = np.linalg.norm(found_gradient - gradient)
        assert error <= NORM_TOLERANCE[dtype] * np.linalg.norm(gradient)


def test_forward(case, dtype):
    """Features and logits of every task, in one pass over all tasks."""
    with precision(dtype):
        golden = golden_cases.Case(case, dtype)
        found = golden_runs.forward(golden, compiler_options(dtype))
        with np.load(case.with_suffix(".npz")) as expected:
            assert set(expected) == set(found)
            for name, values in expected.items():
                error = golden_runs.forward_error(found[name], values)
                assert error <= FORWARD_TOLERANCE[dtype], name


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
        step, state = golden_runs.reference_training(golden)
        batch = golden_runs.training_batch(golden, 0)
        options = compiler_options(dtype)
        intermediate = jax.jit(functools.partial(feature_gradients, step), compiler_options=options)
        found = intermediate(state.params, state.stats, batch)
        for name, metrics, tensors in golden_runs.gradients(golden, step, state, options):
            expected = golden.values["first"][name]
            losses = expected["loss"], expected.get("dscr_loss")
            check_losses(metrics, losses, LOSS_TOLERANCE[dtype])
            for kind, tensor in zip(("feature_grad", "dscr_logits"), found[name], strict=True):
                if expected.get(kind) is not None:
                    assert_fingerprint(f"{kind}:{name}", nchw(tensor), expected[kind], dtype)
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
        step, state = golden_runs.reference_training(golden)
        for number, expected in enumerate(golden.values["seq"]):
            batch = golden_runs.training_batch(golden, number)
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
