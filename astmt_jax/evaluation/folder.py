"""Scores anybody's predictions for a split, in a folder."""

import pathlib
from collections.abc import Sequence

from astmt_jax.evaluation.prediction_folder import PredictionFolder
from astmt_jax.evaluation.scoring import Scores, scoring, tracked
from astmt_jax.pipeline.source import Source
from astmt_jax.pipeline.truths import names, truths
from astmt_jax.tasks.task import Task


def evaluate_folder(
    root: pathlib.Path,
    source: Source,
    tasks: Sequence[Task],
    *,
    resize: bool = False,
    num_workers: int | None = None,
    notes: pathlib.Path | None = None,
) -> Scores:
    """Scores the predictions in a folder.

    Args:
      root: TASK/NAME.png, .mat or .npy.
      source: the split.
      tasks: records of the tasks; each has a folder.
      resize: resizes predictions of another size; otherwise they are an error.
      num_workers: threads that read and processes that count edges; None is one a core.
      notes: file that lets an interrupted evaluation go on, deleted at its end.

    Raises:
      ValueError: predictions are missing, too many, unreadable, of another size or impossible, with
        a list of them.
    """
    folder = PredictionFolder(root, tasks)
    known = names(source)
    lacking = folder.unpredicted(known)
    unsure = source.select([i for i, name in enumerate(known) if name in lacking])
    labelled = {
        (example.name, task.name)
        for example in truths(unsure, tasks, num_workers)
        for task in tasks
        if task.is_labelled(example.truths)
    }
    folder.check(known, lambda name, task: (name, task) in labelled)
    with scoring(tasks, source.length, num_workers, notes) as scorer:
        examples = truths(source, tasks, num_workers)
        for example in tracked(examples, source.name, source.length):
            predictions = folder.read(example.name, example.size, resize)
            if folder.sound:
                try:
                    scorer.add(example.name, predictions, example.truths)
                except ValueError as error:
                    folder.add_problem(error)
        folder.raise_problems()
        return scorer.scores()
