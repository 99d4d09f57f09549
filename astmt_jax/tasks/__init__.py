"""The tasks: all that tells one from another, one module a task."""
