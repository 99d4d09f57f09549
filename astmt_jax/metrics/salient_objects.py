"""Measures of salient object detection, of each image and averaged over images.

F per image (beta^2 = 0.3, 256 levels), mean absolute error, S-measure (Fan et al., ICCV 2017),
E-measure (Fan et al., IJCAI 2018) and weighted F (Margolin et al., CVPR 2014), as the package
PySODMetrics computes them, which asks for older versions of NumPy, scikit-image and OpenCV than
this project has. What it knows nothing of are pixels without a label: here they are as what lies
beyond the border of an image.
"""

from typing import NamedTuple

import numpy as np

from astmt_jax.metrics.notation import MetricNotation, Notation, percent

LEVELS = 256
BETA_SQUARED = 0.3
EPS = np.spacing(1.0)

_KERNEL = np.exp(-(np.arange(-3, 4) ** 2) / (2 * 5**2))
_KERNEL /= _KERNEL.sum()

NOTATION: Notation = {
    "Smeasure": percent("S-measure"),
    "wFmeasure": percent("weighted F"),
    "MAE": MetricNotation("MAE", "↓", decimals=4),
    "maxFm": percent("max F per image, β²=0.3"),
    "meanFm": percent("mean F per image, β²=0.3"),
    "adpFm": percent("adaptive F per image, β²=0.3"),
    "maxEm": percent("max E-measure"),
    "meanEm": percent("mean E-measure"),
    "adpEm": percent("adaptive E-measure"),
}
"""The numbers, as that package's users call them. `max` and `mean` are over the 256 levels of the
curve, which is the mean over images; `adp` is at twice the mean prediction of each image."""


class _Image(NamedTuple):
    """One image without rows and columns that have no label.

    Attributes:
      prediction: float64 (H, W), 0..1, scaled so that it spans 0..1 where it is not constant.
      salient: bool (H, W).
      known: bool (H, W), at least one pixel; what is not known is not salient.
    """

    prediction: np.ndarray
    salient: np.ndarray
    known: np.ndarray


class SalientObjectMetric:
    """Measures of salient object detection, averaged over images.

    Predictions are scaled to 0..1 image by image first, as is usual for these measures; values
    within the rounding of float32 of a level of 8 bits are that level. Images of which nothing is
    known do not count.
    """

    def __init__(self):
        self._images = 0
        self._sums = dict.fromkeys(("Smeasure", "wFmeasure", "MAE", "adpFm", "adpEm"), 0.0)
        self._curves = {name: np.zeros(LEVELS) for name in ("Fm", "Em")}

    def add(self, prediction: np.ndarray, salient: np.ndarray, known: np.ndarray) -> None:
        """Counts one image.

        Args:
          prediction: (H, W) probabilities in 0..1.
          salient: bool (H, W).
          known: bool (H, W); False where there is no label.
        """
        if not known.any():
            return
        image = _prepared(prediction, salient, known)
        self._images += 1
        for name, value in _values(image).items():
            self._sums[name] += value
        for name, curve in _curves(image).items():
            self._curves[name] += curve

    def merge(self, other: "SalientObjectMetric") -> None:
        """Adds the images that another accumulator has seen."""
        self._images += other._images
        for name in self._sums:
            self._sums[name] += other._sums[name]
        for name in self._curves:
            self._curves[name] += other._curves[name]

    def curves(self) -> dict[str, np.ndarray]:
        """`Fm` and `Em`: mean over images at the levels 0..255; no image, no curve."""
        return {name: curve / self._images for name, curve in self._curves.items() if self._images}

    def result(self) -> dict[str, float]:
        """The numbers of `NOTATION`, in 0..1; NaN before the first image.

        Of an image of N pixels the E-measure reaches N / (N - 1), as it is defined.
        """
        if not self._images:
            return dict.fromkeys(NOTATION, float("nan"))
        found = {name: float(value / self._images) for name, value in self._sums.items()}
        for name, curve in self.curves().items():
            found |= {f"max{name}": float(curve.max()), f"mean{name}": float(curve.mean())}
        return {name: found[name] for name in NOTATION}


def _prepared(prediction: np.ndarray, salient: np.ndarray, known: np.ndarray) -> _Image:
    labelled = tuple(slice(places.min(), places.max() + 1) for places in np.nonzero(known))
    prediction, salient, known = (x[labelled] for x in (prediction, salient, known))
    scaled = 255 * prediction.astype(np.float64)
    nearest = np.rint(scaled)
    probabilities = np.where(abs(scaled - nearest) < 1e-4, nearest, scaled) / 255
    low, high = probabilities[known].min(), probabilities[known].max()
    if low < high:
        probabilities = np.clip((probabilities - low) / (high - low), 0, 1)
    return _Image(probabilities, salient & known, known)


def _values(image: _Image) -> dict[str, float]:
    """The measures that have no curve."""
    prediction, salient = image.prediction[image.known], image.salient[image.known]
    chosen = prediction >= min(2 * prediction.mean(), 1)
    hits, predicted = (np.array([np.count_nonzero(x)]) for x in (chosen & salient, chosen))
    actual = int(salient.sum())
    return {
        "Smeasure": _s_measure(image),
        "wFmeasure": _weighted_f(image),
        "MAE": float(abs(prediction - salient).mean()),
        "adpFm": float(_f_measure(hits, predicted, actual)[0]),
        "adpEm": float(_e_measure(hits, predicted, actual, salient.size)[0]),
    }


