"""An archive with a `jax.export` artefact, which runs with jax and numpy alone.

It is for any number and size of pictures and for CPUs, CUDA GPUs and TPUs (docs/export.md has the
loader).
"""

import importlib.util
import json
import pathlib
import zipfile
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import export as jax_export

from astmt_jax.export.comparison import checked
from astmt_jax.export.program import describe, named, program
from astmt_jax.export.request import Request
from astmt_jax.files import storage
from astmt_jax.trained_model import Model

PLATFORMS = ("cpu", "cuda", "tpu")
ARTEFACT = "network.jax_export"
DESCRIPTION = "about.json"
READER = "flatbuffers"
"""Package that jax.export needs but jax does not install; pure Python, Apache-2.0."""


def export_network(model: Model, tasks: Sequence[str]) -> jax_export.Exported:
    """The computation from pictures to predictions, with the variables in it.

    Its argument is (b, s h, s w, 3) float32 RGB in 0..255 for any b, h and w, where s is the output
    stride; its result is a dict from task to predictions (b, s h, s w[, c]), as
    `Model.predict` documents them.

    Args:
      model: the trained network.
      tasks: their names.
    """
    stride = model.config.model.output_stride
    batch, rows, columns = jax_export.symbolic_shape("b, h, w")
    images = jax.ShapeDtypeStruct((batch, stride * rows, stride * columns, 3), jnp.float32)
    predict = jax.jit(program(model, tasks))
    return jax_export.export(predict, platforms=PLATFORMS)(images)


def export(model: Model, request: Request) -> str:
    """Writes the archive; returns what is in it."""
    tasks = named(model, request.task)
    exported = export_network(model, tasks)
    call = jax.jit(exported.call)
    far = checked(lambda images: jax.device_get(call(images)), model, tasks)
    write_artefact(request.output, exported, describe(model, tasks))
    return (
        f"{', '.join(tasks)} for {', '.join(PLATFORMS)}; its predictions are {far:.1e} from the "
        "network's own"
    )


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
