"""The table of docs/aot.md from files that `python -m astmt_jax.aot --output=FILE` wrote.

python -m benchmarks.aot_table docs/aot/*.json
"""

import argparse
import json
import pathlib
from collections.abc import Iterable, Iterator
from typing import Any

HEADINGS = (
    "backbone", "slice", "chips", "program", "TFLOP", "GB", "temporaries", "peak", "of",
    "collectives", "ms at best", "images/s", "of peak FLOP/s", "compiled in",
)  # fmt: skip
GIB = 2**30


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="+", type=pathlib.Path)
    for line in markdown(json.loads(path.read_text()) for path in parser.parse_args().files):
        print(line)


def markdown(reports: Iterable[dict[str, Any]]) -> Iterator[str]:
    """Lines of a Markdown table with one row for each compilation, small ones first."""
    yield f"| {' | '.join(HEADINGS)} |"
    yield f"|{'---|' * len(HEADINGS)}"
    rows = [(report["config"], figures) for report in reports for figures in report["compilations"]]
    for config, figures in sorted(rows, key=lambda row: _size(*row)):
        yield f"| {' | '.join(_cells(config, figures))} |"


def _size(config: dict[str, Any], figures: dict[str, Any]) -> tuple[str, int, str, int]:
    depth = int(config["model"]["backbone"].removeprefix("resnet"))
    chip = figures["topology"].partition(":")[0]
    return _program(config, figures), depth, chip, figures["chips"]


def _program(config: dict[str, Any], figures: dict[str, Any]) -> str:
    rule = {"training": f", {config['train']['update_rule']}"}
    return figures["program"] + rule.get(figures["program"], "")


def _cells(config: dict[str, Any], figures: dict[str, Any]) -> list[str]:
    memory = [figures["temporary_bytes"], figures["peak_bytes"], figures["capacity_bytes"]]
    temporaries, peak, capacity = (f"{count / GIB:.2f} GiB" for count in memory)
    backbone, chips = config["model"]["backbone"], str(figures["chips"])
    first = [backbone, figures["topology"], chips, _program(config, figures)]
    last = f"{figures['compile_seconds']:.0f} s"
    if figures["flops"] is None:
        return [*first, "", "", temporaries, peak, capacity, *["does not fit"] * 4, last]
    collectives = ", ".join(
        f"{total['count']} {kind} ({total['bytes'] / 1e6:.1f} MB)"
        for kind, total in figures["collectives"].items()
    )
    return [
        *first,
        f"{figures['flops'] / 1e12:.2f}",
        f"{figures['traffic_bytes'] / 1e9:.1f}",
        temporaries,
        peak,
        capacity,
        collectives,
        f"{1000 * figures['step_seconds']:.1f} ({figures['bound']})",
        f"{figures['images_per_second']:,.0f}",
        f"{figures['utilization']:.0%}",
        last,
    ]


if __name__ == "__main__":
    main()
