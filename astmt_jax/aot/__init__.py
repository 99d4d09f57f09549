"""Programs compiled for TPU pods on a machine that has none."""
