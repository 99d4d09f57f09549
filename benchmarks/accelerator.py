"""Correctness and speed of training on whatever device JAX sees, within a few minutes.

    python -m benchmarks.accelerator --output=h100.md                       # on an accelerator
    python -m benchmarks.accelerator --backbones=resnet26 --size=64         # on a CPU

Needs jax, flax, optax and numpy alone, and takes one device. It compares the golden cases of
tests/golden with the original's values, and measures training steps as `benchmarks.train_step`
does, on the largest batch that the device's memory takes (of at most 96 images), or on --batch=2
where the device does not say how much it has. XLA's operations and bytes of a step stand beside
what the device can do at most, as published for it, or else as a matrix product and a copy found.

What tells most comes first, and everything runs in a process of its own: what runs out of memory,
fails or finds no time any more (--minutes=8) is named, and costs nothing else. --output is written
after each of them, as Markdown and, beside it, as JSON. Ends with code 1 if a check was not passed.
"""

import argparse
import dataclasses
import itertools
import json
import os
import pathlib
import sys
import time
from collections.abc import Callable, Sequence

import jax

from astmt_jax.command_line import arguments
from astmt_jax.command_line.errors import told
from astmt_jax.files import storage
from astmt_jax.models.families import BACKBONES
from astmt_jax.records import check_choice
from astmt_jax.runtime.console import CONSOLE, format_duration
from astmt_jax.training.train_step import UPDATES
from benchmarks import golden_checks
from benchmarks.accelerator_report import Case, Device, Report, Speed, markdown
from benchmarks.networks import (
    Failed,
    Measurement,
    build_network,
    chosen_tasks,
    in_own_process,
    network_flags,
    program_bytes,
    random_batch,
)
from benchmarks.peaks import PUBLISHED, measured_peaks
from benchmarks.train_step import build_step, measure_update

DTYPES = ("bfloat16", "float32")
FIRST_CHECKS = ("forward_pascal_r26", "train_pascal_r26")
DEFAULT_BATCH = 2
"""Images, where nothing says how many there is room for."""
PROBE_BATCH = 8
"""Images of the step that is compiled to find out."""
MOST_IMAGES = 96
"""At 512 x 512 and five tasks the largest array has 2 ** 31 elements at 102 images, where cuDNN's
convolutions end."""
FILLED = 0.9
"""Share of the memory that is planned for."""
SMALLER = 0.8
"""What a batch shrinks by when the memory did not do after all."""
OUTPUT_FLAGS = ("output", "overwrite")
MEMORY_FRACTION = "0.92"
"""Of a GPU, that JAX takes when it starts; three quarters by default."""


@dataclasses.dataclass(frozen=True)
class Trial:
    """One attempt at a case: so many images a batch; no figures if the memory did not do."""

    batch: int
    figures: Measurement | None


def describe_device(dtypes: Sequence[str]) -> Device:
    """The device that JAX takes first."""
    device = jax.devices()[0]
    memory = (device.memory_stats() or {}).get("bytes_limit")
    measured = measured_peaks(dtypes)
    peaks = PUBLISHED.get(device.device_kind, measured)
    return Device(device.device_kind, device.platform, memory, peaks, measured)


def try_case(
    args: argparse.Namespace, case: Case, batch: int | None, memory_bytes: int | None
) -> Trial:
    """Measures a case; without a `batch`, on the largest that should fit into the memory."""
    try:
        if batch is None:
            batch = DEFAULT_BATCH if memory_bytes is None else PROBE_BATCH
            if memory_bytes is not None:
                batch = largest_batch(network_of(args, case, batch), case.rule, memory_bytes)
        return Trial(batch, measure_update(network_of(args, case, batch), case.rule))
    except (jax.errors.JaxRuntimeError, MemoryError) as error:
        if not ran_out_of_memory(error):
            raise
        return Trial(batch, None)


