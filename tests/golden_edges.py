"""Golden cases of the boundary benchmark: where they are, and what of ours they belong to.

An archive `cases*.npz` anywhere below a folder holds images and, for each protocol, what the
reference implementation gave; `multi_gt*.npz` beside it has the same images with all of their
truths. Numbers of images, their sizes and the protocols are read from the archives.
"""

import functools
import pathlib
import re
from typing import NamedTuple

import numpy as np

from astmt_jax.metrics.edge_protocols import PROTOCOLS, Protocol
from astmt_jax.metrics.true_edges import region_boundaries

OURS = {"pascal_nms": "pascal", "nyud_nms": "nyud", "pascal_raw": "pascal_raw"}


class Case(NamedTuple):
    """One protocol of one archive."""

    archive: pathlib.Path
    protocol: str

    def __str__(self) -> str:
        return f"{self.archive.stem}-{self.protocol}"


def find_archives(golden_dir: pathlib.Path, stem: str) -> list[pathlib.Path]:
    """The archives `stem*.npz` below a folder."""
    return sorted(golden_dir.rglob(f"{stem}*.npz"))


def find_cases(golden_dir: pathlib.Path) -> list[Case]:
    """All protocols of all archives below a folder."""
    return [
        Case(archive, name.removesuffix("/counts_exact"))
        for archive in find_archives(golden_dir, "cases")
        for name in load(archive)
        if name.endswith("/counts_exact")
    ]


@functools.cache
def load(archive: pathlib.Path) -> dict[str, np.ndarray]:
    """All arrays of an archive."""
    with np.load(archive) as arrays:
        return dict(arrays)


def beside(multi_gt: pathlib.Path) -> dict[str, np.ndarray]:
    """The images that belong to an archive `multi_gt*.npz`."""
    return load(multi_gt.with_name(multi_gt.name.replace("multi_gt", "cases")))


def images(arrays: dict[str, np.ndarray]) -> list[int]:
    """Numbers of the images; results are stored in this order."""
    numbers = sorted(int(key[5:]) for key in arrays if re.fullmatch(r"pred_\d+", key))
    assert numbers
    return numbers


def truth_of(arrays: dict[str, np.ndarray], protocol: str, number: int) -> np.ndarray:
    """NYUD's truth is the edge picture (0 and 255), the others' a region map."""
    if protocol.startswith("nyud"):
        return 255 * arrays[f"gt_{number}"][0].astype(np.uint8)
    return arrays[f"label_{number}"][0]


def our_protocol(arrays: dict[str, np.ndarray], name: str) -> Protocol:
    """Our protocol for a golden one; where it has a name with us, it must be the same."""
    thresholds, max_dist = arrays[f"{name}/thr"], float(arrays[f"{name}/max_dist"])
    if name not in OURS:
        suppress = name.endswith("_nms")
        return Protocol(name, max_dist, tuple(thresholds.tolist()), suppress, region_boundaries)
    protocol = PROTOCOLS[OURS[name]]
    np.testing.assert_allclose(protocol.thresholds, thresholds, rtol=1e-12)
    assert protocol.max_dist == max_dist
    return protocol


def empty_inputs(arrays: dict[str, np.ndarray]) -> list[tuple[np.ndarray, np.ndarray]]:
    """Predictions and region maps of the cases `edge/`, in order.

    A prediction or truth that is not stored under its own number is one of the ordinary images';
    which prediction belongs to a truth of its own, follows from size and number of pixels.
    """
    inputs = []
    for number, counts in enumerate(arrays["edge/counts_seism"]):
        prediction = arrays.get(f"edge/pred_{number}")
        truth = arrays.get(f"edge/label_{number}")
        if prediction is None and truth is None:
            prediction = arrays[f"pred_{number}"]
        elif prediction is None:
            prediction = _prediction_for(arrays, truth.shape, counts[:, 3])
        if truth is None:
            truth = arrays[f"label_{number}"][0]
        inputs.append((prediction, truth))
    return inputs


def _prediction_for(arrays, shape, thinned_pixels) -> np.ndarray:
    for position, number in enumerate(images(arrays)):
        same_pixels = arrays["pascal_nms/counts_exact"][position][:, 3] == thinned_pixels
        if arrays[f"pred_{number}"].shape == shape and same_pixels.all():
            return arrays[f"pred_{number}"]
    raise AssertionError(f"no image of shape {shape} has as many thinned pixels")
