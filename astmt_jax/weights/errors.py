"""What goes wrong with other programs' weights."""


class WeightsError(ValueError):
    """Weights that cannot be read, or do not fit where they should go; the message says why."""
