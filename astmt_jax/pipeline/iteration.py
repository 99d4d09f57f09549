"""How TensorFlow runs the input pipeline: what it may use, its threads and their end."""

import atexit
import contextlib
import functools
import weakref
from collections.abc import Generator
from typing import Any

import cv2

from astmt_jax.runtime.quiet_tensorflow import tf


@functools.cache
def limit_libraries() -> None:
    """Keeps TensorFlow off the accelerators and OpenCV to one thread, in all of this process.

    To be called before the first dataset is made, as TensorFlow takes its devices then.
    """
    with contextlib.suppress(RuntimeError):  # the program uses TensorFlow itself, and had to choose
        tf.config.set_visible_devices([], "GPU")  # accelerators belong to JAX alone
    cv2.setNumThreads(1)  # examples are processed in parallel already


_unfinished: weakref.WeakSet[Generator] = weakref.WeakSet()


def iterate(dataset: tf.data.Dataset, threads: int) -> Generator[Any, None, None]:
    """Iterates in a fixed order over a dataset's elements as NumPy, computed by so many threads."""
    limit_libraries()
    options = tf.data.Options()
    options.deterministic = True
    options.threading.private_threadpool_size = threads
    options.threading.max_intra_op_parallelism = 1

    def elements() -> Generator[Any, None, None]:
        yield from dataset.with_options(options).as_numpy_iterator()

    generator = elements()
    _unfinished.add(generator)
    return generator


@atexit.register
def _stop() -> None:
    """Ends the threads of unfinished iterators: they run Python code, so it could not shut down."""
    for generator in list(_unfinished):
        generator.close()
