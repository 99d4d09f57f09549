"""TensorBoard's files: every curve says what it is, and settings stand beside their scores."""

import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from tensorboard.plugins.scalar import metadata

from astmt_jax.config import is_free_to_change
from astmt_jax.runtime.quiet_clu import hparams_api, metric_writers


class TensorBoard(metric_writers.SummaryWriter):
    """CLU's writer of event files, whose interface has no words for what a number is.

    Args:
      workdir: the folder of the event files.
      descriptions: tag of a scalar -> what it is, in Markdown; others go without.
      scores: tag -> name of the numbers that settings are compared by.
    """

    def __init__(
        self, workdir: pathlib.Path, descriptions: Mapping[str, str], scores: Mapping[str, str]
    ):
        super().__init__(str(workdir))
        self._metadata = {
            tag: metadata.create_summary_metadata(display_name="", description=text)
            for tag, text in descriptions.items()
        }
        self._scores = [
            hparams_api.Metric(tag, display_name=name, description=descriptions[tag])
            for tag, name in scores.items()
        ]

    def write_scalars(self, step: int, scalars: Mapping[str, Any]) -> None:
        """Writes numbers, those that have a description with it."""
        described = {
            tag: np.asarray(value, np.float32)
            for tag, value in scalars.items()
            if tag in self._metadata
        }
        self.write_summaries(step, described, self._metadata)
        super().write_scalars(
            step, {tag: value for tag, value in scalars.items() if tag not in described}
        )

    def write_hparams(self, hparams: Mapping[str, Any]) -> None:
        """Writes settings by name, such as 'train.epochs'.

        Those without influence on what is learnt get no column of their own.
        """
        columns = [
            hparams_api.HParam(name) for name in hparams if not is_free_to_change(f"config.{name}")
        ]
        (table,) = hparams_api.hparams_config_pb(columns, self._scores).value
        self.write_summaries(0, {table.tag: np.zeros((), np.float32)}, {table.tag: table.metadata})
        super().write_hparams(hparams)
