"""CLU, which writes TensorBoard's files, without notices.

It loads Keras, which takes seconds: only what trains imports it.
"""

from astmt_jax.runtime import quiet_tensorflow  # noqa: F401  # first, to have TensorFlow say less

# isort: split
from clu import metric_writers, periodic_actions

__all__ = ["metric_writers", "periodic_actions"]
