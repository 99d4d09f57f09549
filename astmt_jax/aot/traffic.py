"""What a compiled program moves between a device and its main memory.

XLA's own "bytes accessed" counts every operand and result, wherever it lies: on TPUs also those in
the chip's own fast memory (`S(1)` in a layout), which cost none of the memory's bandwidth.
"""

from collections import Counter

from astmt_jax.aot.hlo import Array, Computation, Instruction, Program

MAIN_MEMORY = 0
# Instructions that only name what there is already.
_NAMES_ONLY = {
    "parameter", "constant", "tuple", "get-tuple-element", "bitcast", "after-all",
    "opt-barrier", "add-dependency", "partition-id", "replica-id",
}  # fmt: skip
# Instructions that read no more of their first operand than they return.
_READS_PART = {"slice", "dynamic-slice", "gather"}
_UPDATE = "dynamic-update-slice"
_PARTS = {"product": {"convolution", "dot"}, "sum": {"reduce"}}
"""What a fusion may hold beside elementwise operations -> the instructions that say so."""


def traffic(program: Program) -> Counter[str]:
    """Bytes read from and written to main memory in one run, by the kind of instruction.

    Kinds are opcodes, but 'fusion of product, sum', 'fusion of product', 'fusion of sum' and
    'fusion' (of nothing but elementwise operations and movements).

    Every instruction reads its operands once and writes its result once; a fusion is one
    instruction. What is sliced is read where it is sliced only, and an update in place reads and
    writes what it updates. The body of a loop counts once, and of several branches the one that
    moves most.
    """
    return _Counting(program).of(program.computations[program.entry])


class _Counting:
    def __init__(self, program: Program):
        self._computations = program.computations

    def of(self, computation: Computation) -> Counter[str]:
        total: Counter[str] = Counter()
        for instruction in computation.instructions.values():
            total += self._instruction(computation, instruction)
        return total

    def _instruction(self, computation: Computation, instruction: Instruction) -> Counter[str]:
        called = [self._computations[name] for name in instruction.called]
        match instruction.opcode:
            case opcode if opcode in _NAMES_ONLY or "AllocateBuffer" in instruction.text:
                return Counter()
            case "conditional":
                return max((self.of(branch) for branch in called), key=Counter.total)
            case "while" | "call":
                return sum((self.of(body) for body in called), Counter())
        operands = [computation.instructions[name].arrays for name in instruction.operands]
        return Counter({self._kind(instruction): self._moved(instruction, operands, called)})

    def _kind(self, instruction: Instruction) -> str:
        opcodes = self._opcodes(instruction)
        parts = [part for part, said_by in _PARTS.items() if opcodes & said_by]
        is_plain = instruction.opcode != "fusion" or not parts
        return instruction.opcode if is_plain else f"fusion of {', '.join(parts)}"

    def _opcodes(self, instruction: Instruction) -> set[str]:
        """Of the instruction and, if it is a fusion, of what it fuses."""
        found = {instruction.opcode}
        if instruction.opcode == "fusion":
            for name in instruction.called:
                inner = self._computations[name].instructions.values()
                found.update(*map(self._opcodes, inner))
        return found

    def _moved(
        self,
        instruction: Instruction,
        operands: list[tuple[Array, ...]],
        called: list[Computation],
    ) -> int:
        opcode = instruction.opcode
        if opcode.endswith("-done"):  # what it waits for was read where it was started
            return _main(instruction.arrays)
        if opcode.endswith("-start"):
            opcode = opcode.removesuffix("-start")
            if opcode in _READS_PART:
                return min(_main(operands[0]), *(a.bytes for a in instruction.arrays[1:2]))
            return sum(map(_main, operands))
        if opcode == "fusion":
            (fused,) = called
            reads = zip(fused.parameters, operands, strict=True)
            return _written(fused, instruction) + sum(
                _read(fused, parameter, arrays) for parameter, arrays in reads
            )
        if opcode in _READS_PART:
            result = sum(array.bytes for array in instruction.arrays)
            first = result if _main(operands[0]) else 0
            return first + _main(instruction.arrays) + sum(map(_main, operands[1:]))
        if opcode == _UPDATE:
            return _main(operands[1]) + (_size(operands[1]) if _main(operands[0]) else 0)
        return sum(map(_main, operands)) + _main(instruction.arrays)


def _main(arrays: tuple[Array, ...]) -> int:
    """Bytes of those that lie in main memory."""
    return sum(array.bytes for array in arrays if array.space == MAIN_MEMORY)


def _size(arrays: tuple[Array, ...]) -> int:
    return sum(array.bytes for array in arrays)


def _read(fused: Computation, parameter: Instruction, arrays: tuple[Array, ...]) -> int:
    """Bytes of an argument that a fusion reads."""
    users = fused.users(parameter.name)
    parts = [_part(fused, parameter, user) for user in users]
    if not _main(arrays) or any(part is None for part in parts):
        return _main(arrays)
    return min(_main(arrays), sum(part for part in parts if part is not None))


def _part(fused: Computation, parameter: Instruction, user: Instruction) -> int | None:
    """Bytes that one use of a fusion's argument reads; None for all of them."""
    is_first = user.operands[0] == parameter.name
    if user.opcode in _READS_PART and is_first:
        return _size(user.arrays)
    if user.opcode == _UPDATE and is_first and user.is_root:
        return 0  # it stays where it is
    return None


def _written(fused: Computation, instruction: Instruction) -> int:
    """Bytes that a fusion writes."""
    root = fused.root
    if root.opcode == _UPDATE and _main(instruction.arrays):
        return _size(fused.instructions[root.operands[1]].arrays)
    return _main(instruction.arrays)
