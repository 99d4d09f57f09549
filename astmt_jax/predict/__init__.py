"""The command that predicts photos."""
