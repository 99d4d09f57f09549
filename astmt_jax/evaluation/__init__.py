"""Evaluation: what a network, or anybody's files, predict for a split, and how good that is."""
