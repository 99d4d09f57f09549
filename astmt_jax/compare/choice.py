"""What --ladder can say."""

import dataclasses
import functools
import os
import pathlib
from collections.abc import Callable

from astmt_jax.compare import row_file
from astmt_jax.compare.ladders import LADDERS, backbones
from astmt_jax.compare.methods import Method
from astmt_jax.config import Config
from astmt_jax.records import shown

DEFAULT = "paper"


@dataclasses.dataclass(frozen=True)
class Ladder:
    """One ladder.

    Attributes:
      report: name of the files that show it, without their ending.
      methods: its methods, of a configuration.
      rows: the file of its rows, if there is one.
    """

    report: str
    methods: Callable[[Config], tuple[Method, ...]]
    rows: pathlib.Path | None = None


def ladder(text: str) -> Ladder:
    """What --ladder names.

    Args:
      text: a key of `LADDERS`; 'backbones:NAME+NAME' for some of them; or a file of rows, `*.toml`.

    Raises:
      ValueError: it is none of them.
    """
    name, _, names = text.partition(":")
    if text == DEFAULT:
        return Ladder("comparison", LADDERS[DEFAULT])
    if text in LADDERS:
        return Ladder(f"comparison-{text}", LADDERS[text])
    if name == "backbones" and names:
        chosen = tuple(names.split("+"))
        return Ladder(f"comparison-{name}-{names}", functools.partial(backbones, names=chosen))
    if text.endswith(row_file.ENDING):
        path = pathlib.Path(os.path.expanduser(text))
        return Ladder(
            f"comparison-{path.stem}.rows",
            functools.partial(row_file.methods, path=path),
            path.resolve(),
        )
    known = ", ".join(LADDERS)
    raise ValueError(
        f"--ladder is {shown(text)}, but must be one of: {known}; backbones:NAME+NAME; or a file "
        f"of rows, such as rows{row_file.ENDING}."
    )
