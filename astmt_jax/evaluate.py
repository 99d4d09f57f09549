"""Scores predictions: a network's, and those of anybody in a folder.

    python -m astmt_jax.evaluate --predictions=FOLDER --dataset=scenes [--split=val] [--tasks=...]

The folder has the layout of the reference implementation: TASK/NAME.png with NAME as in the
dataset, depth/NAME.mat with the variable `depth`. Edges and saliency are grey levels 255 p, class
maps are ids, normals (n + 1) * 255 / 2 in RGB, albedo 255 a. Any of them may be a .mat file instead
with a variable called as the task, or .npy: levels if uint8, else numbers in the task's own units.
"""

import argparse
import ast
import contextlib
import pathlib
import sys
from typing import Any

from absl import logging

from astmt_jax.config import CHOICES, DEFAULT, EvaluationConfig
from astmt_jax.datasets import registry
from astmt_jax.evaluation import tables
from astmt_jax.evaluation.folder import evaluate_folder
from astmt_jax.evaluation.prediction_folder import find_tasks
from astmt_jax.evaluation.results import RESULTS_FILE, notes_file, write_results
from astmt_jax.evaluation.scoring import applied_to
from astmt_jax.runtime.console import CONSOLE


def _score_command(args: argparse.Namespace) -> None:
    """Does what the command line asks for."""
    root, output = pathlib.Path(args.predictions), args.output
    output = pathlib.Path(output) if output else root / RESULTS_FILE
    dataset = registry.find(args.dataset)
    options = dict(args.option)
    known = dataset.tasks(options)
    chosen = registry.select_tasks(args.dataset, tuple(args.tasks or known), options)
    tasks = find_tasks(root, known, args.tasks and [task.name for task in chosen])
    config = EvaluationConfig(**{name: getattr(args, name) for name in CHOICES})
    split = args.split or dataset.eval_split
    source = dataset.open(pathlib.Path(args.data_dir), options, split)
    scores = evaluate_folder(
        root,
        source,
        applied_to(config, tasks),
        resize=args.resize,
        num_workers=args.num_workers,
        notes=notes_file(output),
    )
    about = {
        "predictions": str(root),
        "dataset": args.dataset,
        "split": split,
        "images": source.length,
        "resized": args.resize,
    }
    write_results(output, scores, about)
    CONSOLE.print(tables.result_table(scores.results, tasks))
    for table in tables.class_tables(scores.details, tasks):
        CONSOLE.print(table)
    CONSOLE.print(f"Results: {output}")


def _option(text: str) -> tuple[str, Any]:
    """Reads NAME=VALUE; what is no Python literal is a string."""
    name, separator, value = text.partition("=")
    if not separator:
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form NAME=VALUE")
    with contextlib.suppress(ValueError, SyntaxError):
        return name, ast.literal_eval(value)
    return name, value


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--predictions", required=True, help="folder of predictions, TASK/NAME.png")
    add("--dataset", required=True, choices=tuple(registry.DATASETS))
    add("--split", help="split, or a slice such as 'val[:100]' (default: the dataset's own)")
    add("--data_dir", default="data", help="where prepared datasets live")
    add(
        "--option",
        type=_option,
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="field of the dataset's options, such as image_size=96; can be repeated",
    )
    add(
        "--tasks", type=lambda text: text.split(","), help="such as edge,depth (default: all there)"
    )
    for name, choices in CHOICES.items():
        add(f"--{name}", choices=choices, default=DEFAULT, help="default: the dataset's own")
    add("--resize", action="store_true", help="resize predictions of another size")
    add("--output", help="file to write (default: results.json in the folder of predictions)")
    add("--num_workers", type=int, help="processes (default: one a core)")
    logging.set_verbosity(logging.ERROR)  # libraries' chatter would bury the progress
    try:
        _score_command(parser.parse_args(argv))
    except (ValueError, OSError) as error:
        sys.exit(f"Error: {error}")
    except KeyboardInterrupt:
        sys.exit("Interrupted: the same command goes on where it stopped.")


if __name__ == "__main__":
    main()
