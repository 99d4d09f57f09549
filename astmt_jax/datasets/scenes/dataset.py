"""What `scenes` offers, as a dataset among others."""

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from astmt_jax.datasets.dataset import Dataset
from astmt_jax.datasets.scenes.options import ScenesOptions
from astmt_jax.tasks import registry as tasks
from astmt_jax.tasks.task import Task

if TYPE_CHECKING:
    from astmt_jax.pipeline.source import Source


@dataclasses.dataclass(frozen=True, kw_only=True)
class ScenesDataset(Dataset[ScenesOptions]):
    """Pictures that are rendered when they are first needed."""

    @property
    def description(self) -> str:
        return (
            "Scenes: rooms and outdoor grounds with objects, people and lights, rendered by the "
            "software itself with exact labels; no photographs."
        )

    def open(self, data_dir: pathlib.Path, options: Mapping[str, Any], split: str) -> "Source":
        from astmt_jax.datasets.scenes import builder  # imports TensorFlow

        return builder.open_split(self.read_options(options), data_dir, split)

    def open_prepared(
        self, data_dir: pathlib.Path, options: Mapping[str, Any], split: str
    ) -> "Source":
        from astmt_jax.datasets.scenes import builder  # imports TensorFlow

        return builder.open_prepared(self.read_options(options), data_dir, split)


def _tasks(options: ScenesOptions) -> tuple[Task, ...]:
    return (
        tasks.edge(),
        tasks.semseg(classes="present"),
        tasks.human_parts(),
        tasks.normals(),
        tasks.sal(),
        tasks.depth(loss_weight=0.2),  # up to 30 m, three times the rooms of NYUD
        tasks.albedo(),
    )


DATASET = ScenesDataset(
    name="scenes", options=ScenesOptions, make_tasks=_tasks, licence="apache-2.0"
)
