"""What a compiled program sends between devices."""

from typing import NamedTuple

from astmt_jax.aot.hlo import Instruction, Program

COLLECTIVES = (
    "all-reduce",
    "all-gather",
    "reduce-scatter",
    "all-to-all",
    "collective-permute",
    "collective-broadcast",
)


class Collective(NamedTuple):
    """All collective operations of one kind in a program.

    Attributes:
      count: of the operations.
      bytes: of their results on one device.
    """

    count: int
    bytes: int


def collectives(program: Program) -> dict[str, Collective]:
    """Collective operations by kind, for the kinds that occur, in the order of `COLLECTIVES`.

    Asynchronous operations count once, where they start; what is in the body of a loop counts once,
    however often it runs.
    """
    totals = {kind: Collective(0, 0) for kind in COLLECTIVES}
    for computation in program.computations.values():
        for instruction in computation.instructions.values():
            kind = instruction.opcode.removesuffix("-start")
            if kind in totals:
                count, size = totals[kind]
                totals[kind] = Collective(count + 1, size + _result_bytes(instruction, kind))
    return {kind: total for kind, total in totals.items() if total.count}


def _result_bytes(instruction: Instruction, kind: str) -> int:
    sizes = [array.bytes for array in instruction.arrays]
    if instruction.opcode.endswith("-start") and kind != "all-reduce":
        # Its type is the operands and then as many results (and the state of a transfer).
        sizes = sizes[len(sizes) // 2 :] if kind != "collective-permute" else sizes[1:2]
    return sum(sizes)
