"""What the benchmarks of networks share: flags, random data, measuring and the table."""

import argparse
import dataclasses
import multiprocessing
import resource
import statistics
import time
import traceback
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from typing import Any, TypeVar

import jax
import numpy as np
from rich.console import Console
from rich.table import Table

from astmt_jax.config import DiscriminatorConfig, ModelConfig
from astmt_jax.models.families import BACKBONES
from astmt_jax.models.network import Network
from astmt_jax.paper import METHODS, method_settings
from astmt_jax.runtime import allocator
from astmt_jax.tasks.registry import TASKS
from astmt_jax.tasks.task import Task, channels_by_name

PASCAL = "edge+semseg+human_parts+normals+sal"
MESSAGE = 300
"""Characters of what went wrong that are shown, at most."""

Result = TypeVar("Result")


def network_flags(description: str, **defaults: Any) -> argparse.ArgumentParser:
    """The flags of all networks that a benchmark measures; others than the usual `defaults`."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--method", default="astmt", choices=METHODS)
    parser.add_argument("--tasks", default=PASCAL, help=f"names joined by + (default: {PASCAL})")
    about = "side of the images (default: %(default)s)"
    parser.add_argument("--size", type=int, default=256, help=about)
    parser.add_argument("--width", type=float, default=1.0, help="multiplier of the encoder's")
    parser.add_argument("--decoder", default="deeplab", help="deeplab (default) or uber")
    parser.add_argument("--decoder-width", type=int, default=64, help="default: 64")
    parser.add_argument("--output-stride", type=int, default=16, help="16 (default) or 8")
    about = "the median of which is shown (default: %(default)s)"
    parser.add_argument("--steps", type=int, default=5, help=about)
    parser.set_defaults(**defaults)
    return parser


def parse_flags(description: str) -> argparse.Namespace:
    """Reads the command line about one network; what cannot be built is refused in a sentence."""
    parser = network_flags(description)
    parser.add_argument("--backbone", default="resnet26", choices=BACKBONES)
    parser.add_argument("--batch", type=int, default=2, help="images a batch (default: 2)")
    parser.add_argument("--dtype", default="float32", help="of activations (default: float32)")
    args = parser.parse_args()
    try:
        build_network(args)
    except ValueError as error:
        parser.error(str(error))
    return args


def chosen_tasks(args: argparse.Namespace) -> tuple[Task, ...]:
    """The records of the tasks that the flags name; ValueError if there is no such task."""
    names = args.tasks.split("+")
    unknown = [name for name in names if name not in TASKS]
    if unknown:
        raise ValueError(f"--tasks names {', '.join(unknown)}, but there are: {', '.join(TASKS)}.")
    return tuple(TASKS[name]() for name in names)


def build_network(args: argparse.Namespace) -> Network:
    """The network that the flags describe; ValueError if it cannot be built."""
    records = chosen_tasks(args)
    if min(args.batch, args.size, args.steps) < 1:
        raise ValueError("--batch, --size and --steps must be at least 1.")
    if args.size % args.output_stride:
        raise ValueError(f"--size must be a multiple of --output-stride, {args.output_stride}.")
    modulation, discriminator_weight = method_settings(
        args.method, tuple(task.name for task in records), args.backbone
    )
    config = ModelConfig(
        backbone=args.backbone,
        width_multiplier=args.width,
        decoder=args.decoder,
        decoder_width=args.decoder_width,
        output_stride=args.output_stride,
        dtype=args.dtype,
        **modulation,
    )
    if args.decoder == "uber":
        discriminator_weight = 0.0  # there are no features of one width to compare
    discriminator = DiscriminatorConfig(weight=discriminator_weight)
    return Network(config, channels_by_name(records), discriminator)


def random_batch(records: Sequence[Task], batch: int, size: int) -> dict[str, Any]:
    """Images (B, S, S, 3) float32 and every task's labels, as the input pipeline shapes them."""
    random = np.random.default_rng(0)

    def label(task: Task) -> np.ndarray:
        if task.class_names:
            return random.integers(0, task.channels, (batch, size, size, 1), np.uint8)
        if task.channels == 1:  # binary, or a depth
            return random.integers(0, 2, (batch, size, size, 1)).astype(np.float32)
        return random.uniform(-1, 1, (batch, size, size, task.channels)).astype(np.float32)

    images = random.standard_normal((batch, size, size, 3)).astype(np.float32)
    return {"image": images, "labels": {task.name: label(task) for task in records}}


@dataclasses.dataclass(frozen=True)
class Measurement:
    """Figures of one way to do the work.

    Attributes:
      seconds: of one step, the median.
      compile_seconds: tracing included.
      program_bytes: arguments, results and temporary memory of the compiled program.
      peak_bytes: most memory in use: of the device where it keeps count, else of the process,
        libraries and compilation included.
      flops: floating-point operations of one step, as XLA counts them.
      bytes_accessed: of memory in one step, as XLA counts them.
    """

    seconds: float
    compile_seconds: float
    program_bytes: int
    peak_bytes: int
    flops: float
    bytes_accessed: float


