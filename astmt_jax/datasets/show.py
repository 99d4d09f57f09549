"""Draws a contact sheet of a dataset: images and labels, as stored and after augmentation.

    python -m astmt_jax.datasets.show --dataset=pascal_context --split=train --output=sheet.png

Needs a prepared dataset (`scenes` prepares itself).
"""

import dataclasses
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from astmt_jax.command_line import arguments
from astmt_jax.command_line.errors import told
from astmt_jax.config import AugmentationConfig
from astmt_jax.datasets import registry
from astmt_jax.pictures import panels
from astmt_jax.pipeline.augment import augmented
from astmt_jax.pipeline.geometries import mark_ignored
from astmt_jax.pipeline.source import Source
from astmt_jax.records import build_record
from astmt_jax.runtime.console import CONSOLE
from astmt_jax.tasks.colormaps import ValueRange
from astmt_jax.tasks.task import Task

SHEET_FILE = pathlib.Path("sheet.png")


@dataclasses.dataclass(frozen=True)
class InputColumn:
    """The column of the images, beside those of the tasks."""

    name: str = "input"
    class_names: tuple[str, ...] = ()
    color_bar_unit: str | None = None

    def colorize(self, values: np.ndarray, value_range: ValueRange | None = None) -> np.ndarray:
        """The image as it is."""
        return values


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
      augmentation: distribution of what is done to the examples.
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
        random = np.random.default_rng((seed, index))
        moved = augmented(example, geometries, size, "none", augmentation, random)
        image, moved_image = example["image"], np.rint(moved.pop("image")).clip(0, 255)
        rows.append(
            {
                "image": image,
                "name": example["name"].decode(),
                "predictions": {"input": image} | mark_ignored(example, geometries),
                "truths": {"input": moved_image.astype(np.uint8)} | moved,
            }
        )
    return rows


def main(argv: list[str] | None = None) -> None:
    parser = arguments.parser("datasets.show", __doc__)
    add = parser.add_argument
    arguments.add_dataset(parser, registry.DATASETS)
    add("--split", help="split or slice (default: that of training)")
    arguments.add_tasks(parser, default="all that are stored")
    add(
        "--augmentation",
        type=arguments.options,
        default={},
        metavar="NAME=VALUE,...",
        help="fields of config.augmentation, such as rotation=0,scale=1.0+2.0 (default: its own)",
    )
    add("--count", type=int, default=4, help="number of images")
    add("--size", type=int, default=512, help="side of the augmented maps")
    add("--seed", type=int, default=0, help="of the augmentation")
    arguments.add_output(parser, f"the picture (default: {SHEET_FILE}, written anew)")
    args = arguments.parse(parser, argv)
    with told():
        output = arguments.output_file(args.output, args.overwrite, SHEET_FILE)
        dataset = registry.find(args.dataset)
        source = dataset.open(args.data_dir, args.options, args.split or dataset.train_split)
        stored = [name for name in dataset.tasks(args.options) if name in source.keys]
        tasks = registry.select_tasks(args.dataset, args.tasks or tuple(stored), args.options)
        augmentation = build_record(AugmentationConfig, args.augmentation, "augmentation")
        rows = sheet_rows(
            source, tasks, augmentation, count=args.count, size=args.size, seed=args.seed
        )
        output.parent.mkdir(parents=True, exist_ok=True)
        panels.draw(rows, [InputColumn(), *tasks], output, lines=("stored", "augmented"))
    CONSOLE.print(f"{len(rows)} of {source.length} images of {source.name}: {output}")


if __name__ == "__main__":
    main()
