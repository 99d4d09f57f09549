"""From a source to batches.

Order and augmentation are pure functions of (seed, epoch, example): every epoch has its own
permutation of the examples, which are read by index. So batches do not depend on the number of
threads or processes, and training that goes on at step N starts reading there, with no replay.
"""

import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from astmt_jax.config import AugmentationConfig
from astmt_jax.pipeline import augment, truths
from astmt_jax.pipeline.geometries import label_form
from astmt_jax.pipeline.iteration import iterate, python_call
from astmt_jax.pipeline.settings import InputSettings
from astmt_jax.pipeline.source import Part, Source
from astmt_jax.runtime.quiet_tensorflow import tf
from astmt_jax.runtime.workers import count_threads
from astmt_jax.tasks.task import Task

Batch = dict[str, Any]


class Share(NamedTuple):
    """One process's part of every batch: a contiguous slice of its rows.

    Attributes:
      index: number of the process.
      count: number of processes; divides every batch.
    """

    index: int = 0
    count: int = 1

    @classmethod
    def of_this_process(cls) -> "Share":
        """That of the process among those that JAX knows."""
        return cls(jax.process_index(), jax.process_count())

    def size(self, batch_size: int) -> int:
        """Number of rows of a batch of all processes; ValueError if they do not divide it."""
        rows, rest = divmod(batch_size, self.count)
        if rest or not rows:
            raise ValueError(
                f"batch_size is {batch_size}; it must be a positive multiple of the number of"
                f" processes, {self.count}"
            )
        return rows

    def of(self, batch: np.ndarray, batch_size: int) -> np.ndarray:
        """These rows of a batch (N,), N at most batch_size: the last may have fewer, or none."""
        rows = self.size(batch_size)
        return batch[self.index * rows : (self.index + 1) * rows]


ALONE = Share()
"""Every batch as a whole."""


@dataclasses.dataclass(frozen=True)
class EvalBatch:
    """Images for the network, and the truth at the images' own sizes on the host.

    The arrays hold this process's share of the batch, padded; the lists only what is real.

    Attributes:
      images: float32 (B, S, S, 3), normalised; padding is 0.
      names: unique names of the examples.
      originals: the images as stored, uint8 (H, W, 3).
      truths: per example, label name to map (H, W, c) after the ignore rules, including the maps
        that metrics compare with (`Task.truth`).
    """

    images: np.ndarray
    names: list[str]
    originals: list[np.ndarray]
    truths: list[dict[str, np.ndarray]]


