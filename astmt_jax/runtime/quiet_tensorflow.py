"""TensorFlow and what is built on it, without notices: whoever needs them imports them from here.

TensorFlow only reads data in this project: what it says about kernels that are not used helps
nobody, and it reads these variables when it is first imported.
"""

import os

os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import tensorflow as tf
import tensorflow_datasets as tfds
from clu import metric_writers, periodic_actions

__all__ = ["metric_writers", "periodic_actions", "tf", "tfds"]
