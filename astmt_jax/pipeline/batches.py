"""From a source to batches on the devices.

Order and augmentation are pure functions of (seed, epoch, example): every epoch has its own
permutation of the examples, which are read by index. So batches do not depend on the number of
threads or processes, and training that goes on at step N starts reading there, with no replay.
"""

import collections
import dataclasses
import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import cv2
import jax
import numpy as np
from jax.experimental import multihost_utils

from astmt_jax.config import NORMALIZATIONS, AugmentationConfig
from astmt_jax.pipeline import augment, truths
from astmt_jax.pipeline.source import Source, count_threads, iterate
from astmt_jax.runtime.quiet_tensorflow import tf
from astmt_jax.tasks.task import Task

Batch = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class EvalBatch:
    """Images for the network, and the truth at the images' own sizes on the host.

    The arrays hold this process's share of the batch, padded; the lists only what is real.

    Attributes:
      images: float32 (B, S, S, 3), normalised; padding is 0.
      mask: bool (B,), False for padding.
      sizes: int32 (B, 2), height and width of the original images; padding is 0.
      names: unique names of the examples.
      originals: the images as stored, uint8 (H, W, 3).
      truths: per example, label name to map (H, W, c) after the ignore rules, including the maps
        that metrics compare with (`Task.truth`).
    """

    images: np.ndarray
    mask: np.ndarray
    sizes: np.ndarray
    names: list[str]
    originals: list[np.ndarray]
    truths: list[dict[str, np.ndarray]]


def steps_per_epoch(source: Source, batch_size: int) -> int:
    """Number of full batches in the source; each epoch drops other examples that are left over.

    Raises:
      ValueError: there is not even one.
    """
    if not 1 <= batch_size <= source.length:
        raise ValueError(
            f"batch_size is {batch_size}; it must be 1 to {source.length}, the number of examples"
            f" of {source.name}"
        )
    return source.length // batch_size


def train_batches(
    source: Source,
    tasks: Sequence[Task],
    *,
    batch_size: int,
    image_size: int,
    augmentation: AugmentationConfig,
    normalize: str,
    seed: int,
    num_steps: int,
    start_step: int = 0,
    process_index: int = 0,
    process_count: int = 1,
    num_threads: int | None = None,
) -> Iterator[Batch]:
    """Iterates over the training batches of steps start_step to num_steps - 1.

    Args:
      source: the examples.
      tasks: whose labels to deliver.
      batch_size: examples in a batch, all processes together.
      image_size: side S of the square images and labels.
      augmentation: distribution of flips, rotations and zooms.
      normalize: key of `NORMALIZATIONS`.
      seed: at least 0; decides on order and augmentation.
      num_steps: steps of the whole training.
      start_step: steps that lie behind.
      process_index: number of this process; it gets its contiguous slice of every batch.
      process_count: number of processes; divides batch_size.
      num_threads: of the input pipeline; None is one per available core.

    Returns:
      An iterator over dicts of NumPy arrays: `image` float32 (B, S, S, 3), normalised, and
      `labels`, by task name: (B, S, S, c), uint8 for classes, float32 for values, `IGNORE` where
      unknown.

    Raises:
      ValueError: the source lacks a label, or an argument is out of its range.
    """
    per_epoch = steps_per_epoch(source, batch_size)
    share = _share(batch_size, process_index, process_count)
    if seed < 0:
        raise ValueError(f"seed is {seed}; it must be at least 0")

    def locate(step: int) -> tuple[np.ndarray, np.ndarray]:
        epoch, batch = divmod(step, per_epoch)
        indices = _epoch_order(source.length, seed, epoch)[batch * batch_size :][share]
        return np.full_like(indices, epoch), indices

    threads = count_threads(num_threads)
    process = _training_example(source, tasks, image_size, augmentation, normalize, seed)
    dataset = source.records(range(start_step, num_steps), locate)
    # Twice the threads: none has to wait until the batches before its own are complete.
    dataset = dataset.map(process, num_parallel_calls=2 * threads)
    dataset = dataset.batch(
        share.stop - share.start, drop_remainder=True, num_parallel_calls=threads
    )
    return iterate(dataset.prefetch(2), threads)


