"""Datasets: one record each, how they are prepared and stored, and the procedural `scenes`."""
