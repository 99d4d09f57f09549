"""Attentive Single-Tasking of Multiple Tasks (ASTMT, CVPR 2019) in JAX and Flax."""
