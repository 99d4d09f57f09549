"""Network modules: each is written for one task."""
