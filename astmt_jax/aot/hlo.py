"""The text of a compiled program, as computations of instructions."""

import dataclasses
import math
import re
from functools import cached_property

_COMPUTATION = re.compile(r"^(?P<entry>ENTRY )?%(?P<name>[\w.\-]+) \(.*\{$")
_INSTRUCTION = re.compile(
    r"^\s*(?P<root>ROOT )?%(?P<name>[\w.\-]+) = (?P<type>.+?) (?P<opcode>[a-z][a-z\d\-]*)"
    r"\((?P<rest>.*)$"
)
_ARRAY = re.compile(
    r"\b(?:pred|[a-z]+(?P<bits>\d+))[a-z\d]*\[(?P<shape>[\d,]*)\](?:\{(?P<layout>[^}]*)\})?"
)
_SPACE = re.compile(r"S\((\d+)\)")
_NAME = re.compile(r"%([\w.\-]+)")
_CALLED = re.compile(
    r"\b(?:calls|to_apply|body|condition|true_computation|false_computation)=%([\w.\-]+)"
)
_BRANCHES = re.compile(r"\bbranch_computations=\{([^}]*)\}")


@dataclasses.dataclass(frozen=True)
class Array:
    """One array of an instruction's type.

    Attributes:
      bytes: of its elements, without padding.
      space: where it lies: 0 is a device's main memory, 1 a TPU's own fast memory.
    """

    bytes: int
    space: int


@dataclasses.dataclass(frozen=True)
class Instruction:
    """One instruction of a computation.

    Attributes:
      name: unique in the program.
      opcode: such as 'fusion' or 'all-reduce-start'.
      arrays: of its result; several for a tuple, whose tuples are flattened.
      operands: names of instructions of the same computation.
      called: names of computations.
      is_root: whether its result is the computation's.
      text: what follows the opcode.
    """

    name: str
    opcode: str
    arrays: tuple[Array, ...]
    operands: tuple[str, ...]
    called: tuple[str, ...]
    is_root: bool
    text: str


@dataclasses.dataclass(frozen=True)
class Computation:
    """Instructions by name, in their order."""

    instructions: dict[str, Instruction]

    @cached_property
    def root(self) -> Instruction:
        """The instruction whose result is the computation's."""
        return next(each for each in self.instructions.values() if each.is_root)

    @cached_property
    def parameters(self) -> tuple[Instruction, ...]:
        """In the order of the arguments."""
        found = [each for each in self.instructions.values() if each.opcode == "parameter"]
        return tuple(sorted(found, key=lambda each: int(each.text.partition(")")[0])))

    def users(self, name: str) -> list[Instruction]:
        """Instructions that have the result of `name` as an operand."""
        return [each for each in self.instructions.values() if name in each.operands]


@dataclasses.dataclass(frozen=True)
class Program:
    """Computations by name, and the name of the one that is run."""

    computations: dict[str, Computation]
    entry: str


def parse(text: str) -> Program:
    """Reads the text of an optimised HLO module, as `jax.stages.Compiled.as_text` gives it.

    Raises:
      ValueError: it has another form.
    """
    computations: dict[str, Computation] = {}
    instructions: dict[str, Instruction] = {}
    entry = ""
    for line in text.splitlines():
        if header := _COMPUTATION.match(line):
            instructions = {}
            computations[header["name"]] = Computation(instructions)
            entry = header["name"] if header["entry"] else entry
        elif match := _INSTRUCTION.match(line):
            instructions[match["name"]] = _instruction(match)
    if not entry:
        raise ValueError("This compiler writes programs in a form that is not understood here.")
    return Program(computations, entry)


def _instruction(match: re.Match) -> Instruction:
    rest = match["rest"]
    operands = rest[: _closing(rest)]
    branches = "".join(_BRANCHES.findall(rest))
    return Instruction(
        match["name"],
        match["opcode"],
        tuple(map(_array, _ARRAY.finditer(match["type"]))),
        tuple(_NAME.findall(operands)),
        (*_CALLED.findall(rest), *_NAME.findall(branches)),
        match["root"] is not None,
        rest,
    )


def _closing(text: str) -> int:
    """Where the parenthesis that was opened before `text` is closed."""
    depth = 1
    for match in re.finditer(r"[()]", text):
        depth += 1 if match[0] == "(" else -1
        if depth == 0:
            return match.start()
    return len(text)


def _array(match: re.Match) -> Array:
    bits = int(match["bits"] or 8)  # only pred has no number in its name
    elements = math.prod(int(length) for length in match["shape"].split(",") if length)
    space = _SPACE.search(match["layout"] or "")
    return Array(elements * max(bits, 8) // 8, int(space[1]) if space else 0)
