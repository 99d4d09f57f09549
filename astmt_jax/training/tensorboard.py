"""TensorBoard's files, in which every curve says what it is."""

import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from tensorboard.plugins.scalar import metadata

from astmt_jax.runtime.quiet_clu import metric_writers


class TensorBoard(metric_writers.SummaryWriter):
    """CLU's writer of event files, whose interface has no words for what a number is.

    Args:
      workdir: the folder of the event files.
      descriptions: tag of a scalar -> what it is, in Markdown; others go without.
    """

    def __init__(self, workdir: pathlib.Path, descriptions: Mapping[str, str]):
        super().__init__(str(workdir))
        self._metadata = {
            tag: metadata.create_summary_metadata(display_name="", description=text)
            for tag, text in descriptions.items()
        }

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