def steps_per_epoch(source: Source, batch_size: int) -> int:
    """Number of full batches in an epoch; each drops other examples that are left over.

    That of the largest part of the source, unless the source says otherwise; others are gone
    through more often.

    Raises:
      ValueError: there is not even one.
    """
    parts = source.drawn_from()
    smallest = min(parts, key=lambda part: part.groups)
    if smallest.groups == 0 < len(smallest.indices):
        raise ValueError(
            f"a group of a batch takes {smallest.images} of the {len(smallest.indices)} examples "
            f"of {smallest.name}; it can take so many at most"
        )
    if not 1 <= batch_size <= smallest.groups:
        most = (
            f"{smallest.groups}, the number of examples of {smallest.name}"
            if smallest.images == 1
            else f"{smallest.groups}, as it takes {smallest.images} of the {len(smallest.indices)} "
            f"examples of {smallest.name} for each group"
        )
        raise ValueError(f"batch_size is {batch_size}; it must be 1 to {most}")
    groups = source.groups or max(part.groups for part in parts)
    return max(1, groups // batch_size)


def train_batches(
    source: Source,
    tasks: Sequence[Task],
    settings: InputSettings,
    augmentation: AugmentationConfig,
    *,
    seed: int,
    steps: range,
    share: Share = ALONE,
) -> Iterator[Batch]:
    """Iterates over the training batches of some steps.

    Args:
      source: the examples.
      tasks: whose labels to deliver.
      settings: of the batches.
      augmentation: distribution of flips, rotations and zooms.
      seed: at least 0; decides on order and augmentation.
      steps: which ones of the whole training, from 0 on.
      share: of every batch.

    Returns:
      An iterator over dicts of NumPy arrays: `image` float32 (B, S, S, 3), normalised, and
      `labels`, by task name: (B, S, S, c), uint8 for classes, float32 for values, `IGNORE` where
      unknown. Where the source has parts, B is `batch_size` groups (see `layout.Layout`).

    Raises:
      ValueError: the source lacks a label, or an argument is out of its range.
    """
    batch_size, parts = settings.batch_size, source.drawn_from()
    steps_per_epoch(source, batch_size)
    rows = share.size(batch_size) * sum(part.images for part in parts)
    if seed < 0:
        raise ValueError(f"seed is {seed}; it must be at least 0")

    def locate(step: int) -> tuple[np.ndarray, np.ndarray]:
        drawn = [_drawn(part, i, seed, step, batch_size) for i, part in enumerate(parts)]
        epochs, indices = (
            share.of(np.concatenate(columns, axis=1), batch_size).ravel()
            for columns in zip(*drawn, strict=True)
        )
        return epochs, indices

    threads = count_threads(settings.num_threads)
    process = _training_example(source, tasks, settings, augmentation, seed)
    dataset = source.records(steps, locate)
    # Twice the threads: none has to wait until the batches before its own are complete.
    dataset = dataset.map(process, num_parallel_calls=2 * threads)
    dataset = dataset.batch(rows, drop_remainder=True, num_parallel_calls=threads)
    return iterate(dataset.prefetch(2), len(steps), threads)


def describe_batch(tasks: Sequence[Task], batch_size: int, image_size: int) -> dict[str, Any]:
    """Shapes and dtypes of the batches that `train_batches` yields."""

    def of(channels: int, dtype) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct((batch_size, image_size, image_size, channels), dtype)

    labels = {task.name: of(*label_form(task.geometry, task.channels)) for task in tasks}
    return {"image": of(3, np.float32), "labels": labels}


def eval_batches(
    source: Source, tasks: Sequence[Task], settings: InputSettings, share: Share = ALONE
) -> Iterator[EvalBatch]:
    """Iterates over all examples in order, each exactly once; the last batch is padded.

    Arguments and errors as in `train_batches`. Every process gets the same number of batches.
    """
    shares = eval_shares(source.length, settings.batch_size, share)

    def locate(number: int) -> tuple[np.ndarray]:
        return (shares[number],)

    threads = count_threads(settings.num_threads)
    process = _evaluation_example(source, tasks, settings)
    dataset = source.records(range(len(shares)), locate)
    dataset = dataset.map(process, num_parallel_calls=threads)
    examples = iterate(dataset.prefetch(threads), sum(map(len, shares)), threads)
    rows = share.size(settings.batch_size)

    def batches() -> Iterator[EvalBatch]:
        for indices in shares:
            yield _padded([next(examples) for _ in indices], rows, settings.image_size)

    return batches()


def eval_shares(length: int, batch_size: int, share: Share) -> list[np.ndarray]:
    """Indices of this process's examples in each batch of `eval_batches`; the last may be empty.

    Raises:
      ValueError: the processes do not divide the batch.
    """
    share.size(batch_size)
    return [
        share.of(np.arange(start, min(start + batch_size, length)), batch_size)
        for start in range(0, length, batch_size)
    ]


def _training_example(
    source: Source,
    tasks: Sequence[Task],
    settings: InputSettings,
    augmentation: AugmentationConfig,
    seed: int,
) -> Callable[[tf.Tensor, tf.Tensor, tf.Tensor], Batch]:
    """Returns the function from (epoch, index, record) to one element of a training batch."""
    geometries = {task.name: task.geometry for task in tasks}
    parse = source.parser(("image", *geometries), packed=True)
    forms = source.forms(geometries)
    size = settings.image_size

    def prepare(epoch: np.ndarray, index: np.ndarray, record: bytes) -> list[np.ndarray]:
        random = _random(seed, "augmentation", int(epoch), int(index))
        augmented = augment.augmented(
            parse(record), geometries, size, settings.normalize, augmentation, random
        )
        return list(augmented.values())

    def process(epoch: tf.Tensor, index: tf.Tensor, record: tf.Tensor) -> Batch:
        types = [np.float32, *(dtype for dtype, _ in forms.values())]
        image, *labels = python_call(prepare, [epoch, index, record], types)
        image.set_shape((size, size, 3))
        for label, (_, channels) in zip(labels, forms.values(), strict=True):
            label.set_shape((size, size, channels))
        return {"image": image, "labels": dict(zip(geometries, labels, strict=True))}

    return process


def _evaluation_example(
    source: Source, tasks: Sequence[Task], settings: InputSettings
) -> Callable[[tf.Tensor, tf.Tensor], dict[str, Any]]:
    """Returns the function from (index, record) to one row of an evaluation batch."""
    read = truths.reader(source, tasks)
    normalized = augment.normalization(settings.normalize)

    def prepare(image: np.ndarray) -> np.ndarray:
        return normalized(augment.resize_image(image, settings.image_size, settings.resize))

    def process(index: tf.Tensor, record: tf.Tensor) -> dict[str, Any]:
        del index
        example = read(record)
        image = python_call(prepare, [example["original"]], tf.float32)
        return {"image": image, **example}

    return process


def _padded(rows: list[Mapping[str, Any]], size: int, image_size: int) -> EvalBatch:
    images = np.zeros((size, image_size, image_size, 3), np.float32)
    for position, row in enumerate(rows):
        images[position] = row["image"]
    return EvalBatch(
        images=images,
        names=[row["name"].decode() for row in rows],
        originals=[row["original"] for row in rows],
        truths=[row["truth"] for row in rows],
    )


def _drawn(
    part: Part, number: int, seed: int, step: int, batch_size: int
) -> tuple[np.ndarray, np.ndarray]:
    """The epochs and indices (batch_size, part.images) of a part's examples in a step's groups."""
    epoch, batch = divmod(step, part.groups // batch_size)
    order = _epoch_order(len(part.indices), seed, epoch, number)
    count = batch_size * part.images
    indices = part.indices[order[batch * count :][:count]].reshape(batch_size, part.images)
    return np.full_like(indices, epoch), indices


STREAMS = {"order": 1, "augmentation": 2}
"""Independent streams of random numbers that one seed gives."""


def _random(seed: int, stream: str, epoch: int, index: int = 0) -> np.random.Generator:
    return np.random.default_rng((seed, STREAMS[stream], int(epoch), int(index)))


@functools.lru_cache(maxsize=64)
def _epoch_order(length: int, seed: int, epoch: int, part: int) -> np.ndarray:
    return _random(seed, "order", epoch, part).permutation(length)
