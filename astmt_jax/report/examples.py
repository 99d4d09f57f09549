"""Single images: how well each task does on them, and those on which it does worst."""

import dataclasses
import math
from collections.abc import Iterable, Iterator

import numpy as np

from astmt_jax.evaluation.inference import Predicted
from astmt_jax.tasks.task import Task


@dataclasses.dataclass(frozen=True)
class Scored:
    """One image with its predictions.

    Attributes:
      example: image, truths and predictions.
      scores: by task that the image is labelled for, the headline metric of this image alone.
    """

    example: Predicted
    scores: dict[str, float]


@dataclasses.dataclass(frozen=True)
class Examples:
    """What is shown of a split.

    Attributes:
      shown: some images, evenly spaced over the split.
      worst: by task, the images with the worst scores, the worst first.
      scores: by task, the scores of all images that have one.
    """

    shown: list[Scored]
    worst: dict[str, list[Scored]]
    scores: dict[str, list[float]]


def image_score(task: Task, prediction: np.ndarray, truth: np.ndarray) -> float:
    """A task's headline metric on one image; NaN where the image has nothing to score.

    Where a metric has classes it is the mean over those in the image's truth, whatever the split's
    score is the mean over: no image shows all classes.

    Args:
      task: its record.
      prediction: (H, W[, c]), as the task predicts it.
      truth: (H, W, c), after the ignore rules.
    """
    metric = task.metric()
    metric.add(prediction, truth[..., 0] if truth.shape[-1] == 1 else truth)
    classes = metric.details().get("classes")
    if classes is None:
        return float(metric.result()[task.headline])
    present = [row["iou"] for row in classes.values() if row["pixels"]]
    return float(np.mean(present)) if present else math.nan


def score_examples(
    predicted: Iterable[Predicted], tasks: tuple[Task, ...], quantize: bool
) -> Iterator[Scored]:
    """Scores images one by one.

    Args:
      predicted: images with predictions of the tasks.
      tasks: records of the tasks.
      quantize: score predictions as they come back from files, as `EvaluationConfig.quantize`.
    """
    for example in predicted:
        predictions = example.predictions
        if quantize:
            predictions = {t.name: t.file.quantize(predictions[t.name]) for t in tasks}
        scores = {
            task.name: image_score(task, predictions[task.name], example.truths[task.truth])
            for task in tasks
            if task.is_labelled(example.truths)
        }
        yield Scored(example, {name: s for name, s in scores.items() if not math.isnan(s)})


def select_examples(
    scored: Iterable[Scored], tasks: tuple[Task, ...], count: int, num_shown: int, num_worst: int
) -> Examples:
    """Keeps what is to be shown, and lets go of the rest at once.

    Args:
      scored: the images.
      tasks: records of the tasks.
      count: number of images.
      num_shown: how many to show as examples.
      num_worst: how many to show of each task's worst.
    """
    positions = {i * count // num_shown for i in range(num_shown)}
    shown = []
    worst = {task.name: [] for task in tasks}
    scores = {task.name: [] for task in tasks}
    for position, item in enumerate(scored):
        if position in positions:
            shown.append(item)
        for task in tasks:
            if task.name in item.scores:
                scores[task.name].append(item.scores[task.name])
                worst[task.name] = worst_first([*worst[task.name], item], task)[:num_worst]
    return Examples(shown, worst, scores)


def worst_first(scored: Iterable[Scored], task: Task) -> list[Scored]:
    """Images in the order of a task's score, the worst first; equal ones stay in order."""
    sign = 1 if task.higher_is_better else -1
    return sorted(scored, key=lambda item: sign * item.scores[task.name])
