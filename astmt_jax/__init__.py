"""Attentive Single-Tasking of Multiple Tasks (ASTMT, CVPR 2019) in JAX and Flax."""

import os

# TensorFlow only reads data here: its notices about kernels that we do not use help nobody.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
