"""Training: from an experiment and its data to a trained network."""
