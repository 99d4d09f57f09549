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
import dataclasses
import json
import math
import pathlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from absl import logging
from rich.progress import track

from astmt_jax import distributed, inference, pipeline, storage, tables
from astmt_jax.counting import Counter
from astmt_jax.datasets import registry
from astmt_jax.models.network import Network
from astmt_jax.prediction_folder import PredictionFolder, find_tasks
from astmt_jax.progress import CONSOLE
from astmt_jax.scoring import (
    CHOICES,
    DEFAULT,
    EvaluationConfig,
    Scorer,
    Scores,
    is_labelled,
    scores_of,
)
from astmt_jax.source import Source, count_threads
from astmt_jax.tasks import Task
from astmt_jax.truths import names, truths

IMAGES_PER_WORKER = 16
"""A process takes about as long to start as to count so many images."""


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """Scores of one split.

    Attributes:
      scores: of all tasks.
      rows: examples for `panels.draw`.
    """

    scores: Scores
    rows: list[dict[str, Any]]


def evaluate_network(
    network: Network,
    predict: inference.Predict,
    source: Source,
    config: EvaluationConfig,
    *,
    batch_size: int,
    image_size: int,
    normalize: str,
    sharding: jax.sharding.NamedSharding,
    num_rows: int = 0,
    num_threads: int | None = None,
    notes: pathlib.Path | None = None,
    save_to: pathlib.Path | None = None,
) -> Evaluation:
    """Scores all tasks of a network on all examples of `source`, each at its own resolution.

    Every process predicts and scores its share of every batch; all return the whole's scores.

    Args:
      network: its tasks' metrics are computed.
      predict: images (B, S, S, 3) to predictions.
      source: the split.
      config: how predictions are scored.
      batch_size: images a batch over all devices.
      image_size: side of the images that the network sees.
      normalize: scaling of the input, a key of `pipeline.NORMALIZATIONS`.
      sharding: of the batches.
      num_rows: how many examples, evenly spaced over the split, to keep for a picture.
      num_threads: of the input pipeline, and processes that count edges; None is one a core.
      notes: file that lets an interrupted evaluation go on, deleted at its end.
      save_to: folder for the predictions, in the layout that `evaluate_folder` takes.
    """
    tasks = config.applied_to(network.tasks)
    kept = {i * source.length // num_rows for i in range(num_rows)}
    process, processes = jax.process_index(), jax.process_count()
    shares = pipeline.eval_shares(source.length, batch_size, process, processes)
    indices = np.concatenate(shares).tolist()
    rows = {}
    with _scorer(tasks, len(indices), num_threads, notes) as scorer:
        predicted = inference.predictions(
            network,
            predict,
            source,
            batch_size=batch_size,
            image_size=image_size,
            normalize=normalize,
            resize=config.image_resize,
            sharding=sharding,
            num_threads=num_threads,
        )
        tracked = _tracked(predicted, source.name, len(indices))
        for index, example in zip(indices, tracked, strict=True):
            scored = example.predictions
            for task in tasks if save_to else ():
                task.file.write(save_to, task.name, example.name, scored[task.name])
            if config.quantize:
                scored = {task.name: task.file.quantize(scored[task.name]) for task in tasks}
            scorer.add(example.name, scored, example.truths)
            if index in kept:
                shown = {task.name: example.truths[task.name] for task in tasks}
                rows[index] = example._asdict() | {"truths": shown}
        metrics, rows = distributed.fold(_merge, (scorer.metrics(), rows))
    return Evaluation(scores_of(tasks, metrics), [rows[index] for index in sorted(rows)])


def _merge(part: tuple[dict, dict], other: tuple[dict, dict]) -> tuple[dict, dict]:
    """Metrics by task and rows by index, of the images of both."""
    for name, metric in part[0].items():
        metric.merge(other[0][name])
    return part[0], part[1] | other[1]


def evaluate_folder(
    root: pathlib.Path,
    source: Source,
    tasks: Sequence[Task],
    *,
    resize: bool = False,
    num_workers: int | None = None,
    notes: pathlib.Path | None = None,
) -> Scores:
    """Scores the predictions in a folder.

    Args:
      root: TASK/NAME.png, .mat or .npy.
      source: the split.
      tasks: records of the tasks; each has a folder.
      resize: resizes predictions of another size; otherwise they are an error.
      num_workers: threads that read and processes that count edges; None is one a core.
      notes: file that lets an interrupted evaluation go on, deleted at its end.

    Raises:
      ValueError: predictions are missing, too many, unreadable, of another size or impossible, with
        a list of them.
    """
    folder = PredictionFolder(root, tasks)
    known = names(source)
    lacking = folder.unpredicted(known)
    unsure = source.select([i for i, name in enumerate(known) if name in lacking])
    labelled = {
        (example.name, task.name)
        for example in truths(unsure, tasks, num_workers)
        for task in tasks
        if is_labelled(task, example.truths)
    }
    folder.check(known, lambda name, task: (name, task) in labelled)
    with _scorer(tasks, source.length, num_workers, notes) as scorer:
        examples = truths(source, tasks, num_workers)
        for example in _tracked(examples, source.name, source.length):
            predictions = folder.read(example.name, example.size, resize)
            if folder.sound:
                try:
                    scorer.add(example.name, predictions, example.truths)
                except ValueError as error:
                    folder.add_problem(error)
        folder.raise_problems()
        return scorer.scores()


@contextlib.contextmanager
def _scorer(
    tasks: Sequence[Task], num_images: int, num_workers: int | None, notes: pathlib.Path | None
) -> Iterator[Scorer]:
    workers = min(count_threads(num_workers), max(1, num_images // IMAGES_PER_WORKER))
    with Counter(workers, notes) as counter:
        yield Scorer(tasks, counter)


def _tracked(examples: Iterator, name: str, total: int) -> Iterator:
    return track(examples, f"Evaluating {name}", total=total, console=CONSOLE)


def write_results(path: pathlib.Path, scores: Scores, about: Mapping[str, Any]) -> None:
    """Writes results.json: `about`, then results and details; numbers that are undefined as null.

    Args:
      path: of the file.
      scores: of the split.
      about: what the scores are of, as plain values.
    """
    write_json(path, {**about, "results": scores.results, "details": scores.details})


def write_json(path: pathlib.Path, document: Mapping[str, Any]) -> None:
    """Writes plain values to a file, all or nothing; numbers that are undefined as null."""
    text = json.dumps(_without_nan(document), indent=2, allow_nan=False)
    storage.write_text(path, text + "\n")


def _without_nan(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def _score_command(args: argparse.Namespace) -> None:
    """Does what the command line asks for."""
    root, output = pathlib.Path(args.predictions), args.output
    output = pathlib.Path(output) if output else root / "results.json"
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
        config.applied_to(tasks),
        resize=args.resize,
        num_workers=args.num_workers,
        notes=output.with_suffix(".unfinished"),
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
