"""Datasets: TFDS builders and the procedural `scenes`."""
