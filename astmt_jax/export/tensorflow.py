"""For TensorFlow (a SavedModel) and for LiteRT, both by way of `jax.experimental.jax2tf`."""

import pathlib
import tempfile
from collections.abc import Sequence
from typing import Any

import numpy as np

from astmt_jax.export.comparison import Run, checked
from astmt_jax.export.convolutions import with_convolutions
from astmt_jax.export.packages import check_installed
from astmt_jax.export.program import Program, named, one_by_one, program
from astmt_jax.export.request import Request
from astmt_jax.export.stablehlo import PLATFORMS
from astmt_jax.files import storage
from astmt_jax.trained_model import Model

IMAGES = "images"
SIGNATURE = "serving_default"
CONVERTED_AS = "tpu"
"""For TPUs, convolutions are lowered as what they are; for CPUs some become matrix products."""


def export_saved_model(model: Model, request: Request) -> str:
    """Writes the folder; returns what is in it.

    Raises:
      ValueError: TensorFlow is not installed.
      FileExistsError: the folder holds something.
    """
    check_installed("savedmodel", {"tensorflow": "train"})
    from astmt_jax.runtime.quiet_tensorflow import tf

    output, tasks = request.output, named(model, request.task)
    if output.exists() and not (output.is_dir() and not any(output.iterdir())):
        raise FileExistsError(f"{output} is not empty: --format=savedmodel writes a new folder.")
    output.parent.mkdir(parents=True, exist_ok=True)
    stride = model.config.model.output_stride
    symbols = f"b, {stride}*h, {stride}*w, 3"
    function = _function(program(model, tasks), (None, None, None, 3), symbols)
    module = tf.Module()
    module.predict = function
    with tempfile.TemporaryDirectory(prefix=f".{output.name}.", dir=output.parent) as folder:
        complete = pathlib.Path(folder) / "model"
        tf.saved_model.save(
            module, str(complete), signatures={SIGNATURE: function.get_concrete_function()}
        )
        far = checked(saved_runner(complete), model, tasks)
        complete.replace(output)
    return (
        f"{', '.join(tasks)} for any number and size of pictures; its predictions are {far:.1e} "
        "from the network's own"
    )


def saved_runner(folder: pathlib.Path) -> Run:
    """Pictures (B, H, W, 3) float32 to predictions by task, by TensorFlow."""
    from astmt_jax.runtime.quiet_tensorflow import tf

    loaded = tf.saved_model.load(str(folder)).signatures[SIGNATURE]

    def run(images: np.ndarray) -> dict[str, np.ndarray]:
        predictions = loaded(**{IMAGES: tf.constant(images)})
        return {name: value.numpy() for name, value in predictions.items()}

    return run


def export_lite(model: Model, request: Request) -> str:
    """Writes the file; returns what is in it.

    Raises:
      ValueError: a package is not installed, or no picture of that size can be.
    """
    check_installed("tflite", {"tensorflow": "train", "ai_edge_litert": "litert"})
    tasks, size = named(model, request.task), _size(model, request.size)
    written = lite_model(model, tasks, size)
    far = checked(lite_runner(written), model, tasks, [(1, *size)])
    request.output.parent.mkdir(parents=True, exist_ok=True)
    with storage.whole_file(request.output) as partial:
        partial.write_bytes(written)
    return (
        f"{', '.join(tasks)} for one picture of {size[0]} x {size[1]}; its predictions are "
        f"{far:.1e} from the network's own"
    )


def lite_model(model: Model, tasks: Sequence[str], size: tuple[int, int]) -> bytes:
    """The network for one picture of (height, width) `size`, as a LiteRT model."""
    from astmt_jax.runtime.quiet_tensorflow import tf

    predict = with_convolutions(one_by_one(model, tasks))
    function = _function(predict, (1, *size, 3), None, (CONVERTED_AS,))
    module = tf.Module()
    module.predict = function
    with tempfile.TemporaryDirectory() as folder:
        tf.saved_model.save(
            module, folder, signatures={SIGNATURE: function.get_concrete_function()}
        )
        return tf.lite.TFLiteConverter.from_saved_model(folder).convert()


def lite_runner(model: bytes) -> Run:
    """Pictures (1, H, W, 3) float32 to predictions by task, by LiteRT on the CPU."""
    from ai_edge_litert.interpreter import Interpreter

    run = Interpreter(model_content=model).get_signature_runner(SIGNATURE)
    return lambda images: run(**{IMAGES: images})


def _function(
    predict: Program,
    shape: tuple[int | None, ...],
    symbols: str | None,
    platforms: Sequence[str] = PLATFORMS,
) -> Any:
    """The program as a function of TensorFlow, of `images` of that shape."""
    from jax.experimental import jax2tf  # after TensorFlow, which it loads

    from astmt_jax.runtime.quiet_tensorflow import tf

    converted = jax2tf.convert(
        predict,
        polymorphic_shapes=[symbols],
        with_gradient=False,
        native_serialization_platforms=platforms,
    )
    described = tf.TensorSpec(shape, tf.float32, name=IMAGES)
    return tf.function(converted, autograph=False, input_signature=[described])


def _size(model: Model, size: tuple[int, int] | None) -> tuple[int, int]:
    """Height and width of the picture; ValueError where the network cannot have them."""
    stride, side = model.config.model.output_stride, model.config.train.image_size
    height, width = size or (side, side)
    if min(height, width) < 1 or height % stride or width % stride:
        raise ValueError(
            f"--size is {height}x{width}, but height and width must be multiples of {stride}."
        )
    return height, width
