"""The variables of a trained network as one file of .safetensors, which a hub's folder has.

Names are the paths of the arrays in `TrainedVariables`: 'params.shared.encoder.stem_conv.kernel'.
The file may come from a stranger: it is read as a file of weights is, for the network that the
settings beside it describe.
"""

import pathlib

import jax
import numpy as np

from astmt_jax.files.messages import one_line
from astmt_jax.training.state import TrainedVariables
from astmt_jax.weights import checks
from astmt_jax.weights.checks import WeightsError
from astmt_jax.weights.files import read_notes, read_tensors, write_tensors

VARIABLES_FILE = "model.safetensors"
STEP = "step"
MAX_STEP = 2**31 - 1


def write_variables(path: pathlib.Path, trained: TrainedVariables) -> None:
    """Writes what `trained.evaluated` is, in the arrays' own dtypes, and the step as a note.

    Raises:
      OSError: the file cannot be written; one of that name is then as it was.
    """
    params, stats = trained.evaluated
    tensors = {
        _name(path): np.asarray(value)
        for path, value in jax.tree.leaves_with_path({"params": params, "stats": stats})
    }
    write_tensors(path, tensors, {STEP: str(int(trained.step))})


def read_variables(path: pathlib.Path, like: TrainedVariables) -> TrainedVariables:
    """Reads what `write_variables` wrote; there is no moving average beside it.

    Args:
      path: the file.
      like: descriptions (`jax.ShapeDtypeStruct`) of its variables, with shardings.

    Raises:
      FileNotFoundError: there is no such file.
      WeightsError: it cannot be read, or its tensors are not those of the network, listing them.
    """
    tensors = read_tensors(path)
    problems, unused = [], set(tensors)

    def take(where, described: jax.ShapeDtypeStruct):
        name = _name(where)
        unused.discard(name)
        problem = _problem(name, tensors.get(name), described)
        if problem is not None:
            problems.append(problem)
            return None
        return jax.device_put(tensors[name].astype(described.dtype), described.sharding)

    wanted = {"params": like.params, "stats": like.stats}
    taken = jax.tree.map_with_path(take, wanted)
    problems += [f"unused: {one_line(name, 80)}" for name in sorted(unused)]
    if problems:
        raise WeightsError(
            f"{path} does not fit the settings beside it ({len(problems)} tensors): "
            f"{'; '.join(problems[: checks.MAX_PROBLEMS])}."
        )
    step = jax.device_put(np.int32(_step(path)), like.step.sharding)
    return TrainedVariables(step, taken["params"], taken["stats"])


def _name(path: tuple) -> str:
    return jax.tree_util.keystr(path, simple=True, separator=".")


def _problem(name: str, value: np.ndarray | None, described: jax.ShapeDtypeStruct) -> str | None:
    """Why a tensor cannot be what is described; None if it can."""
    if value is None:
        return f"missing: {name}"
    if value.shape != described.shape:
        return f"wrong shape: {name} is {value.shape}, the network needs {described.shape}"
    return checks.number_problem(name, value, variance=name.endswith(".var"))


def _step(path: pathlib.Path) -> int:
    """Batches that the network was trained on, as the file notes it."""
    noted = read_notes(path).get(STEP, "")
    if not (noted.isascii() and noted.isdecimal() and len(noted) < 11 and int(noted) <= MAX_STEP):
        raise WeightsError(
            f"{path} must note the step of training, a number of 0 to {MAX_STEP:,}, but has "
            f"{one_line(noted, 40) or 'none'}."
        )
    return int(noted)
