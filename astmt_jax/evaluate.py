"""Scores predictions: a network's, and those of anybody in a folder.

    python -m astmt_jax.evaluate --predictions=FOLDER --dataset=scenes [--split=val] [--tasks=edge]

The folder has the layout of the reference implementation: TASK/NAME.png with NAME as in the
dataset, depth/NAME.mat with the variable `depth`. Edges and saliency are grey levels 255 p, class
maps are ids, normals (n + 1) * 255 / 2 in RGB, albedo 255 a. Any of them may be a .mat file instead
with a variable called as the task, or .npy: levels if uint8, else numbers in the task's own units.
Edges may also be the variables `pb` or `ucm2` (of double size), as BSDS500's benchmark calls them.
"""

import argparse

from astmt_jax.command_line import arguments
from astmt_jax.command_line.errors import told
from astmt_jax.config import CHOICES, DEFAULT, EVALUATION_PROTOCOLS, LIMITS, EvaluationConfig
from astmt_jax.datasets import registry
from astmt_jax.evaluation import tables
from astmt_jax.evaluation.folder import evaluate_folder
from astmt_jax.evaluation.prediction_folder import find_tasks
from astmt_jax.evaluation.results import RESULTS_FILE, notes_file, write_results
from astmt_jax.evaluation.scoring import applied_to, conventions
from astmt_jax.runtime.console import CONSOLE


def _score_command(args: argparse.Namespace) -> None:
    """Does what the command line asks for."""
    root = args.predictions
    output = arguments.output_file(args.output, args.overwrite, root / RESULTS_FILE)
    dataset = registry.find(args.dataset)
    known = dataset.tasks(args.options)
    chosen = registry.select_tasks(args.dataset, args.tasks or tuple(known), args.options)
    tasks = find_tasks(root, known, args.tasks and [task.name for task in chosen])
    names = ("protocol", *CHOICES, *LIMITS)
    config = EvaluationConfig(**{name: getattr(args, name) for name in names})
    scored = applied_to(config, tasks)
    split = args.split or dataset.eval_split
    source = dataset.open(args.data_dir, args.options, split)
    scores = evaluate_folder(
        root,
        source,
        scored,
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
        **conventions(config, scored),
    }
    write_results(output, scores, about)
    CONSOLE.print(tables.result_table(scores.results, scored))
    for table in tables.class_tables(scores.details, scored):
        CONSOLE.print(table)
    CONSOLE.print(f"Results: {output}")


def main(argv: list[str] | None = None) -> None:
    parser = arguments.parser("evaluate", __doc__)
    add = parser.add_argument
    about = "folder of predictions, TASK/NAME.png"
    add("--predictions", required=True, type=arguments.path, help=about)
    arguments.add_dataset(parser, registry.DATASETS)
    add("--split", help="split, or a slice such as 'val[:100]' (default: the dataset's own)")
    arguments.add_tasks(parser, default="all that have a folder")
    about = "whose published numbers ours mean the same as (default: astmt)"
    add("--protocol", choices=EVALUATION_PROTOCOLS, default=EvaluationConfig.protocol, help=about)
    for name, choices in CHOICES.items():
        about = "default: the protocol's, or the dataset's own"
        add(f"--{name}", choices=choices, default=DEFAULT, help=about)
    for name in LIMITS:
        add(f"--{name}", type=float, help="metres; depth counts between these (default: all of it)")
    add("--resize", action="store_true", help="resize predictions of another size")
    about = f"file to write (default: {RESULTS_FILE} in the folder of predictions, written anew)"
    arguments.add_output(parser, about)
    add("--num_workers", type=int, help="processes (default: one a core)")
    args = arguments.parse(parser, argv)
    with told(interrupted="the same command goes on where it stopped."):
        _score_command(args)


if __name__ == "__main__":
    main()
