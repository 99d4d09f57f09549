"""The weights of the network for one task, as a file of .safetensors."""

import dataclasses
import json
import pathlib

import jax
import numpy as np
import safetensors.numpy

from astmt_jax.export.program import ALL_TASKS
from astmt_jax.export.request import Request
from astmt_jax.files import storage
from astmt_jax.models.variables import one_task
from astmt_jax.trained_model import Model


def task_weights(model: Model, name: str) -> dict[str, np.ndarray]:
    """The variables of the network for one task.

    That is what all tasks share, this task's slice of what each has of its own, and its prediction
    layer. Convolutions are (height, width, in, out), adapters and linear layers (in, out).

    Returns:
      'encoder.stages.0.0.conv1.kernel', 'decoder.refine.norm.scale', 'head.bias' and the like to
      arrays: the attributes of the modules in `astmt_jax.models`.
    """
    index = model.network.names.index(model.task(name).name)
    params, stats = one_task(model.params, index), one_task(model.stats, index)
    trunk = (params.shared, params.task, stats.shared, stats.task, stats.frozen)
    head = ({"head": params.heads[name]}, {"head": stats.heads[name]})
    return {
        ".".join(str(entry.key) for entry in path): np.asarray(value)
        for variables in (*trunk, *head)
        for path, value in jax.tree.leaves_with_path(variables)
    }


def write_weights(path: pathlib.Path, model: Model, name: str) -> None:
    """Writes `task_weights` with the settings of the network as the file's metadata.

    A file of that name is replaced.
    """
    metadata = {
        "task": name,
        "channels": str(model.task(name).channels),
        "model": json.dumps(dataclasses.asdict(model.config.model)),
        "normalize": model.config.train.normalize,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    with storage.whole_file(path) as partial:
        safetensors.numpy.save_file(task_weights(model, name), partial, metadata)


def export(model: Model, request: Request) -> str:
    """Writes the file; returns what is in it."""
    if request.task == ALL_TASKS:
        raise ValueError(
            f"{request.output} would hold one task's network: name it with --task. "
            "(python -m astmt_jax.convert --workdir=DIR --export=FILE writes the weights of all, "
            "--format=hub a folder that can be loaded.)"
        )
    write_weights(request.output, model, request.task)
    return f"the weights of the network for {request.task}"
