"""A run's folder: its settings and its checkpoints."""

import json
import pathlib

import jax
import orbax.checkpoint as ocp

from astmt_jax.config import Config, differences
from astmt_jax.train_step import TrainState

CONFIG_FILE = "config.json"
CHECKPOINTS = "checkpoints"


def claim_workdir(workdir: pathlib.Path, config: Config) -> None:
    """Makes the folder and records the settings, or checks that it holds a run with the same.

    Settings that change nothing in the result (`config.FREE_TO_CHANGE`) may differ.

    Raises:
      ValueError: the folder holds a run with other settings, naming the fields, or its settings
        cannot be read.
    """
    path = workdir / CONFIG_FILE
    settings = config.to_dict()
    if path.exists():
        try:
            recorded = json.loads(path.read_text())
        except json.JSONDecodeError as error:
            raise ValueError(
                f"{path} is not complete ({error}): delete the folder to start over."
            ) from error
        changed = differences(recorded, settings)
        if changed:
            raise ValueError(
                f"{workdir} holds a run with other settings ({'; '.join(changed)}): choose another "
                "--workdir, or delete that one to start over."
            )
    workdir.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(settings, indent=2) + "\n")
    partial.replace(path)  # all or nothing


class Checkpoints:
    """The newest checkpoints of a run; saving goes on in the background.

    Args:
      workdir: the run's folder.
      keep: how many to keep.
    """

    def __init__(self, workdir: pathlib.Path, keep: int = 2):
        self._manager = ocp.CheckpointManager(
            (workdir / CHECKPOINTS).resolve(),
            options=ocp.CheckpointManagerOptions(max_to_keep=keep),
        )

    def latest_step(self) -> int | None:
        """Batches seen by the newest complete checkpoint; None without any."""
        return self._manager.latest_step()

    def save(self, step: int, state: TrainState) -> None:
        """Starts saving `state` as the checkpoint of `step`."""
        self._manager.save(step, args=ocp.args.StandardSave(state))

    def restore(self, like: TrainState) -> TrainState:
        """The newest checkpoint, with the shapes, dtypes and shardings of `like`.

        Raises:
          FileNotFoundError: there is none.
        """
        step = self.latest_step()
        if step is None:
            raise FileNotFoundError(f"There is no checkpoint in {self._manager.directory}.")
        abstract = jax.tree.map(ocp.utils.to_shape_dtype_struct, like)
        return self._manager.restore(step, args=ocp.args.StandardRestore(abstract))

    def close(self) -> None:
        """Waits until everything is on disk."""
        self._manager.close()
