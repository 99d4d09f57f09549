"""The truth that predictions are compared with, image by image."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from astmt_jax.pipeline.geometries import mark_ignored
from astmt_jax.pipeline.iteration import iterate, python_call
from astmt_jax.pipeline.source import Source
from astmt_jax.runtime.quiet_tensorflow import tf
from astmt_jax.runtime.workers import count_threads
from astmt_jax.tasks.task import Task


class Labelled(NamedTuple):
    """One image with its truths.

    Attributes:
      name: unique in the split.
      size: height and width.
      truths: label name -> map (H, W, c) after the ignore rules, those of `Task.truth` included.
    """

    name: str
    size: tuple[int, int]
    truths: dict[str, np.ndarray]


def reader(source: Source, tasks: Sequence[Task]) -> Callable[[tf.Tensor], dict]:
    """The function from a serialized example to tensors.

    It gives `name`, `original` (uint8 (H, W, 3)) and `truth`: label name to map (H, W, c) after the
    ignore rules, including the maps that metrics compare with (`Task.truth`).

    Raises:
      ValueError: the source lacks a label.
    """
    geometries = {task.name: task.geometry for task in tasks}
    keys = sorted({*geometries, *(task.truth for task in tasks)})
    parse = source.parser(("image", "name", *keys))
    forms = source.forms(keys)

    def prepare(record: bytes) -> list[np.ndarray]:
        example = parse(record)
        truth = {key: example[key] for key in keys}
        marked = truth | mark_ignored(truth, geometries)
        return [example["image"], example["name"], *marked.values()]

    def read(record: tf.Tensor) -> dict:
        types = [np.uint8, tf.string, *(dtype for dtype, _ in forms.values())]
        image, name, *maps = python_call(prepare, [record], types)
        return {"original": image, "name": name, "truth": dict(zip(keys, maps, strict=True))}

    return read


def truths(
    source: Source, tasks: Sequence[Task], num_threads: int | None = None
) -> Iterator[Labelled]:
    """Iterates over the truths of all examples in order; arguments and errors as in `reader`."""
    if not source.length:
        return
    threads = count_threads(num_threads)
    read = reader(source, tasks)
    dataset = source.in_order().map(lambda _, record: read(record), num_parallel_calls=threads)
    for row in iterate(dataset.prefetch(threads), source.length, threads):
        yield Labelled(row["name"].decode(), row["original"].shape[:2], row["truth"])


def names(source: Source) -> list[str]:
    """The names of all examples in order; nothing else of them is decoded."""
    parse = source.parser(["name"])
    records = iterate(source.in_order(), source.length, threads=1)
    return [parse(record)["name"].decode() for _, record in records]
