"""The golden cases of tests/golden on the device at hand, in float32 and in bfloat16."""

import dataclasses
from collections.abc import Iterable, Iterator

import jax
import numpy as np

from tests import golden_cases, golden_runs

CASES = tuple(
    path.stem
    for kind in ("forward", "train")
    for path in sorted(golden_cases.GOLDEN.glob(f"{kind}_*.json"))
)

BFLOAT16_TOLERANCE = {"outputs": 0.02, "losses": 0.01, "gradients": 1.0}
"""Relative. On CPUs 0.0055, 0.0012 and 0.85 were found: batch norm over the few positions of these
small random networks multiplies what rounding does to gradients; 1 is a gradient that is left out,
1.4 an unrelated one."""


@dataclasses.dataclass(frozen=True)
class Check:
    """One comparison.

    Attributes:
      case: a golden file.
      what: is compared.
      error: that was found.
      tolerance: the most that it may be.
    """

    case: str
    what: str
    error: float
    tolerance: float

    @property
    def passed(self) -> bool:
        """Whether it is; an error that is no number is not."""
        return self.error <= self.tolerance


def check(name: str) -> list[Check]:
    """Compares one golden case: float32 with the original's values, bfloat16 with float32.

    float32 is computed with the highest precision of products, bfloat16 with the default.
    """
    compare = _forward if name.startswith("forward") else _training
    return [Check(name, *comparison) for comparison in compare(name)]


def _cases(name: str) -> tuple[golden_cases.Case, golden_cases.Case]:
    path = golden_cases.GOLDEN / f"{name}.json"
    return golden_cases.Case(path, "float32"), golden_cases.Case(path, "bfloat16")


def _forward(name: str) -> Iterator[tuple[str, float, float]]:
    exact, rounded = _cases(name)
    with jax.default_matmul_precision("highest"):
        found = golden_runs.forward(exact)
    with np.load(golden_cases.GOLDEN / f"{name}.npz") as arrays:
        errors = [golden_runs.forward_error(found[key], arrays[key]) for key in arrays]
    yield "float32: outputs", _largest(errors), golden_runs.FORWARD_TOLERANCE["float32"]
    other = golden_runs.forward(rounded)
    error = _largest(_relative(other[key], found[key]) for key in found)
    yield "bfloat16: outputs", error, BFLOAT16_TOLERANCE["outputs"]


def _training(name: str) -> Iterator[tuple[str, float, float]]:
    exact, rounded = _cases(name)
    with jax.default_matmul_precision("highest"):
        found = _first_step(exact)
    values = exact.values["first"]
    losses = [abs(found[task][0] / values[task]["loss"] - 1) for task in found]
    yield "float32: losses", _largest(losses), golden_runs.LOSS_TOLERANCE["float32"]
    errors = [
        golden_runs.fingerprint_errors(gradients, values[task]["grads"])
        for task, (_, gradients) in found.items()
    ]
    norms, probes = map(_largest, zip(*errors, strict=True))
    yield "float32: gradients' norms", norms, golden_runs.NORM_TOLERANCE["float32"]
    yield "float32: gradients' probes", probes, golden_runs.PROBE_TOLERANCE["float32"]
    other = _first_step(rounded)
    losses = [abs(other[task][0] / found[task][0] - 1) for task in found]
    yield "bfloat16: losses", _largest(losses), BFLOAT16_TOLERANCE["losses"]
    error = _largest(_relative(_vector(other[task][1]), _vector(found[task][1])) for task in found)
    yield "bfloat16: gradients", error, BFLOAT16_TOLERANCE["gradients"]


def _first_step(golden: golden_cases.Case) -> dict[str, tuple[float, dict[str, np.ndarray]]]:
    """Loss and gradients of every task on the first batch."""
    step, state = golden_runs.reference_training(golden)
    return {
        task: (float(metrics["loss"]), tensors)
        for task, metrics, tensors in golden_runs.gradients(golden, step, state)
    }


def _largest(errors: Iterable[float]) -> float:
    """Where one is no number, the largest is none."""
    return float(np.max(list(errors)))


def _vector(tensors: dict[str, np.ndarray]) -> np.ndarray:
    return np.concatenate([np.ravel(tensors[key]) for key in sorted(tensors)])


def _relative(actual: np.ndarray, expected: np.ndarray) -> float:
    """Length of the difference, relative to that of `expected`."""
    actual, expected = np.asarray(actual, np.float64), np.asarray(expected, np.float64)
    return float(np.linalg.norm(actual - expected) / np.linalg.norm(expected))
