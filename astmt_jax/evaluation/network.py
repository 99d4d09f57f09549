"""Scores what a network predicts for a split."""

import dataclasses
import pathlib
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from astmt_jax.evaluation import inference
from astmt_jax.evaluation.scoring import Scores, scores_of, scoring, tracked
from astmt_jax.pipeline.batches import Share, eval_shares
from astmt_jax.pipeline.settings import InputSettings
from astmt_jax.pipeline.source import Source
from astmt_jax.runtime import distributed
from astmt_jax.tasks.task import Task


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """Scores of one split.

    Attributes:
      scores: of all tasks.
      rows: examples for `panels.draw`.
    """

    scores: Scores
    rows: list[dict[str, Any]]


def evaluate_network(
    tasks: Sequence[Task],
    predict: inference.Predict,
    source: Source,
    settings: InputSettings,
    *,
    quantize: bool = True,
    sharding: jax.sharding.NamedSharding,
    num_rows: int = 0,
    notes: pathlib.Path | None = None,
    save_to: pathlib.Path | None = None,
) -> Evaluation:
    """Scores all tasks of a network on all examples of `source`, each at its own resolution.

    Every process predicts and scores its share of every batch; all return the whole's scores.

    Args:
      tasks: of the network, with the choices that they are scored by.
      predict: images (B, S, S, 3) to predictions.
      source: the split.
      settings: of the network's input; as many processes count edges as threads prepare it.
      quantize: see `EvaluationConfig.quantize`.
      sharding: of the batches.
      num_rows: how many examples, evenly spaced over the split, to keep for a picture.
      notes: file that lets an interrupted evaluation go on, deleted at its end.
      save_to: folder for the predictions, in the layout that `evaluate_folder` takes.
    """
    kept = {i * source.length // num_rows for i in range(num_rows)}
    shares = eval_shares(source.length, settings.batch_size, Share.of_this_process())
    indices = np.concatenate(shares).tolist()
    rows = {}
    with scoring(tasks, len(indices), settings.num_threads, notes) as scorer:
        predicted = inference.predictions(tasks, predict, source, settings, sharding)
        examples = tracked(predicted, source.name, len(indices))
        for index, example in zip(indices, examples, strict=True):
            scored = example.predictions
            if save_to is not None:
                for task in tasks:
                    task.file.write(save_to, task.name, example.name, scored[task.name])
            if quantize:
                scored = {task.name: task.file.quantize(scored[task.name]) for task in tasks}
            scorer.add(example.name, scored, example.truths)
            if index in kept:
                shown = {task.name: example.truths[task.name] for task in tasks}
                rows[index] = example._asdict() | {"truths": shown}
        metrics, rows = distributed.fold(_merge, (scorer.metrics(), rows))
    return Evaluation(scores_of(tasks, metrics), [rows[index] for index in sorted(rows)])


def _merge(part: tuple[dict, dict], other: tuple[dict, dict]) -> tuple[dict, dict]:
    """Metrics by task and rows by index, of the images of both."""
    for name, metric in part[0].items():
        metric.merge(other[0][name])
    return part[0], part[1] | other[1]