def ran_out_of_memory(error: Exception) -> bool:
    """Whether it is an error of NumPy, XLA or a driver that says so."""
    message = str(error).lower().replace("_", " ")
    phrases = ("resource exhausted", "out of memory")
    return isinstance(error, MemoryError) or any(words in message for words in phrases)


def network_of(args: argparse.Namespace, case: Case, batch: int) -> argparse.Namespace:
    """The flags of one network."""
    own = {"backbone": case.backbone, "dtype": case.dtype, "batch": batch}
    return argparse.Namespace(**vars(args) | own)


def largest_batch(args: argparse.Namespace, rule: str, memory_bytes: int) -> int:
    """Images that should fill the memory, by that of a compiled step on `args.batch`.

    All but variables and optimizer state is taken to grow with the batch.
    """
    step = build_step(args, rule)
    here = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    state = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=here),
        jax.eval_shape(step.init, jax.random.key(0)),
    )
    lowered = step.update.lower(state, random_batch(chosen_tasks(args), args.batch, args.size))
    try:  # without what XLA tries out on a GPU to choose its algorithms, which takes long
        compiled = lowered.compile(compiler_options={"xla_gpu_autotune_level": 0})
    except jax.errors.JaxRuntimeError:  # should there be one that has no algorithm of its own
        compiled = lowered.compile()
    fixed = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(state))
    per_image = (program_bytes(compiled) - fixed) / args.batch
    images = int((FILLED * memory_bytes - fixed) / per_image)
    return min(MOST_IMAGES, max(1, images if images < 16 else images // 8 * 8))


def measured_speed(
    args: argparse.Namespace, case: Case, memory_bytes: int | None, left: Callable[[], float]
) -> Speed:
    """Measures a case in processes of their own, on smaller batches if the memory does not do.

    Raises:
      Failed: it does not for one image (or for --batch), or something else is wrong.
      TimeoutError: no time was left.
    """
    batch = args.batch
    while True:
        trial = in_own_process(try_case, args, case, batch, memory_bytes, seconds=left())
        if trial.figures is not None:
            return Speed(case, trial.batch, trial.figures)
        batch = int(SMALLER * trial.batch)
        if args.batch is not None or batch < 1:
            raise Failed(f"out of memory with {trial.batch} images")


def cases(backbones: Sequence[str], dtypes: Sequence[str], rules: Sequence[str]) -> list[Case]:
    """All combinations, those first that stand first in their lists."""
    variants = enumerate(itertools.product(rules, dtypes))
    ranked = itertools.product(enumerate(backbones), variants)
    order = sorted(ranked, key=lambda pair: (pair[0][0] + pair[1][0], pair[1][0]))
    return [Case(backbone, dtype, rule) for (_, backbone), (_, (rule, dtype)) in order]


def plan(args: argparse.Namespace) -> list[str | Case]:
    """Golden cases and ways to train, in the order in which they are worth their time."""
    first = [name for name in args.checks if name in FIRST_CHECKS]
    others = [name for name in args.checks if name not in FIRST_CHECKS]
    speeds = cases(args.backbones, args.dtypes, args.rules)
    return [*first, *speeds[:3], *others, *speeds[3:]]


def carry_out(
    report: Report,
    jobs: Sequence[str | Case],
    do: Callable[[str | Case], list[golden_checks.Check] | Speed],
    done: Callable[[str], None],
) -> None:
    """Does one job after the other; what becomes of each goes into the report.

    Args:
      report: to fill.
      jobs: names of golden cases, and ways to train.
      do: does one; raises `Failed` or TimeoutError.
      done: called after each, with a line about it.
    """
    for job in jobs:
        try:
            found = do(job)
        except (Failed, TimeoutError) as error:
            report.missing[str(job)] = str(error)
            done(f"{job}: {error}")
            continue
        if isinstance(found, Speed):
            report.speeds.append(found)
            done(f"{job}: {found.batch / found.figures.seconds:.2f} images/s")
        else:
            report.checks += found
            passed = sum(check.passed for check in found)
            done(f"{job}: {passed} of {len(found)} checks passed")


def parse_flags() -> argparse.Namespace:
    """Reads the command line; what cannot be built is refused in one sentence."""
    parser = network_flags(__doc__.splitlines()[0], size=512, steps=10)
    for name, values in (
        ("backbones", ("resnet26", "resnet50", "resnet101")),
        ("dtypes", DTYPES),
        ("rules", tuple(sorted(UPDATES))),
        ("checks", golden_checks.CASES),
    ):
        about = f"names joined by + (default: {'+'.join(values)})"
        parser.add_argument(f"--{name}", type=arguments.task_names, default=values, help=about)
    parser.add_argument("--batch", type=arguments.positive, help="images (default: the most)")
    about = "in all, from now on (default: 8)"
    parser.add_argument("--minutes", type=float, default=8, help=about)
    arguments.add_output(parser, "Markdown file, and beside it the same in JSON (default: none)")
    args = parser.parse_args()
    try:
        check_flags(args)
    except (ValueError, OSError) as error:
        parser.error(str(error))
    return args


def check_flags(args: argparse.Namespace) -> None:
    """Checks what the flags name.

    Raises:
      ValueError: it is not there, or cannot be built.
      FileExistsError: the output is there already.
    """
    known = {"backbones": BACKBONES, "dtypes": DTYPES, "rules": UPDATES}
    known["checks"] = golden_checks.CASES
    for name, choices in known.items():
        setattr(args, name, tuple(filter(None, getattr(args, name))))
        for value in getattr(args, name):
            check_choice(f"--{name}", value, choices)
    if not args.minutes > 0:
        raise ValueError(f"--minutes is {args.minutes}, but must be more than 0.")
    for case in cases(args.backbones, args.dtypes, args.rules):
        build_network(network_of(args, case, args.batch or DEFAULT_BATCH))
    if args.output is None:
        return
    if args.output.suffix != ".md":
        raise ValueError(f"--output is {args.output}, but must end in .md.")
    for path in (args.output, args.output.with_suffix(".json")):
        arguments.output_file(path, args.overwrite)


def write(report: Report, output: pathlib.Path) -> None:
    """Writes the report as it is, as Markdown and as JSON; each file is whole at any time."""
    output.parent.mkdir(parents=True, exist_ok=True)
    storage.write_text(output, "\n".join(markdown(report)) + "\n")
    content = json.dumps(report.to_dict(), indent=1)
    storage.write_text(output.with_suffix(".json"), content + "\n")


def main() -> None:
    # Every process of its own takes the accelerator, this one does not.
    jax.config.update("jax_platforms", "cpu")
    os.environ.setdefault("XLA_PYTHON_CLIENT_MEM_FRACTION", MEMORY_FRACTION)
    start = time.monotonic()
    args = parse_flags()

    def left() -> float:
        seconds = start + 60 * args.minutes - time.monotonic()
        if seconds <= 0:
            raise TimeoutError("no time was left")
        return seconds

    with told(Failed, TimeoutError):
        report = Report(
            in_own_process(describe_device, args.dtypes, seconds=left()),
            {name: value for name, value in vars(args).items() if name not in OUTPUT_FLAGS},
        )

        def do(job: str | Case) -> list[golden_checks.Check] | Speed:
            if isinstance(job, Case):
                return measured_speed(args, job, report.device.memory_bytes, left)
            return in_own_process(golden_checks.check, job, seconds=left())

        def done(line: str) -> None:
            CONSOLE.print(f"{format_duration(time.monotonic() - start)} {line}")
            if args.output:
                write(report, args.output)

        try:
            carry_out(report, plan(args), do, done)
        finally:  # interrupted, too, or where the output's disk is full
            CONSOLE.print("\n".join(["", *markdown(report)]))
    sys.exit(not all(check.passed for check in report.checks))


if __name__ == "__main__":
    main()
