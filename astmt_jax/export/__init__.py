"""The command that exports a trained network for use without this project."""
