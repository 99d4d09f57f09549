"""One HTML page about a run, which opens without a network.

    python -m astmt_jax.report --workdir=DIR [--output=FILE] [--beside=DIR2]

Shows the settings, training curves, results beside the paper's, the precision-recall curve of
edges, classes, predictions and truth under a slider, each task's worst images, how differently the
tasks modulate each layer, what the discriminator recognises, and whether the tasks' gradients on
the shared weights agree: of this run and, with --beside, of a second one, say one that was trained
without the discriminator.

The run's folder does not choose where data are read, and nothing is prepared: what takes the data
is left out where they are not in --data_dir.
"""

from astmt_jax.runtime import allocator

if __name__ == "__main__":
    allocator.use()

import pathlib

from astmt_jax.command_line import arguments
from astmt_jax.command_line.errors import told
from astmt_jax.files import storage
from astmt_jax.report import inside, page
from astmt_jax.report import sections as outside
from astmt_jax.report.analysis import Analysis, analyse
from astmt_jax.runtime import compilation_cache
from astmt_jax.runtime.console import CONSOLE

REPORT_FILE = "report.html"


def build(analysis: Analysis, workdir: pathlib.Path) -> str:
    """The page about a run."""
    tasks = ", ".join(task.name for task in analysis.tasks)
    return page.render(
        title=f"{workdir.resolve().name}: {analysis.config.dataset.name}",
        about=f"{analysis.config.model.backbone} for {tasks}, after {analysis.step:,} steps.",
        sections=[*outside.sections(analysis), *inside.sections(analysis)],
    )


def main(argv: list[str] | None = None) -> None:
    parser = arguments.parser("report", __doc__)
    arguments.add_workdir(parser)
    about = f"file to write (default: {REPORT_FILE} in the run's folder, written anew)"
    arguments.add_output(parser, about)
    about = "folder of a run to compare the gradients with"
    parser.add_argument("--beside", type=arguments.path, help=about)
    parser.add_argument(
        "--images",
        type=arguments.positive,
        default=300,
        help="images, evenly spaced over the split, to look for the worst among (default: 300)",
    )
    arguments.add_data_dir(parser)
    args = arguments.parse(parser, argv)
    compilation_cache.enable()
    with told():
        output = arguments.output_file(args.output, args.overwrite, args.workdir / REPORT_FILE)
        analysis = analyse(args.workdir, args.beside, args.images, args.data_dir)
        output.parent.mkdir(parents=True, exist_ok=True)
        storage.write_text(output, build(analysis, args.workdir))
    CONSOLE.print(f"Report: {output}")


if __name__ == "__main__":
    main()
