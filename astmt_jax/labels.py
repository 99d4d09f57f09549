"""Conventions that every label map of every task obeys."""

IGNORE = 255
"""Value of a label element that no loss and no metric counts, for every task and dtype."""
