"""What ends training and evaluation with a sentence for whoever started them."""

from astmt_jax.evaluation.counting import ScoringError
from astmt_jax.pipeline.examples import SourceError
from astmt_jax.training.checkpoint import CheckpointError
from astmt_jax.training.criterion import SelectionError
from astmt_jax.training.trackers import TrackerError
from astmt_jax.weights.checks import WeightsError

TRAINING_ERRORS = (
    WeightsError,
    CheckpointError,
    SourceError,
    ScoringError,
    SelectionError,
    TrackerError,
    FloatingPointError,
)
