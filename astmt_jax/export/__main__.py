"""Exports a trained network for use without this project.

    python -m astmt_jax.export --workdir=DIR --task=normals --output=normals.zip
    python -m astmt_jax.export --workdir=DIR --output=all.onnx
    python -m astmt_jax.export --workdir=DIR --task=depth --output=depth.tflite --size=240x320
    python -m astmt_jax.export --workdir=DIR --format=savedmodel --output=FOLDER
    python -m astmt_jax.export --workdir=DIR --task=normals --output=normals.safetensors
    python -m astmt_jax.export --workdir=DIR --format=hub --output=FOLDER

The first four hold the whole computation from pictures in 0..255 to predictions: for jax and numpy
alone, for ONNX runtimes, for LiteRT (TensorFlow Lite) and for TensorFlow. What was exported is run,
and compared with the network, before it is kept. The fifth holds the weights of the network for one
task. The last is a folder as model hubs have them, with a model card, which `astmt_jax.load` reads
back. docs/export.md tells how each is loaded and what it needs.
"""

import argparse
import dataclasses
import pathlib
from collections.abc import Callable

from astmt_jax.command_line import arguments
from astmt_jax.command_line.errors import told
from astmt_jax.export import hub, onnx, stablehlo, task_weights, tensorflow
from astmt_jax.export.program import ALL_TASKS
from astmt_jax.export.request import Request
from astmt_jax.runtime import compilation_cache
from astmt_jax.runtime.console import CONSOLE
from astmt_jax.trained_model import Model, load


@dataclasses.dataclass(frozen=True)
class Format:
    """A format to export to.

    Attributes:
      ending: of its files; None where it is a folder.
      export: writes it, and returns what was written, in words.
    """

    ending: str | None
    export: Callable[[Model, Request], str]


FORMATS = {
    "stablehlo": Format(".zip", stablehlo.export),
    "safetensors": Format(".safetensors", task_weights.export),
    "onnx": Format(".onnx", onnx.export),
    "savedmodel": Format(None, tensorflow.export_saved_model),
    "tflite": Format(".tflite", tensorflow.export_lite),
    "hub": Format(None, hub.export),
}


def format_of(name: str | None, output: pathlib.Path) -> Format:
    """The format that --format names, or else the ending of --output.

    Raises:
      ValueError: there is none, or both disagree.
    """
    by_ending = {known.ending: known for known in FORMATS.values() if known.ending is not None}
    if name is None:
        if output.suffix not in by_ending:
            raise ValueError(
                f"{output} must end in one of {', '.join(by_ending)}, or --format be one of "
                f"{', '.join(FORMATS)}."
            )
        return by_ending[output.suffix]
    if name not in FORMATS:
        raise ValueError(f"--format is {name!r}, but must be one of: {', '.join(FORMATS)}.")
    ending = FORMATS[name].ending
    if ending is not None and output.suffix != ending:
        raise ValueError(f"{output} must end in {ending}, as --format={name} writes such a file.")
    if ending is None and output.suffix in by_ending:
        raise ValueError(f"{output} is to be a folder, as --format={name} writes one.")
    return FORMATS[name]


def picture_size(text: str) -> tuple[int, int]:
    """HEIGHTxWIDTH as two numbers."""
    height, separator, width = text.partition("x")
    if not (separator and height.isdecimal() and width.isdecimal()):
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form HEIGHTxWIDTH, as 240x320")
    return int(height), int(width)


def bytes_of(output: pathlib.Path) -> int:
    """Of a file, or of all files in a folder."""
    files = output.rglob("*") if output.is_dir() else [output]
    return sum(file.stat().st_size for file in files if file.is_file())


def main(argv: list[str] | None = None) -> None:
    parser = arguments.parser("export", __doc__)
    arguments.add_workdir(parser)
    parser.add_argument(
        "--task", default=ALL_TASKS, help=f"name of a task, or {ALL_TASKS}, the default"
    )
    parser.add_argument(
        "--format", help=f"{', '.join(FORMATS)}; by default the ending of --output tells it"
    )
    about = "of the pictures, for tflite (default: that of training)"
    parser.add_argument("--size", type=picture_size, metavar="HEIGHTxWIDTH", help=about)
    arguments.add_output(parser, "file or folder to write", required=True)
    args = arguments.parse(parser, argv)
    compilation_cache.enable()
    with told():
        chosen = format_of(args.format, args.output)
        if args.size is not None and chosen is not FORMATS["tflite"]:
            raise ValueError("--size is for --format=tflite only: leave it out.")
        arguments.output_file(args.output, args.overwrite)
        request = Request(args.workdir, args.output, args.task, args.size)
        written = chosen.export(load(args.workdir), request)
    size = bytes_of(args.output) / 1e6
    CONSOLE.print(f"Wrote {args.output} ({size:.1f} MB): {written}.")


if __name__ == "__main__":
    main()
