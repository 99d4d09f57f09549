"""Questions that are asked about the label of every example before training starts."""

from collections.abc import Callable, Iterator

import numpy as np

from astmt_jax.labels import IGNORE
from astmt_jax.pipeline.geometries import mark_ignored
from astmt_jax.pipeline.iteration import iterate, python_call
from astmt_jax.pipeline.source import Source
from astmt_jax.runtime.console import CONSOLE
from astmt_jax.runtime.quiet_tensorflow import tf
from astmt_jax.runtime.workers import count_threads
from astmt_jax.tasks.task import Task


def labelled(source: Source, task: Task, num_threads: int | None = None) -> Source:
    """Returns the source without the examples that have no label for the task.

    A network for human parts alone learns from images with people only. Reads this one label of
    every example.

    Raises:
      ValueError: no example is labelled.
    """
    geometries = {task.name: task.geometry}

    def has_label(label: np.ndarray) -> np.ndarray:
        return (mark_ignored({task.name: label}, geometries)[task.name] != IGNORE).any()

    answers = _survey(source, task, has_label, num_threads)
    kept = [index for index, is_labelled in answers if is_labelled]
    if not kept:
        raise ValueError(f"{source.name} has no example with a label for {task.name}")
    return source.select(kept)


def check_classes(source: Source, task: Task, num_threads: int | None = None) -> None:
    """Checks that all class ids in a task's maps have names; reads this label of every example.

    Says which names have no pixel.

    Raises:
      ValueError: an id is neither among `task.class_names` nor 255; names an example that has it.
    """
    count = len(task.class_names)
    occurs = np.zeros(256, bool)

    def is_known(label: np.ndarray) -> np.ndarray:
        occurs[label.ravel()] = True
        return ((label < count) | (label == IGNORE)).all()

    for index, known in _survey(source, task, is_known, num_threads):
        if not known:
            example = source.parser((task.name, "name"))(source.read([index])[0])
            ids = np.unique(example[task.name])
            (unknown, *_) = ids[(ids >= count) & (ids != IGNORE)]
            raise ValueError(
                f"The {task.name} of {example['name'].decode()} in {source.name} holds class "
                f"{unknown}, but the classes are 0..{count - 1} ({', '.join(task.class_names)}), "
                f"or {IGNORE} where unknown."
            )
    lacking = [name for name, found in zip(task.class_names, occurs, strict=False) if not found]
    if lacking:
        names = ", ".join(lacking)
        CONSOLE.print(f"Warning: no pixel of {task.name} in {source.name} is of {names}.")


def _survey(
    source: Source,
    task: Task,
    question: Callable[[np.ndarray], np.ndarray],
    num_threads: int | None,
) -> Iterator[tuple[int, bool]]:
    """The index of every example, and the answer to a question about its label for the task."""
    parse = source.parser((task.name,))

    def answer(record: bytes) -> np.ndarray:
        return question(parse(record)[task.name])

    def process(index: tf.Tensor, record: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return index, python_call(answer, [record], tf.bool)

    threads = count_threads(num_threads)
    dataset = source.in_order().map(process, num_parallel_calls=threads)
    for index, answered in iterate(dataset, source.length, threads):
        yield int(index), bool(answered)
