"""A run's folder: its settings and its checkpoints."""

import json
import pathlib
from collections.abc import Mapping
from typing import Any

import jax
import orbax.checkpoint as ocp

from astmt_jax.config import Config, differences, from_config_dict
from astmt_jax.models.network import Params, Stats
from astmt_jax.train_step import TrainState

CONFIG_FILE = "config.json"
IMPORT_FILE = "imported.json"
CHECKPOINTS = "checkpoints"


def check_workdir(workdir: pathlib.Path, config: Config) -> None:
    """Checks that the folder is new or holds a run with the same settings; writes nothing.

    Settings that change nothing in the result (`config.FREE_TO_CHANGE`) may differ.

    Raises:
      ValueError: the folder holds a run with other settings, naming the fields, or its settings
        cannot be read.
    """
    if not (workdir / CONFIG_FILE).exists():
        return
    changed = differences(_read_json(workdir / CONFIG_FILE), config.to_dict())
    if changed:
        raise ValueError(
            f"{workdir} holds a run with other settings ({'; '.join(changed)}): choose another "
            "--workdir, or delete that one to start over."
        )


def claim_workdir(workdir: pathlib.Path, config: Config) -> None:
    """Makes the folder and records the settings; raises what `check_workdir` does."""
    check_workdir(workdir, config)
    workdir.mkdir(parents=True, exist_ok=True)
    _write_json(workdir / CONFIG_FILE, config.to_dict())


def recorded_config(workdir: pathlib.Path) -> Config:
    """The settings of the run in a folder.

    Raises:
      FileNotFoundError: there is none.
      ValueError: its settings cannot be read.
    """
    if not (workdir / CONFIG_FILE).exists():
        raise FileNotFoundError(f"There is no run in {workdir}.")
    return from_config_dict(_read_json(workdir / CONFIG_FILE))


def record_import(workdir: pathlib.Path, file: pathlib.Path, settings: Mapping[str, Any]) -> None:
    """Records where a folder's weights came from and the fields of `Config` that they depend on.

    Args:
      workdir: the folder, which exists.
      file: the weights that were imported.
      settings: such as {"train.normalize": "none"}.
    """
    _write_json(workdir / IMPORT_FILE, {"file": str(file), "settings": dict(settings)})


def imported_settings(workdir: pathlib.Path) -> dict[str, Any]:
    """The fields that `record_import` recorded; empty where nothing was imported."""
    path = workdir / IMPORT_FILE
    return _read_json(path)["settings"] if path.exists() else {}


def _read_json(path: pathlib.Path) -> Any:
    try:
        return json.loads(path.read_text())
    except json.JSONDecodeError as error:
        raise ValueError(
            f"{path} is not complete ({error}): delete the folder to start over."
        ) from error


def _write_json(path: pathlib.Path, document: Any) -> None:
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(document, indent=2) + "\n")
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

        `like` holds arrays, or only their descriptions (`jax.ShapeDtypeStruct`).

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


def restore_variables(
    workdir: pathlib.Path, params: Params, stats: Stats
) -> tuple[int, Params, Stats]:
    """The network's variables of a folder's newest checkpoint, without the optimizer's state.

    Only reads, so that the run may still be going on.

    Args:
      workdir: the run's folder.
      params: descriptions of the arrays (`jax.ShapeDtypeStruct` with a sharding).
      stats: likewise.

    Returns:
      The checkpoint's step, its parameters and its statistics.

    Raises:
      FileNotFoundError: there is no checkpoint.
      ValueError: its arrays are not those described.
    """
    folder = (workdir / CHECKPOINTS).resolve()
    options = ocp.CheckpointManagerOptions(create=False)
    manager = ocp.CheckpointManager(folder, options=options) if folder.is_dir() else None
    step = None if manager is None else manager.latest_step()
    if step is None:
        raise FileNotFoundError(f"There is no checkpoint in {folder}.")
    like = {"params": params, "stats": stats}
    restored = manager.restore(
        step,
        args=ocp.args.PyTreeRestore(
            like,
            restore_args=ocp.checkpoint_utils.construct_restore_args(like),
            partial_restore=True,
        ),
    )
    manager.close()
    return step, restored["params"], restored["stats"]
