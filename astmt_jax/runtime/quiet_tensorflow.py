"""TensorFlow and its datasets, without notices: whoever needs them imports them from here.

TensorFlow only reads data in this project: what it says about kernels that are not used helps
nobody, and it reads these variables when it is first imported. It also loads Keras where it finds
it, and with that scikit-learn, pandas and pyplot, which takes half as long again, for nothing.
"""

import contextlib
import os
import sys
from collections.abc import Generator

os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


@contextlib.contextmanager
def _not_found(module: str) -> Generator[None]:
    """Context in which a module seems not to be installed, unless it is loaded already."""
    if module in sys.modules:
        yield
        return
    sys.modules[module] = None  # ty: ignore[invalid-assignment]  # as `import` documents it
    try:
        yield
    finally:
        del sys.modules[module]


with _not_found("keras.src"):  # `tf.keras` still loads it for whoever asks
    import tensorflow as tf
    import tensorflow_datasets as tfds

__all__ = ["tf", "tfds"]