def eval_batches(
    source: Source,
    tasks: Sequence[Task],
    *,
    batch_size: int,
    image_size: int,
    normalize: str,
    resize: str = "linear",
    process_index: int = 0,
    process_count: int = 1,
    num_threads: int | None = None,
) -> Iterator[EvalBatch]:
    """Iterates over all examples in order, each exactly once; the last batch is padded.

    Arguments and errors as in `train_batches`; `resize` is a key of `augment.RESIZES`. Every
    process gets the same number of batches.
    """
    shares = eval_shares(source.length, batch_size, process_index, process_count)

    def locate(number: int) -> tuple[np.ndarray]:
        return (shares[number],)

    threads = count_threads(num_threads)
    process = _evaluation_example(source, tasks, image_size, normalize, resize)
    dataset = source.records(range(len(shares)), locate)
    dataset = dataset.map(process, num_parallel_calls=threads)
    examples = iterate(dataset.prefetch(threads), threads)

    def batches() -> Iterator[EvalBatch]:
        for share in shares:
            yield _padded([next(examples) for _ in share], batch_size // process_count, image_size)

    return batches()


def eval_shares(
    length: int, batch_size: int, process_index: int, process_count: int
) -> list[np.ndarray]:
    """Indices of this process's examples in each batch of `eval_batches`; the last may be empty.

    Raises:
      ValueError: the processes do not divide the batch.
    """
    share = _share(batch_size, process_index, process_count)
    return [
        np.arange(start, min(start + batch_size, length))[share]
        for start in range(0, length, batch_size)
    ]


def to_global(batch: Any, sharding: jax.sharding.NamedSharding) -> Any:
    """Puts every process's share of a batch (a tree of arrays (B, ...)) together on the devices.

    Args:
      batch: this process's share, in host memory.
      sharding: splits the leading axis, over the mesh axis 'data'.

    Returns:
      The same tree of global arrays; their leading axis is that of all processes together.
    """
    return jax.tree.map(
        lambda array: jax.make_array_from_process_local_data(sharding, array), batch
    )


def to_local(outputs: Any, sharding: jax.sharding.NamedSharding) -> Any:
    """The inverse of `to_global`: this process's rows of a tree of global arrays, on the host."""
    local = multihost_utils.global_array_to_host_local_array(outputs, sharding.mesh, sharding.spec)
    return jax.device_get(local)


def prefetch(
    batches: Iterable[Any], sharding: jax.sharding.NamedSharding, lookahead: int = 2
) -> Iterator[Any]:
    """Yields `to_global` of every batch, with the next ones already on their way to the devices."""
    waiting = collections.deque()
    for batch in batches:
        waiting.append(to_global(batch, sharding))
        if len(waiting) > lookahead:
            yield waiting.popleft()
    yield from waiting


def _training_example(
    source: Source,
    tasks: Sequence[Task],
    image_size: int,
    augmentation: AugmentationConfig,
    normalize: str,
    seed: int,
) -> Callable[[tf.Tensor, tf.Tensor, tf.Tensor], Batch]:
    """Returns the function from (epoch, index, record) to one element of a training batch."""
    geometries = {task.name: task.geometry for task in tasks}
    parse = source.parser(("image", *geometries), packed=True)
    forms = source.forms(geometries)
    normalization = _normalization(normalize)

    def prepare(epoch: np.ndarray, index: np.ndarray, record: bytes) -> list[np.ndarray]:
        motion = augment.draw_motion(augmentation, _random(seed, "augmentation", epoch, index))
        moved = augment.move(parse(record), geometries, image_size, motion, normalization)
        return list(moved.values())

    def process(epoch: tf.Tensor, index: tf.Tensor, record: tf.Tensor) -> Batch:
        types = [np.float32, *(dtype for dtype, _ in forms.values())]
        image, *labels = tf.numpy_function(prepare, [epoch, index, record], types, stateful=False)
        image.set_shape((image_size, image_size, 3))
        for label, (_, channels) in zip(labels, forms.values(), strict=True):
            label.set_shape((image_size, image_size, channels))
        return {"image": image, "labels": dict(zip(geometries, labels, strict=True))}

    return process


def _evaluation_example(
    source: Source, tasks: Sequence[Task], image_size: int, normalize: str, resize: str
) -> Callable[[tf.Tensor, tf.Tensor], dict[str, Any]]:
    """Returns the function from (index, record) to one row of an evaluation batch."""
    read = truths.reader(source, tasks)
    normalization = _normalization(normalize)

    def prepare(image: np.ndarray) -> np.ndarray:
        return cv2.transform(augment.resize_image(image, image_size, resize), normalization)

    def process(index: tf.Tensor, record: tf.Tensor) -> dict[str, Any]:
        del index
        example = read(record)
        image = tf.numpy_function(prepare, [example["original"]], tf.float32, stateful=False)
        return {"image": image, **example}

    return process


def _padded(rows: list[Mapping[str, Any]], size: int, image_size: int) -> EvalBatch:
    images = np.zeros((size, image_size, image_size, 3), np.float32)
    sizes = np.zeros((size, 2), np.int32)
    for position, row in enumerate(rows):
        images[position] = row["image"]
        sizes[position] = row["original"].shape[:2]
    return EvalBatch(
        images=images,
        mask=np.arange(size) < len(rows),
        sizes=sizes,
        names=[row["name"].decode() for row in rows],
        originals=[row["original"] for row in rows],
        truths=[row["truth"] for row in rows],
    )


def _share(batch_size: int, process_index: int, process_count: int) -> slice:
    """This process's rows of a global batch."""
    rows, rest = divmod(batch_size, process_count)
    if rest or not rows:
        raise ValueError(
            f"batch_size is {batch_size}; it must be a positive multiple of the number of"
            f" processes, {process_count}"
        )
    return slice(process_index * rows, (process_index + 1) * rows)


def _normalization(name: str) -> np.ndarray:
    """Float64 (3, 4): the affine map of RGB that the configuration's `normalize` names."""
    if name not in NORMALIZATIONS:
        raise ValueError(f"normalize is {name!r}; it must be one of {sorted(NORMALIZATIONS)}")
    mean, deviation = NORMALIZATIONS[name]
    return np.column_stack([np.diag(1 / deviation), -mean / deviation])


STREAMS = {"order": 1, "augmentation": 2}
"""Independent streams of random numbers that one seed gives."""


def _random(seed: int, stream: str, epoch: int, index: int = 0) -> np.random.Generator:
    return np.random.default_rng((seed, STREAMS[stream], int(epoch), int(index)))


@functools.lru_cache(maxsize=4)
def _epoch_order(length: int, seed: int, epoch: int) -> np.ndarray:
    return _random(seed, "order", epoch).permutation(length)
