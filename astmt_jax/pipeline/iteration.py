"""How TensorFlow runs the input pipeline: what it may use, its threads and their end."""

import atexit
import contextlib
import functools
import itertools
import weakref
from collections.abc import Callable, Generator, Sequence
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


_raised: dict[str, Exception] = {}
_numbers = itertools.count()


def python_call(function: Callable[..., Any], inputs: Sequence[tf.Tensor], types: Any) -> Any:
    """`tf.numpy_function` of a pure function, whose errors `iterate` raises as they are.

    TensorFlow would make each another error, with a stack trace as its message.
    """

    def call(*arguments: Any) -> Any:
        try:
            return function(*arguments)
        except Exception as error:
            name = f"<error {next(_numbers)} of an input pipeline>"
            _raised[name] = error
            raise RuntimeError(name) from None

    return tf.numpy_function(call, inputs, types, stateful=False)


_unfinished: weakref.WeakSet[Generator] = weakref.WeakSet()


def iterate(dataset: tf.data.Dataset, count: int, threads: int) -> Generator[Any, None, None]:
    """Iterates in a fixed order over a dataset's elements as NumPy.

    Errors of functions that are called by `python_call` are raised as they are.

    Args:
      dataset: what to iterate over.
      count: how many elements it has; TensorFlow is not asked for one more.
      threads: how many compute them.
    """
    limit_libraries()
    options = tf.data.Options()
    options.deterministic = True
    options.threading.private_threadpool_size = threads
    options.threading.max_intra_op_parallelism = 1
    # Nothing here is tuned, and what would tune it makes the end of every iterator wait for it: a
    # third of a second, and up to a minute beside other work.
    options.autotune.enabled = False

    def taken() -> Generator[Any, None, None]:
        try:
            elements = dataset.with_options(options).as_numpy_iterator()
            yield from itertools.islice(elements, count)
        except tf.errors.OpError as error:
            for name in [name for name in _raised if name in str(error)]:
                raise _raised.pop(name) from None
            raise

    generator = taken()
    _unfinished.add(generator)
    return generator


@atexit.register
def _stop() -> None:
    """Ends the threads of unfinished iterators: they run Python code, so it could not shut down."""
    for generator in list(_unfinished):
        generator.close()
