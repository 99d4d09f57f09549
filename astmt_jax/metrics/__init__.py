"""Metrics: accumulators that take one image at a time."""
