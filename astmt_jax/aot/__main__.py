"""Compiles a configuration for TPU pods, on a machine that has none, and says what to expect.

    python -m astmt_jax.aot --config=configs/pascal.py --topology=v5e:4x4
    python -m astmt_jax.aot --config=configs/pascal.py:backbone=resnet26 \\
        --config.model.dtype=bfloat16 --config.train.update_rule=joint \\
        --topology=v5p:2x2x1 --topology=v6e:2x2 --batch_per_chip=8 --largest_batch --output=aot.json

The training step and inference are the ones that `astmt_jax.main` runs, compiled by XLA for every
topology in turn, which takes minutes each. All figures are of one chip and one step: memory and
floating-point operations as XLA has them for the compiled program, traffic with the chip's memory
and collective operations as they are read from its text, and the step time that the chip's
published peak and bandwidth allow at best (communication between chips is not in it). With the
update rule `per_task` a step is one run of the program for each task. Needs libtpu:
pip install '.[tpu]'.
"""

import functools
import importlib.metadata
import pathlib
import sys
from collections.abc import Callable, Sequence
from typing import Any

import jax
from absl import flags
from rich.table import Table

from astmt_jax.aot.compilation import Compilation, Compiler, StepWork
from astmt_jax.aot.tpu import GIB, Topology, parse_topology
from astmt_jax.command_line import arguments, config_flag
from astmt_jax.command_line.errors import told
from astmt_jax.config import Config
from astmt_jax.files import storage
from astmt_jax.runtime.console import CONSOLE, format_duration
from astmt_jax.training.experiment import Experiment

TOPOLOGIES = flags.DEFINE_multi_string(
    "topology", None, "Chip and shape of a TPU slice, such as v5e:4x4; can be given several times."
)
BATCH_PER_CHIP = flags.DEFINE_integer(
    "batch_per_chip",
    None,
    "Images a chip (default: config.train.batch_size divided among the chips, at least 1).",
    lower_bound=1,
)
PROGRAMS = flags.DEFINE_multi_enum(
    "program", ["training", "inference"], ["training", "inference"], "What to compile."
)
LARGEST_BATCH = flags.DEFINE_bool(
    "largest_batch", False, "Also find the largest training batch that fits."
)
OUTPUT = config_flag.define_path("output", "JSON file for all figures (default: none).")
OVERWRITE = config_flag.define_overwrite("output")


