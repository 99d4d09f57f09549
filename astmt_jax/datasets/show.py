"""Draws a contact sheet of a dataset: images and labels, as stored and after augmentation.

    python -m astmt_jax.datasets.show --dataset=pascal_context --split=train --output=sheet.png

Needs a prepared dataset (`scenes` prepares itself).
"""

import argparse
import ast
import pathlib
import sys
import types
from collections.abc import Sequence
from typing import Any

import numpy as np
from absl import logging

from astmt_jax.config import AugmentationConfig
from astmt_jax.datasets import registry
from astmt_jax.pictures import panels
from astmt_jax.pipeline import augment
from astmt_jax.pipeline.source import Source
from astmt_jax.runtime.console import CONSOLE
from astmt_jax.tasks.task import Task

INPUT = types.SimpleNamespace(
    name="input",
    class_names=(),
    color_bar_unit=None,
    colorize=lambda values, value_range=None: values,
)
"""The column of the images, beside those of the tasks."""


def sheet_rows(
    source: Source,
    tasks: Sequence[Task],
    augmentation: AugmentationConfig,
    *,
    count: int,
    size: int,
    seed: int,
) -> list[dict[str, Any]]:
    """Rows for `panels.draw`, evenly spaced over the split.

    Args:
      source: the split.
      tasks: whose labels to show.
      augmentation: distribution of motions.
      count: how many examples, at most.
      size: side of the augmented maps in pixels.
      seed: of the augmentation.

    Returns:
      One mapping an example: `image` and `name`, and image and labels by column, as stored under
      `predictions` and augmented under `truths`.
    """
    parse = source.parser(["image", "name", *(task.name for task in tasks)])
    geometries = {task.name: task.geometry for task in tasks}
    count = min(count, source.length)
    chosen = np.linspace(0, source.length, count, endpoint=False).astype(int).tolist()
    rows = []
    for index, record in zip(chosen, source.read(chosen), strict=True):
        example = parse(record)
        motion = augment.draw_motion(augmentation, np.random.default_rng((seed, index)))
        moved = augment.move(example, geometries, size, motion)
        image, moved_image = example["image"], np.rint(moved.pop("image")).astype(np.uint8)
        rows.append(
            {
                "image": image,
                "name": example["name"].decode(),
                "predictions": {"input": image} | augment.mark_ignored(example, geometries),
                "truths": {"input": moved_image} | moved,
            }
        )
    return rows


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--dataset", required=True, help=", ".join(registry.DATASETS))
    parser.add_argument("--split", help="split or slice (default: that of training)")
    parser.add_argument("--data_dir", default="data", help="where prepared datasets live")
    parser.add_argument(
        "--options", default="{}", help="of the dataset, such as \"{'classes': 40}\" for nyud"
    )
    parser.add_argument("--tasks", help="joined by + (default: all that are stored)")
    parser.add_argument("--count", type=int, default=4, help="number of images")
    parser.add_argument("--size", type=int, default=512, help="side of the augmented maps")
    parser.add_argument("--seed", type=int, default=0, help="of the augmentation")
    parser.add_argument("--output", default="sheet.png", help="the picture")
    args = parser.parse_args(argv)
    logging.set_verbosity(logging.ERROR)  # libraries' chatter would bury the progress
    try:
        options = ast.literal_eval(args.options)
        dataset = registry.find(args.dataset)
        data_dir = pathlib.Path(args.data_dir)
        source = dataset.open(data_dir, options, args.split or dataset.train_split)
        stored = [name for name in dataset.tasks(options) if name in source.features]
        names = tuple(args.tasks.split("+")) if args.tasks else tuple(stored)
        tasks = registry.select_tasks(args.dataset, names, options)
        rows = sheet_rows(
            source, tasks, AugmentationConfig(), count=args.count, size=args.size, seed=args.seed
        )
        panels.draw(rows, [INPUT, *tasks], args.output, lines=("stored", "augmented"))
    except (ValueError, OSError, SyntaxError) as error:
        sys.exit(f"Error: {error}")
    CONSOLE.print(f"{len(rows)} of {source.length} images of {source.name}: {args.output}")


if __name__ == "__main__":
    main()
