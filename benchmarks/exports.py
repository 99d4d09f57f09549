"""How far exported networks are from the network, on photos, and how large their files are.

    python -m benchmarks.exports --workdir=runs/scenes --input=photos --sizes=96x96,128x192

Exports all tasks to ONNX, a SavedModel and LiteRT, and runs each on every photo, resized to each
size. Prints the largest difference over all pixels and photos of each task: in the task's own
units, and for classes the share of the pixels whose class differs. Needs the extras [train],
[onnx] and [litert].
"""

import argparse
import pathlib
import tempfile
from collections.abc import Mapping, Sequence

import cv2
import jax
import numpy as np
from rich.table import Table

from astmt_jax.command_line import arguments
from astmt_jax.export import onnx, tensorflow
from astmt_jax.export.__main__ import bytes_of, picture_size
from astmt_jax.export.comparison import Run
from astmt_jax.export.program import program
from astmt_jax.export.request import Request
from astmt_jax.pictures.photos import read_photo
from astmt_jax.runtime import compilation_cache
from astmt_jax.runtime.console import CONSOLE
from astmt_jax.trained_model import Model, load


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.exports",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--workdir", type=arguments.path, required=True)
    parser.add_argument("--input", type=arguments.path, required=True, help="folder of photos")
    parser.add_argument("--photos", type=int, default=20, help="how many of them")
    parser.add_argument("--sizes", default="96x96,128x192", help="HEIGHTxWIDTH,HEIGHTxWIDTH")
    args = parser.parse_args(argv)
    compilation_cache.enable()
    model = load(args.workdir)
    sizes = [picture_size(size) for size in args.sizes.split(",")]
    photos = [read_photo(path) for path in sorted(args.input.iterdir())[: args.photos]]
    with tempfile.TemporaryDirectory() as folder:
        exported = export_all(model, args.workdir, pathlib.Path(folder), sizes)
        table = Table("", *exported)
        far = [largest_differences(model, runs, photos) for runs, _ in exported.values()]
        for name in model.network.names:
            table.add_row(name, *[f"{differences[name]:.1e}" for differences in far])
        table.add_row("MB", *[f"{size / 1e6:.1f}" for _, size in exported.values()])
    table.title = f"{len(photos)} photos at {args.sizes}"
    CONSOLE.print(table)


def export_all(
    model: Model, workdir: pathlib.Path, folder: pathlib.Path, sizes: Sequence[tuple[int, int]]
) -> dict[str, tuple[dict[tuple[int, int], Run], int]]:
    """Format -> what runs at each size, and the bytes of its (first) file."""
    request = Request(workdir, folder / "all.onnx", "all")
    onnx.export(model, request)
    run = onnx.runner(request.output.read_bytes())
    exported = {"onnx": (dict.fromkeys(sizes, run), bytes_of(request.output))}
    saved = Request(workdir, folder / "saved", "all")
    tensorflow.export_saved_model(model, saved)
    run = tensorflow.saved_runner(saved.output)
    exported["savedmodel"] = (dict.fromkeys(sizes, run), bytes_of(saved.output))
    lite = {size: tensorflow.lite_model(model, model.network.names, size) for size in sizes}
    runs = {size: tensorflow.lite_runner(written) for size, written in lite.items()}
    exported["tflite"] = (runs, len(lite[sizes[0]]))
    return exported


def largest_differences(
    model: Model, runs: Mapping[tuple[int, int], Run], photos: Sequence[np.ndarray]
) -> dict[str, float]:
    """Task -> how far its predictions are from the network's."""
    predict = jax.jit(program(model, model.network.names))
    far = dict.fromkeys(model.network.names, 0.0)
    for (height, width), run in runs.items():
        for photo in photos:
            image = cv2.resize(photo, (width, height), interpolation=cv2.INTER_AREA)
            batch = image[None].astype(np.float32)
            wanted, found = jax.device_get(predict(batch)), run(batch)
            for name in far:
                far[name] = max(far[name], _difference(found[name], wanted[name]))
    return far


def _difference(found: np.ndarray, wanted: np.ndarray) -> float:
    if np.issubdtype(wanted.dtype, np.integer):
        return float((found != wanted).mean())
    return float(np.abs(found - wanted).max())


if __name__ == "__main__":
    main()