def compile_all(
    config: Config,
    topologies: Sequence[Topology],
    programs: Sequence[str],
    *,
    batch_per_chip: int | None = None,
    largest_batch: bool = False,
    report: Callable[[list[Compilation]], None],
) -> None:
    """Compiles the programs for every topology.

    Args:
      config: the experiment.
      topologies: for which to compile.
      programs: of 'training' and 'inference'.
      batch_per_chip: images; None divides the configuration's batch among the chips.
      largest_batch: whether to look for the largest batch of training that fits.
      report: called with the compilations of each topology as soon as they are done.

    Raises:
      ValueError: the configuration cannot be built.
      ModuleNotFoundError: libtpu is not installed.
    """
    experiment = Experiment(config)
    for topology in topologies:
        compiler = Compiler(experiment, topology)
        batch = batch_per_chip or max(1, config.train.batch_size // topology.chips)

        build = functools.cache(functools.partial(_compile, compiler))
        compilations = [build(program, batch) for program in programs]
        if largest_batch:
            tried = find_largest_batch(functools.partial(build, "training"), batch)
            compilations += [trial for trial in tried if trial not in compilations]
        report(compilations)


def _compile(compiler: Compiler, program: str, batch: int) -> Compilation:
    """Compiles one program, which takes minutes, and says so."""
    topology = compiler.topology
    size = f"{topology.chips} chips, {batch} images each"
    CONSOLE.print(f"Compiling {program} for {topology.name} ({size}) ...")
    compilation = getattr(compiler, program)(batch)
    CONSOLE.print(f"  took {format_duration(compilation.compile_seconds)}")
    return compilation


def find_largest_batch(training: Callable[[int], Compilation], batch: int) -> list[Compilation]:
    """Looks for the largest batch per chip that fits.

    The memory of two batches, `batch` and twice as much, is extrapolated linearly; one compilation
    says whether it does fit.

    Args:
      training: compiles the training step for a batch per chip.
      batch: where to start.

    Returns:
      The compilations, last that of the batch that the extrapolation gives.
    """
    small, large = training(batch), training(2 * batch)
    largest = extrapolated_batch(small, large)
    if largest in (small.batch_per_chip, large.batch_per_chip) or largest < 1:
        return [small, large]
    return [small, large, training(largest)]


def extrapolated_batch(small: Compilation, large: Compilation) -> int:
    """Largest batch per chip that fits if memory is linear in the batch; at least 0."""
    step = large.batch_per_chip - small.batch_per_chip
    per_image = (large.peak_bytes - small.peak_bytes) / step
    left = small.topology.chip.hbm_bytes - small.peak_bytes
    return max(0, small.batch_per_chip + int(left // per_image))


def compilation_table(config: Config, compilations: Sequence[Compilation]) -> Table:
    """One column for each compilation of one topology."""
    first = compilations[0]
    title = (
        f"{config.model.backbone}, {len(config.tasks)} tasks, {config.train.update_rule}, "
        f"{config.model.dtype}, {config.train.image_size} x {config.train.image_size}, "
        f"{first.topology.name}: {first.topology.chips} chips"
    )
    table = Table("per chip and step", title=title)
    for compilation in compilations:
        heading = f"{compilation.program}\n{compilation.batch_per_chip} images"
        table.add_column(heading, justify="right")
    for label, write in ROWS.items():
        cells = [write(compilation) for compilation in compilations]
        table.add_row(label, *cells)
    return table


def _if_it_fits(write: Callable[[StepWork], str]) -> Callable[[Compilation], str]:
    return lambda compilation: "" if compilation.work is None else write(compilation.work)


def _gib(count: int) -> str:
    return f"{count / GIB:.2f} GiB"


def _collectives(work: StepWork) -> str:
    return "\n".join(
        f"{total.count} {kind}, {total.bytes / 1e6:.1f} MB"
        for kind, total in work.collectives.items()
    )


def _images_a_second(rate: float | None) -> str:
    return "" if rate is None else f"{rate:,.0f}"


ROWS: dict[str, Callable[[Compilation], str]] = {
    "HBM: arguments": lambda c: _gib(c.argument_bytes),
    "HBM: temporaries": lambda c: _gib(c.temporary_bytes),
    "HBM: peak": lambda c: _gib(c.peak_bytes),
    "HBM: capacity": lambda c: _gib(c.topology.chip.hbm_bytes),
    "fits": lambda c: "yes" if c.fits else "no",
    "operations": _if_it_fits(lambda work: f"{work.flops / 1e12:.2f} TFLOP"),
    "traffic with HBM": _if_it_fits(lambda work: f"{sum(work.traffic.values()) / 1e9:.1f} GB"),
    "collectives": _if_it_fits(_collectives),
    "step time at best": _if_it_fits(
        lambda work: f"{1000 * work.roofline.seconds:.1f} ms ({work.roofline.bound})"
    ),
    "share of peak FLOP/s": _if_it_fits(lambda work: f"{work.roofline.utilization:.0%}"),
    "images/s, all chips": lambda c: _images_a_second(c.images_per_second),
    "compile time": lambda c: format_duration(c.compile_seconds),
}


def write_json(path: pathlib.Path, config: Config, compilations: Sequence[Compilation]) -> None:
    """All figures, the settings and the compilers' versions; a file appears whole or not at all."""
    content: dict[str, Any] = {
        "command": " ".join(["python -m astmt_jax.aot", *sys.argv[1:]]),
        "versions": {name: importlib.metadata.version(name) for name in ("jax", "libtpu")},
        "config": config.to_dict(),
        "compilations": [compilation.to_dict() for compilation in compilations],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    storage.write_json(path, content)


def main(argv: list[str]) -> None:
    """Runs the command on parsed flags."""
    del argv
    jax.config.update("jax_platforms", "cpu")  # this machine's accelerators are left alone
    done: list[Compilation] = []
    with told(ModuleNotFoundError):
        config = config_flag.settings()
        topologies = [parse_topology(name) for name in TOPOLOGIES.value or ()]
        output = arguments.output_file(OUTPUT.value, OVERWRITE.value)

        def report(compilations: list[Compilation]) -> None:
            CONSOLE.print(compilation_table(config, compilations))
            done.extend(compilations)
            if output:
                write_json(output, config, done)

        compile_all(
            config,
            topologies,
            PROGRAMS.value,
            batch_per_chip=BATCH_PER_CHIP.value,
            largest_batch=LARGEST_BATCH.value,
            report=report,
        )


if __name__ == "__main__":
    config_flag.run(main, "topology")
