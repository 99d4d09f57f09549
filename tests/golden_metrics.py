"""Scores that the reference implementation gave, and the comparison with ours.

An archive `metrics*.npz` holds TASK/gt and TASK/pred, or TASK/pred_uint8 as written to PNG; the
`.json` of the same name holds the scores of each TASK. Names may have more levels before TASK.
"""

import json
import pathlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from astmt_jax.metrics import normals, regression, saliency, segmentation


class Case(NamedTuple):
    archive: pathlib.Path
    prefix: str

    def __str__(self) -> str:
        return f"{self.archive.stem}-{self.prefix}"


def find_cases(golden_dir: pathlib.Path) -> list[Case]:
    """All cases of all `metrics*.npz` in a folder."""
    cases = []
    for archive in sorted(golden_dir.glob("metrics*.npz")):
        with np.load(archive) as arrays:
            cases += [Case(archive, k.removesuffix("/gt")) for k in arrays if k.endswith("/gt")]
    return cases


def check(case: Case) -> None:
    """Asserts that every score of a case agrees with the reference's."""
    task = case.prefix.split("/")[-1]
    expected: Any = json.loads(case.archive.with_suffix(".json").read_text())
    for name in case.prefix.split("/"):
        expected = expected[name]
    with np.load(case.archive) as arrays:
        truths = arrays[f"{case.prefix}/gt"]
        if f"{case.prefix}/pred" in arrays:
            predictions = arrays[f"{case.prefix}/pred"]
        else:
            predictions = _from_png(task, arrays[f"{case.prefix}/pred_uint8"])
    scores = SCORES[task](predictions, truths, expected)
    assert scores.keys() >= expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(scores[name], value, rtol=1e-5, err_msg=name)


def _from_png(task: str, levels: np.ndarray) -> np.ndarray:
    values = levels.astype(np.float32) / np.float32(255)
    return 2 * values - 1 if task == "normals" else values


def _accumulate(metric, predictions, truths):
    for prediction, truth in zip(predictions, truths, strict=True):
        metric.add(prediction, truth)
    return metric


def _segmentation(predictions, truths, expected: Mapping[str, Any], skip_empty: bool):
    metric = segmentation.SegmentationMetric(len(expected["iou"]), skip_empty=skip_empty)
    _accumulate(metric, predictions, truths)
    return metric.result() | {"iou": [row["iou"] for row in metric.per_class()]}


def _semseg(predictions, truths, expected):
    return _segmentation(predictions, truths, expected, skip_empty=False)


def _human_parts(predictions, truths, expected):
    return _segmentation(predictions, truths, expected, skip_empty=True)


def _normals(predictions, truths, expected):
    scores = _accumulate(normals.NormalsMetric(), predictions, truths).result()
    return {name.removeprefix("below_"): value for name, value in scores.items()}


def _sal(predictions, truths, expected):
    metric = _accumulate(saliency.SaliencyMetric(), predictions, truths)
    curves = metric.curves()
    return metric.result() | {"mIoUs": curves["mIoU"], "F": curves["maxF"]}


def _depth(predictions, truths, expected):
    return _accumulate(regression.DepthMetric("reference"), predictions, truths).result()


def _albedo(predictions, truths, expected):
    return _accumulate(regression.AlbedoMetric(), predictions, truths).result()


SCORES = {
    "semseg": _semseg,
    "human_parts": _human_parts,
    "normals": _normals,
    "sal": _sal,
    "depth": _depth,
    "albedo": _albedo,
}
