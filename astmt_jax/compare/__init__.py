"""The paper's comparison: single-task networks, multi-task learning, ASTMT and its ablations."""
