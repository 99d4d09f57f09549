"""The tasks: all that tells one from another."""
