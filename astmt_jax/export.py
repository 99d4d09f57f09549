"""Exports a trained network for use without this project.

    python -m astmt_jax.export --workdir=DIR --task=normals --output=normals.zip
    python -m astmt_jax.export --workdir=DIR --task=all --output=all.zip
    python -m astmt_jax.export --workdir=DIR --task=normals --output=normals.safetensors

A .zip holds the whole computation from pictures to predictions as a `jax.export` artefact, for any
number and size of pictures and for CPUs, CUDA GPUs and TPUs; running it needs jax and numpy only
(docs/export.md has the loader). It is run once and compared with the network before it is kept. A
.safetensors file holds the weights of the network for one task.
"""

import argparse
import dataclasses
import importlib.util
import json
import pathlib
import zipfile
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import safetensors.numpy
from jax import export as jax_export

from astmt_jax.command_line import arguments
from astmt_jax.command_line.errors import told
from astmt_jax.files import storage
from astmt_jax.models.network import one_task
from astmt_jax.runtime import compilation_cache
from astmt_jax.runtime.console import CONSOLE
from astmt_jax.trained_model import Model, features, load, prediction

ALL_TASKS = "all"
PLATFORMS = ("cpu", "cuda", "tpu")
ARTEFACT = "network.jax_export"
DESCRIPTION = "about.json"
READER = "flatbuffers"
"""Package that jax.export needs but jax does not install; pure Python, Apache-2.0."""


class ExportError(ValueError):
    """What was exported does not compute what the network does."""


def export_network(model: Model, tasks: Sequence[str]) -> jax_export.Exported:
    """The computation from pictures to predictions, with the variables in it.

    Its argument is (b, s h, s w, 3) float32 RGB in 0..255 for any b, h and w, where s is the output
    stride; its result is a dict from task to predictions (b, s h, s w[, c]), as
    `Model.predict` documents them.

    Args:
      model: the trained network.
      tasks: their names.
    """
    network, params, stats = model.network, model.params, model.stats
    modulations = np.array([network.names.index(name) for name in tasks], np.int32)

    @jax.jit
    def predict(images):
        modulated = features(
            network, model.config.train.normalize, params, stats, images, modulations
        )
        return {
            name: prediction(
                network, params, stats, modulated, index, model.task(name), images.shape[1:3]
            )
            for index, name in enumerate(tasks)
        }

    stride = model.config.model.output_stride
    batch, rows, columns = jax_export.symbolic_shape("b, h, w")
    images = jax.ShapeDtypeStruct((batch, stride * rows, stride * columns, 3), jnp.float32)
    return jax_export.export(predict, platforms=PLATFORMS)(images)


def difference(exported: jax_export.Exported, model: Model, tasks: Sequence[str]) -> float:
    """How far the exported computation is from the network's, on pictures of two sizes.

    Returns:
      The largest of: mean difference as a share of the largest value, by task and size; for
      classes, share of the pixels that differ.
    """
    stride = model.config.model.output_stride
    random = np.random.default_rng(0)
    distances = []
    for batch, height, width in ((1, 4 * stride, 4 * stride), (2, 2 * stride, 3 * stride)):
        pictures = random.integers(0, 256, (batch, height, width, 3)).astype(np.uint8)
        outputs = jax.device_get(jax.jit(exported.call)(pictures.astype(np.float32)))
        wanted = model.predict_batch(list(pictures), tasks, size=max(height, width))
        for name in tasks:
            expected = np.stack([prediction[name] for prediction in wanted])
            distances.append(_distance(outputs[name], expected))
    return max(distances)


def _distance(output: np.ndarray, expected: np.ndarray) -> float:
    if output.shape != expected.shape or output.dtype != expected.dtype:
        return float("inf")
    if np.issubdtype(expected.dtype, np.integer):
        return float((output != expected).mean())
    scale = max(float(np.abs(expected).max()), float(np.finfo(np.float32).tiny))
    return float(np.abs(output - expected).mean()) / scale


def tolerance(model: Model) -> float:
    """The largest `difference` that rounding in the network's dtype explains."""
    return float(jnp.finfo(model.config.model.compute_dtype).eps) ** 0.5


def describe(model: Model, tasks: Sequence[str]) -> dict[str, Any]:
    """What a user of the exported network has to know, as plain values."""
    return {
        "tasks": {name: list(model.task(name).class_names) for name in tasks},
        "input": "float32 (b, h, w, 3), RGB in 0..255",
        "multiple_of": model.config.model.output_stride,
        "longer_side_in_training": model.config.train.image_size,
        "trained_steps": model.step,
        "jax": jax.__version__,
    }


def write_artefact(
    path: pathlib.Path, exported: jax_export.Exported, description: dict[str, Any]
) -> None:
    """Writes an archive of the computation, its description and the package that reads it.

    A file of that name is replaced.
    """
    reader = importlib.util.find_spec(READER)
    if reader is None or reader.origin is None:
        raise ModuleNotFoundError(f"The package {READER} goes into the archive: install it.")
    package = pathlib.Path(reader.origin).parent
    path.parent.mkdir(parents=True, exist_ok=True)
    with (
        storage.whole_file(path) as partial,
        zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED) as archive,
    ):
        archive.writestr(ARTEFACT, exported.serialize())
        archive.writestr(DESCRIPTION, json.dumps(description, indent=2) + "\n")
        for file in sorted(package.glob("*.py")):
            archive.write(file, f"{READER}/{file.name}")


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


def _export_weights(model: Model, args: argparse.Namespace) -> str:
    if args.task == ALL_TASKS:
        raise ValueError(
            f"{args.output} would hold one task's network: name it with --task. (python -m "
            "astmt_jax.convert --workdir=DIR --export=FILE writes the weights of all.)"
        )
    write_weights(args.output, model, args.task)
    return f"the weights of the network for {args.task}"


def _export_artefact(model: Model, args: argparse.Namespace) -> str:
    tasks = model.network.names if args.task == ALL_TASKS else (model.task(args.task).name,)
    exported = export_network(model, tasks)
    far, limit = difference(exported, model, tasks), tolerance(model)
    if not far <= limit:
        raise ExportError(
            f"The exported network's predictions are {far:.1e} from the network's own, but at most "
            f"{limit:.1e} is rounding: nothing is written."
        )
    write_artefact(args.output, exported, describe(model, tasks))
    return (
        f"{', '.join(tasks)} for {', '.join(PLATFORMS)}; its predictions are {far:.1e} from the "
        "network's own"
    )


EXPORTS = {".zip": _export_artefact, ".safetensors": _export_weights}


def main(argv: list[str] | None = None) -> None:
    parser = arguments.parser("export", __doc__)
    arguments.add_workdir(parser)
    parser.add_argument("--task", required=True, help=f"name of a task, or {ALL_TASKS}")
    arguments.add_output(parser, f"file in {' or '.join(EXPORTS)}", required=True)
    args = arguments.parse(parser, argv)
    compilation_cache.enable()
    with told():
        if args.output.suffix not in EXPORTS:
            raise ValueError(f"{args.output} must end in {' or '.join(EXPORTS)}.")
        arguments.output_file(args.output, args.overwrite)
        written = EXPORTS[args.output.suffix](load(args.workdir), args)
    size = args.output.stat().st_size / 1e6
    CONSOLE.print(f"Wrote {args.output} ({size:.1f} MB): {written}.")


if __name__ == "__main__":
    main()
