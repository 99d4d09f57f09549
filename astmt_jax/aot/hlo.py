"""What a compiled program sends between devices, read from its text."""

import math
import re
from typing import NamedTuple

COLLECTIVES = (
    "all-reduce",
    "all-gather",
    "reduce-scatter",
    "all-to-all",
    "collective-permute",
    "collective-broadcast",
)

_INSTRUCTION = re.compile(
    rf"^\s*(?:ROOT )?%?[\w.\-]+ = (?P<type>.+?) (?P<kind>{'|'.join(COLLECTIVES)})"
    r"(?P<start>-start)?\("
)
_ARRAY = re.compile(r"\b(?:pred|[a-z]+(?P<bits>\d+))[a-z\d]*\[(?P<shape>[\d,]*)\]")


class Collective(NamedTuple):
    """All collective operations of one kind in a program.

    Attributes:
      count: of the operations.
      bytes: of their results on one device.
    """

    count: int
    bytes: int


def collectives(text: str) -> dict[str, Collective]:
    """Collective operations by kind, for the kinds that occur, in the order of `COLLECTIVES`.

    Asynchronous operations count once, where they start; what is in the body of a loop counts once,
    however often it runs.

    Args:
      text: of an optimised HLO module, as `jax.stages.Compiled.as_text` gives it.
    """
    totals = {kind: Collective(0, 0) for kind in COLLECTIVES}
    for match in filter(None, map(_INSTRUCTION.match, text.splitlines())):
        kind = match["kind"]
        sizes = [_bytes(array) for array in _ARRAY.finditer(match["type"])]
        if match["start"] and kind != "all-reduce":
            # Its type is the operands and then as many results (and the state of a transfer).
            sizes = sizes[len(sizes) // 2 :] if kind != "collective-permute" else sizes[1:2]
        totals[kind] = Collective(totals[kind].count + 1, totals[kind].bytes + sum(sizes))
    return {kind: total for kind, total in totals.items() if total.count}


def _bytes(array: re.Match) -> int:
    bits = int(array["bits"] or 8)  # only pred has no number in its name
    elements = math.prod(int(length) for length in array["shape"].split(",") if length)
    return elements * max(bits, 8) // 8
