"""CLU, which writes TensorBoard's files, without notices and without Keras.

CLU imports TensorBoard's module of hyperparameters, and that Keras for a callback, which nobody
here needs, and with it scikit-learn, pandas and pyplot: a quarter of what a training needs to
start.
"""

import contextlib
import importlib
import sys
import types
from collections.abc import Generator

from astmt_jax.runtime import quiet_tensorflow  # noqa: F401  # first, to have TensorFlow say less

_CALLBACK = "tensorboard.plugins.hparams._keras"


@contextlib.contextmanager
def _without_callback() -> Generator[None]:
    """Context in which TensorBoard finds an empty module, unless it has found its own already.

    Whoever asks for the callback later gets it.
    """
    if _CALLBACK in sys.modules:
        yield
        return
    empty = sys.modules[_CALLBACK] = types.ModuleType(_CALLBACK)
    vars(empty)["Callback"] = None
    try:
        yield
    finally:
        del sys.modules[_CALLBACK]
    names = vars(sys.modules["tensorboard.plugins.hparams.api"])
    del names["KerasCallback"]
    names["__getattr__"] = _callback


def _callback(name: str) -> type:
    if name != "KerasCallback":
        raise AttributeError(f"module 'tensorboard.plugins.hparams.api' has no attribute {name!r}")
    return importlib.import_module(_CALLBACK).Callback


with _without_callback():
    from clu import metric_writers, periodic_actions
    from tensorboard.plugins.hparams import api as hparams_api

__all__ = ["hparams_api", "metric_writers", "periodic_actions"]
