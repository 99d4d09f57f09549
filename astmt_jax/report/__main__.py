"""One HTML page about a run, which opens without a network.

    python -m astmt_jax.report --workdir=DIR [--output=FILE] [--beside=DIR2]

Shows the settings, training curves, results beside the paper's, the precision-recall curve of
edges, classes, predictions and truth under a slider, each task's worst images, how differently the
tasks modulate each layer, what the discriminator recognises, and whether the tasks' gradients on
the shared weights agree: of this run and, with --beside, of a second one, say one that was trained
without the discriminator.
"""

import argparse
import pathlib
import sys

from absl import logging

from astmt_jax.files import storage
from astmt_jax.report import inside, page
from astmt_jax.report import sections as outside
from astmt_jax.report.analysis import Findings, analyse
from astmt_jax.runtime.console import CONSOLE

REPORT_FILE = "report.html"


def build(findings: Findings, workdir: pathlib.Path) -> str:
    """The page about a run."""
    tasks = ", ".join(task.name for task in findings.tasks)
    return page.render(
        title=f"{workdir.resolve().name}: {findings.config.dataset.name}",
        about=f"{findings.config.model.backbone} for {tasks}, after {findings.step:,} steps.",
        sections=[*outside.sections(findings), *inside.sections(findings)],
    )


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value} is not at least 1")
    return value


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m astmt_jax.report",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--workdir", required=True, type=pathlib.Path, help="folder of the run")
    add("--output", type=pathlib.Path, help=f"file to write (default: {REPORT_FILE} in the folder)")
    add("--beside", type=pathlib.Path, help="folder of a run to compare the gradients with")
    add(
        "--images",
        type=_positive,
        default=300,
        help="images, evenly spaced over the split, to look for the worst among (default: 300)",
    )
    add("--data_dir", help="where prepared datasets live (default: as in training)")
    logging.set_verbosity(logging.ERROR)  # libraries' chatter would bury the progress
    args = parser.parse_args(argv)
    output = args.output or args.workdir / REPORT_FILE
    try:
        if not output.parent.is_dir():
            raise FileNotFoundError(
                f"--output is {output}, but there is no folder {output.parent}."
            )
        findings = analyse(args.workdir, args.beside, args.images, args.data_dir)
        storage.write_text(output, build(findings, args.workdir))
    except (ValueError, OSError) as error:
        sys.exit(f"Error: {error}")
    CONSOLE.print(f"Report: {output}", markup=False)


if __name__ == "__main__":
    main()