def measure(
    compile_: Callable[[], jax.stages.Compiled],
    step: Callable[[jax.stages.Compiled], Any],
    calls: int,
    steps: int,
) -> Measurement:
    """Compiles a program and times a step made of it.

    Args:
      compile_: compiles the program.
      step: does one step with it; returns what it computed.
      calls: how often a step calls the program.
      steps: how many to time, after one to warm up.
    """
    start = time.perf_counter()
    compiled = compile_()
    compile_seconds = time.perf_counter() - start
    jax.block_until_ready(step(compiled))
    seconds = []
    for _ in range(steps):
        start = time.perf_counter()
        jax.block_until_ready(step(compiled))
        seconds.append(time.perf_counter() - start)
    cost = compiled.cost_analysis()
    return Measurement(
        seconds=statistics.median(seconds),
        compile_seconds=compile_seconds,
        program_bytes=program_bytes(compiled),
        peak_bytes=_peak_bytes(),
        flops=calls * cost["flops"],
        bytes_accessed=calls * cost["bytes accessed"],
    )


def program_bytes(compiled: jax.stages.Compiled) -> int:
    """Memory that a program needs for arguments, results and temporaries."""
    memory = compiled.memory_analysis()
    new_results = memory.output_size_in_bytes - memory.alias_size_in_bytes
    return memory.argument_size_in_bytes + new_results + memory.temp_size_in_bytes


def _peak_bytes() -> int:
    on_device = jax.devices()[0].memory_stats()
    if on_device is not None:
        return on_device["peak_bytes_in_use"]
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


class Failed(Exception):
    """What became of a measurement that has no result, in one line."""


def in_own_process(
    function: Callable[..., Result], *arguments: Any, seconds: float | None = None
) -> Result:
    """Runs a measurement in a new process, so that its memory is its own, and so is its end.

    Args:
      function: of a module, with arguments and a result that can be pickled.
      *arguments: its arguments.
      seconds: after which it is killed; None lets it take its time.

    Raises:
      Failed: the function raised something, or its process ended.
      TimeoutError: it was killed.
    """
    context = multiprocessing.get_context("spawn")
    reader, writer = context.Pipe(duplex=False)
    process = context.Process(target=_send_result, args=(writer, function, arguments))
    process.start()
    writer.close()
    try:
        if not reader.poll(seconds):
            raise TimeoutError(f"stopped after {seconds:.0f} s")
        result, problem = reader.recv()
    except EOFError:
        process.join()
        raise Failed(f"its process ended with exit code {process.exitcode}") from None
    except BaseException:
        process.kill()
        raise
    finally:
        process.join()
        reader.close()
    if problem is not None:
        error = Failed(problem[0])
        error.add_note(problem[1])
        raise error
    return result


def _send_result(
    writer: Connection, function: Callable[..., Any], arguments: tuple[Any, ...]
) -> None:
    allocator.compute_where_asked()
    try:
        outcome = function(*arguments), None
    except Exception as error:
        line = f"{type(error).__name__}: {' '.join(str(error).split())}"[:MESSAGE]
        outcome = None, (line, traceback.format_exc())
    writer.send(outcome)


HEADINGS = ("", "ms", "images/s", "compile s", "MiB", "peak MiB", "GFLOP", "GFLOP/s")


def print_table(args: argparse.Namespace, rows: Sequence[tuple[str, Measurement]]) -> None:
    """One row a measurement, under a title that repeats the settings.

    'MiB' is the compiled program's memory, 'peak MiB' is `Measurement.peak_bytes`.
    """
    settings = (
        f"{args.method} {args.backbone} x{args.width:g}, {len(args.tasks.split('+'))} tasks, "
        f"batch {args.batch} of {args.size} x {args.size}, {args.dtype}, "
        f"output stride {args.output_stride}, decoder {args.decoder} {args.decoder_width}"
    )
    table = Table(*HEADINGS, title=settings)
    table.columns[0].min_width = max(len(name) for name, _ in rows)
    for column in table.columns[1:]:
        column.justify = "right"
    for name, figures in rows:
        table.add_row(
            name,
            f"{1000 * figures.seconds:.1f}",
            f"{args.batch / figures.seconds:.2f}",
            f"{figures.compile_seconds:.1f}",
            f"{figures.program_bytes / 2**20:.0f}",
            f"{figures.peak_bytes / 2**20:.0f}",
            f"{figures.flops / 1e9:.1f}",
            f"{figures.flops / figures.seconds / 1e9:.1f}",
        )
    Console().print(table)
