"""An experiment's programs, compiled for a TPU slice: what each of its chips has to do and hold."""

import dataclasses
import math
import re
import time
from collections.abc import Callable
from typing import Any

import jax
from jax.sharding import NamedSharding

from astmt_jax.aot.collectives import Collective, collectives
from astmt_jax.aot.hlo import parse
from astmt_jax.aot.roofline import Roofline
from astmt_jax.aot.tpu import GIB, Chip, Topology, describe_devices
from astmt_jax.aot.traffic import traffic
from astmt_jax.runtime.sharding import Placement, data_mesh
from astmt_jax.training.experiment import Experiment

_OUT_OF_MEMORY = re.compile(r"temporaries \(([\d.]+)([MG])\)|Used ([\d.]+)([MG]) of [\d.]+G hbm")


@dataclasses.dataclass(frozen=True)
class StepWork:
    """What one step has a chip do.

    Attributes:
      flops: floating-point operations.
      traffic: bytes between it and its main memory, by the kind of instruction that moves them.
      collectives: operations between chips, by kind.
      roofline: bounds on the time.
    """

    flops: float
    traffic: dict[str, int]
    collectives: dict[str, Collective]
    roofline: Roofline


@dataclasses.dataclass(frozen=True)
class Compilation:
    """A compiled program, or one that needs too much memory. All figures are of one chip.

    Attributes:
      program: 'training' or 'inference'.
      topology: what it was compiled for.
      batch_per_chip: images.
      runs: of the program, in one step.
      compile_seconds: tracing included.
      argument_bytes: variables, optimizer state and batch.
      temporary_bytes: intermediate results.
      other_bytes: results that take no argument's place, and the program itself.
      work: of a step; None if the program does not fit.
    """

    program: str
    topology: Topology
    batch_per_chip: int
    runs: int
    compile_seconds: float
    argument_bytes: int
    temporary_bytes: int
    other_bytes: int
    work: StepWork | None = None

    @property
    def peak_bytes(self) -> int:
        """Memory that the program needs."""
        return self.argument_bytes + self.temporary_bytes + self.other_bytes

    @property
    def fits(self) -> bool:
        """Whether the chip has it."""
        return self.work is not None and self.peak_bytes <= self.topology.chip.hbm_bytes

    @property
    def images_per_second(self) -> float | None:
        """Of all chips together, at the roofline."""
        if self.work is None:
            return None
        return self.topology.chips * self.batch_per_chip / self.work.roofline.seconds

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain values, for JSON."""
        own = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        work = own.pop("work")
        return {
            **own,
            "flops": work and work.flops,
            "traffic": work and work.traffic,
            "traffic_bytes": work and sum(work.traffic.values()),
            "collectives": work
            and {kind: total._asdict() for kind, total in work.collectives.items()},
            "topology": self.topology.name,
            "chips": self.topology.chips,
            "capacity_bytes": self.topology.chip.hbm_bytes,
            "peak_bytes": self.peak_bytes,
            "fits": self.fits,
            "step_seconds": work and work.roofline.seconds,
            "bound": work and work.roofline.bound,
            "utilization": work and work.roofline.utilization,
            "images_per_second": self.images_per_second,
        }


class Compiler:
    """Compiles one experiment's programs for one slice; batches are divided among its chips."""

    def __init__(self, experiment: Experiment, topology: Topology):
        self._experiment = experiment
        self.topology = topology
        placement = Placement(
            data_mesh(describe_devices(topology)), experiment.config.train.shard_parameters
        )
        # Schedules are arithmetic on the step: the length of an epoch is nothing to the program.
        self._step = experiment.train_step(steps_per_epoch=1, placement=placement)
        self._predict = experiment.predict
        self._divided, self._replicated = placement.batch, placement.replicated
        shapes = jax.eval_shape(self._step.init, jax.random.key(0))
        self._state = placement.described(shapes)

    def training(self, batch_per_chip: int) -> Compilation:
        """The configuration's update on one batch."""
        batch = self._batch(batch_per_chip)
        return self._compile(
            "training",
            self._step.update.lower,
            (self._state, batch),
            batch_per_chip,
            self._step.update.runs,
        )

    def inference(self, batch_per_chip: int) -> Compilation:
        """Predictions of all tasks for one batch."""
        variables = _placed((self._state.params, self._state.stats), self._replicated)
        arguments = (*variables, self._batch(batch_per_chip)["image"])
        return self._compile("inference", self._predict.lower, arguments, batch_per_chip, runs=1)

    def _batch(self, batch_per_chip: int) -> dict[str, Any]:
        batch_size = batch_per_chip * self.topology.chips
        return _placed(self._experiment.describe_batch(batch_size), self._divided)

    def _compile(
        self,
        program: str,
        lower: Callable[..., jax.stages.Lowered],
        arguments: tuple[Any, ...],
        batch_per_chip: int,
        runs: int,
    ) -> Compilation:
        start = time.perf_counter()
        work = None
        try:
            compiled = lower(*arguments).compile()
        except jax.errors.JaxRuntimeError as error:
            required = required_bytes(str(error))
            if required is None:
                raise
            memory = (argument_bytes(arguments), required, 0)
        else:
            memory, work = _figures(compiled, runs, self.topology.chip)
        return Compilation(
            program,
            self.topology,
            batch_per_chip,
            runs,
            time.perf_counter() - start,
            *memory,
            work=work,
        )


def required_bytes(message: str) -> int | None:
    """Memory that a program would need, by XLA's refusal; None for a refusal of other kinds."""
    match = _OUT_OF_MEMORY.search(message)
    if match is None:
        return None
    number, unit = (group for group in match.groups() if group is not None)
    return int(float(number) * {"M": 2**20, "G": GIB}[unit])


def argument_bytes(arguments: Any) -> int:
    """Bytes that one device holds of descriptions of arrays with their shardings."""
    return sum(
        math.prod(leaf.sharding.shard_shape(leaf.shape)) * leaf.dtype.itemsize
        for leaf in jax.tree.leaves(arguments)
    )


def _figures(
    compiled: jax.stages.Compiled, runs: int, chip: Chip
) -> tuple[tuple[int, int, int], StepWork]:
    """Bytes of arguments, temporaries and others, and what a step of some `runs` does."""
    memory, cost, text = compiled.memory_analysis(), compiled.cost_analysis(), compiled.as_text()
    if memory is None or cost is None or text is None:
        raise ValueError("This compiler does not tell what its programs need and do.")
    new_results = memory.output_size_in_bytes - memory.alias_size_in_bytes
    program = parse(text)
    sent = collectives(program)
    moved = {kind: runs * count for kind, count in traffic(program).most_common()}
    flops = runs * cost["flops"]
    return (
        memory.argument_size_in_bytes,
        memory.temp_size_in_bytes,
        new_results + memory.generated_code_size_in_bytes,
    ), StepWork(
        flops,
        moved,
        {kind: Collective(runs * total.count, runs * total.bytes) for kind, total in sent.items()},
        Roofline.of(chip, flops, sum(moved.values())),
    )


def _placed(shapes: Any, sharding: NamedSharding) -> Any:
    return jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding), shapes
    )
