"""What all metrics ask of one image: a prediction and a ground truth of the same pixels."""

import numpy as np

from astmt_jax.labels import IGNORE


def single_channel(prediction: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both maps as (H, W); either may come as (H, W, 1).

    Raises:
      ValueError: they are not single-channel maps of the same size.
    """
    prediction, truth = (_drop_channel(np.asarray(x)) for x in (prediction, truth))
    if prediction.ndim != 2 or prediction.shape != truth.shape:
        raise ValueError(_mismatch(prediction, truth, "(H, W)"))
    return prediction, truth


def three_channels(prediction: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both maps as float64 (H, W, 3).

    Raises:
      ValueError: they are not three-channel maps of the same size.
    """
    prediction, truth = (np.asarray(x, np.float64) for x in (prediction, truth))
    if prediction.ndim != 3 or prediction.shape[-1] != 3 or prediction.shape != truth.shape:
        raise ValueError(_mismatch(prediction, truth, "(H, W, 3)"))
    return prediction, truth


def labelled(truth: np.ndarray) -> np.ndarray:
    """bool (H, W): pixels of a (H, W) or (H, W, C) truth without 255 (ignore)."""
    known = truth != IGNORE
    return known.all(axis=-1) if truth.ndim == 3 else known


def finite(predicted: np.ndarray) -> np.ndarray:
    """The predicted values as float64.

    Raises:
      ValueError: one of them is NaN or infinite.
    """
    predicted = predicted.astype(np.float64)
    wrong = predicted[~np.isfinite(predicted)]
    if wrong.size:
        raise ValueError(
            f"prediction holds {wrong[0]} at {wrong.size} labelled places; all must be finite"
        )
    return predicted


def _drop_channel(values: np.ndarray) -> np.ndarray:
    return values[..., 0] if values.ndim == 3 and values.shape[-1] == 1 else values


def _mismatch(prediction: np.ndarray, truth: np.ndarray, expected: str) -> str:
    return (
        f"prediction has shape {prediction.shape} and ground truth {truth.shape}; "
        f"both must be {expected} of the same size"
    )