def _curves(image: _Image) -> dict[str, np.ndarray]:
    """F and E of the prediction in 8 bits, thresholded at each level."""
    levels = (255 * image.prediction[image.known]).astype(np.uint8)
    salient = image.salient[image.known]
    histograms = (np.bincount(x, minlength=LEVELS) for x in (levels[salient], levels))
    hits, predicted = (histogram[::-1].cumsum()[::-1] for histogram in histograms)
    actual = int(salient.sum())
    return {
        "Fm": _f_measure(hits, predicted, actual),
        "Em": _e_measure(hits, predicted, actual, salient.size),
    }


def _f_measure(hits: np.ndarray, predicted: np.ndarray, actual: int) -> np.ndarray:
    """F = (1 + b) hits / (b actual + predicted) for beta^2 = b; 0 without hits."""
    divisor = BETA_SQUARED * actual + predicted
    return (1 + BETA_SQUARED) * hits / np.maximum(divisor, 1e-9)


def _e_measure(hits: np.ndarray, predicted: np.ndarray, actual: int, size: int) -> np.ndarray:
    """E-measure from pixel counts.

    With a and b the prediction and the truth of a pixel less their means over the image, it is the
    sum of ((a + b)^2 / (a^2 + b^2))^2 / 4 over pixels, by their number less 1; where the truth is
    uniform, the pixels that agree with it take the place of the sum.
    """
    if actual in (0, size):
        total = predicted if actual else size - predicted
        return total / max(size - 1, 1)
    mean_prediction, mean_truth = predicted / size, actual / size
    counts = {
        (1, 1): hits,
        (1, 0): predicted - hits,
        (0, 1): actual - hits,
        (0, 0): size - predicted - actual + hits,
    }
    total = np.zeros(hits.shape)
    for (value, truth), count in counts.items():
        a, b = value - mean_prediction, truth - mean_truth
        total += count * ((a + b) ** 2 / (a**2 + b**2)) ** 2 / 4
    return total / max(size - 1, 1)


def _s_measure(image: _Image) -> float:
    """S-measure: half how alike objects and background are, half how alike the image's parts."""
    prediction, salient, known = image
    values, truth = prediction[known], salient[known]
    if not truth.any():
        return float(1 - values.mean())
    if truth.all():
        return float(values.mean())
    share = truth.mean()
    objects = share * _uniformity(values[truth]) + (1 - share) * _uniformity(1 - values[~truth])
    return float(max(0, (objects + _regions(image)) / 2))


def _uniformity(values: np.ndarray) -> float:
    """How close to 1 the values are, and how close to each other."""
    mean = values.mean()
    deviation = values.std(ddof=1) if values.size > 1 else 0.0
    return 2 * mean / (mean**2 + 1 + deviation)


def _regions(image: _Image) -> float:
    """Structural similarity of the four parts around the objects' centroid, by their area."""
    row, column = (int(np.mean(places).round()) + 1 for places in np.nonzero(image.salient))
    total = 0.0
    for rows in (slice(None, row), slice(row, None)):
        for columns in (slice(None, column), slice(column, None)):
            prediction, salient, known = (part[rows, columns] for part in image)
            if known.any():
                alike = _similarity(prediction[known], salient[known].astype(np.float64))
                total += np.count_nonzero(known) * alike
    return total / np.count_nonzero(image.known)


def _similarity(x: np.ndarray, y: np.ndarray) -> float:
    """SSIM of a part as a whole."""
    mean_x, mean_y = x.mean(), y.mean()
    dx, dy = x - mean_x, y - mean_y
    divisor = max(x.size - 1, 1)
    numerator = 4 * mean_x * mean_y * (dx * dy).sum() / divisor
    denominator = (mean_x**2 + mean_y**2) * (dx**2 + dy**2).sum() / divisor
    if numerator:
        return numerator / (denominator + EPS)
    return 1.0 if denominator == 0 else 0.0


def _weighted_f(image: _Image) -> float:
    """Weighted F: errors next to other errors weigh less, false ones far from objects more."""
    prediction, salient, known = image
    if not salient.any():
        return 0.0
    from scipy import ndimage  # loaded where it is needed: settings import this module, too

    distances, nearest = ndimage.distance_transform_edt(~salient, return_indices=True)
    errors = np.where(known, abs(prediction - salient), 0)
    blurred = np.where(known, errors[tuple(nearest)], 0)
    for axis in (0, 1):
        blurred = ndimage.correlate1d(blurred, _KERNEL, axis, mode="constant")
    missed = np.minimum(errors, blurred)[salient]
    background = known & ~salient
    false = (errors * (2 - 0.5 ** (distances / 5)))[background].sum()
    hits = salient.sum() - missed.sum()
    precision, recall = hits / (hits + false + EPS), 1 - missed.mean()
    return float(2 * precision * recall / (precision + recall + EPS))
