"""Weights of other programs, to and from this one's variables."""
