"""What PySODMetrics gives for some images, and the images: tests/golden/saliency.npz.

PySODMetrics 1.6.2 asks for older versions of three packages than requirements.txt has, so that the
file is made in an environment of its own:

    python3 -m venv sod && sod/bin/pip install pysodmetrics==1.6.2
    sod/bin/python tests/golden_saliency.py
"""

import pathlib
from typing import NamedTuple

import numpy as np
from scipy import ndimage

GOLDEN_SALIENCY = pathlib.Path(__file__).parent / "golden" / "saliency.npz"
SIZES = ((48, 64), (31, 77), (90, 61), (17, 16), (64, 64), (40, 55))


class Case(NamedTuple):
    """One image: grey levels, truth (uint8, 0 or 1), number by name, curve by name (256,)."""

    levels: np.ndarray
    truth: np.ndarray
    values: dict[str, float]
    curves: dict[str, np.ndarray]


def cases() -> list[Case]:
    """All images of the file."""
    with np.load(GOLDEN_SALIENCY) as arrays:
        stored = dict(arrays)
    names = sorted({int(key.split("/")[0]) for key in stored})
    return [
        Case(
            stored[f"{i}/levels"],
            stored[f"{i}/truth"],
            {name: float(stored[f"{i}/{name}"]) for name in VALUES},
            {name: stored[f"{i}/{name}"] for name in CURVES},
        )
        for i in names
    ]


VALUES = ("Smeasure", "wFmeasure", "MAE", "adpFm", "adpEm")
CURVES = ("Fm", "Em")


def _images():
    """Blobs and predictions of all kinds: good, bad, constant, of few levels, empty, full."""
    rng = np.random.default_rng(18)
    for number, size in enumerate(SIZES):
        field = ndimage.gaussian_filter(rng.standard_normal(size), 5)
        truth = field > np.quantile(field, 0.6 + 0.05 * number)
        noise = ndimage.gaussian_filter(rng.standard_normal(size), 1.5)
        for mixed in (0.3, 2.0):
            logits = field / field.std() - 1 + mixed * noise / noise.std()
            yield (255 / (1 + np.exp(-2 * logits))).astype(np.uint8), truth
        yield (64 * (truth ^ (rng.random(size) < 0.2)) + 30).astype(np.uint8), truth
    size = (24, 33)
    levels, blob = rng.integers(0, 256, size, np.uint8), np.zeros(size, bool)
    blob[5:12, 20:30] = True
    yield levels, np.zeros(size, bool)
    yield levels, np.ones(size, bool)
    yield np.full(size, 77, np.uint8), blob
    yield np.zeros(size, np.uint8), blob
    yield (255 * blob).astype(np.uint8), blob
    yield (255 * ~blob).astype(np.uint8), blob
    single = np.zeros(size, bool)
    single[7, 9] = True
    yield levels, single
    yield levels, ~single


def main() -> None:
    """Writes the file."""
    import py_sod_metrics  # in an environment of its own, see above

    stored = {}
    for number, (levels, truth) in enumerate(_images()):
        grey = (255 * truth).astype(np.uint8)
        measures = {
            "fm": py_sod_metrics.Fmeasure(),
            "em": py_sod_metrics.Emeasure(),
            "sm": py_sod_metrics.Smeasure(),
            "wfm": py_sod_metrics.WeightedFmeasure(),
            "mae": py_sod_metrics.MAE(),
        }
        for measure in measures.values():
            measure.step(levels, grey)
        found = {name: measure.get_results()[name] for name, measure in measures.items()}
        stored |= {
            f"{number}/levels": levels,
            f"{number}/truth": truth.astype(np.uint8),
            f"{number}/Smeasure": found["sm"],
            f"{number}/wFmeasure": found["wfm"],
            f"{number}/MAE": found["mae"],
            f"{number}/adpFm": found["fm"]["adp"],
            f"{number}/adpEm": found["em"]["adp"],
            f"{number}/Fm": found["fm"]["curve"][::-1],  # it goes from level 255 to 0
            f"{number}/Em": found["em"]["curve"][::-1],
        }
    np.savez_compressed(GOLDEN_SALIENCY, **stored)


if __name__ == "__main__":
    main()
