"""A run's folder: its settings and its checkpoints."""

import json
import logging
import pathlib
import shutil
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
from orbax.checkpoint.checkpoint_managers import AnyPreservationPolicy, EveryNSteps, LatestN

from astmt_jax.config import Config, differences, from_config_dict
from astmt_jax.files import storage
from astmt_jax.files.messages import one_line
from astmt_jax.runtime import distributed
from astmt_jax.runtime.console import CONSOLE
from astmt_jax.training.train_step import TrainState

CONFIG_FILE = "config.json"
IMPORT_FILE = "imported.json"
CHECKPOINTS = "checkpoints"
DAMAGED = ".damaged"
CHECKSUM = "checksum"


def check_workdir(workdir: pathlib.Path, config: Config) -> None:
    """Checks that the folder is new or holds a run with the same settings; writes nothing.

    Settings that change nothing in the result (`config.FREE_TO_CHANGE`) may differ.

    Raises:
      ValueError: the folder holds a run with other settings, naming the fields, or its settings
        cannot be read.
    """
    if not (workdir / CONFIG_FILE).exists():
        return
    changed = differences(recorded_config(workdir).to_dict(), config.to_dict())
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
    storage.write_text(path, json.dumps(document, indent=2) + "\n")


def _is_news(record: logging.LogRecord) -> bool:
    """False for what Orbax's threads run into: the thread that saves gets it raised, too."""
    error = record.exc_info[1] if record.exc_info else None
    return "/orbax/" not in record.pathname and str(error) != "Event loop is closed"


for _name in ("absl", "concurrent.futures"):
    logging.getLogger(_name).addFilter(_is_news)


class CheckpointError(OSError):
    """Checkpoints exist, but none of them can be read."""


class Checkpoints:
    """The newest checkpoints of a run; saving goes on in the background.

    A checkpoint is complete or does not count, and carries a checksum of its state. What cannot be
    read or does not have its checksum is passed over with a warning. Leaving it as a context waits
    as `close` does, whatever was raised in it.

    Args:
      workdir: the run's folder.
      keep: how many of the newest to keep.
      keep_every: checkpoints of multiples of so many steps stay for good, too; None for none.
      read_only: leaves the folder as it is, in which a run may be saving at this moment.
    """

    def __init__(
        self,
        workdir: pathlib.Path,
        keep: int = 2,
        keep_every: int | None = None,
        read_only: bool = False,
    ):
        policies = [LatestN(keep)] + ([EveryNSteps(keep_every)] if keep_every else [])
        self._options = ocp.CheckpointManagerOptions(
            preservation_policy=AnyPreservationPolicy(policies),
            cleanup_tmp_directories=not read_only,
            create=not read_only,
            read_only=read_only,
            lightweight_initialize=True,  # damaged metadata must not end it all
        )
        self._folder = (workdir / CHECKPOINTS).resolve()
        self._manager = ocp.CheckpointManager(self._folder, options=self._options)
        self._damaged: list[int] = []

    def latest_step(self) -> int | None:
        """Batches seen by the newest complete checkpoint; None without any."""
        return self._manager.latest_step()

    def save(self, step: int, state: TrainState) -> None:
        """Starts saving `state` as the checkpoint of `step`; the state may be donated afterwards.

        Raises:
          FloatingPointError: the state is not finite; nothing is saved.
          Exception: what the saving before ran into, such as a full disk.
        """
        checksum, finite = jax.device_get(_summary(state))
        if not finite.all():
            path = jax.tree_util.tree_leaves_with_path(state)[int(np.argmin(finite))][0]
            raise FloatingPointError(
                f"{jax.tree_util.keystr(path, simple=True, separator='.')} is not finite after "
                f"step {step}: training stops here. The last checkpoint is intact; a smaller "
                "config.optimizer.learning_rate is the usual remedy."
            )
        if self._damaged:
            self._set_aside()
        metadata = {CHECKSUM: int(checksum)}
        self._manager.save(step, args=ocp.args.StandardSave(state), custom_metadata=metadata)

    def check(self) -> None:
        """Raises what saving in the background ran into, such as a full disk; waits for nothing."""
        self._manager.check_for_errors()

    def restore(self, like: TrainState) -> TrainState:
        """The newest checkpoint that can be read, with shapes, dtypes and shardings of `like`.

        `like` holds arrays, or only their descriptions (`jax.ShapeDtypeStruct`).

        Raises:
          FileNotFoundError: there is none.
          CheckpointError: none of them can be read.
        """
        steps = sorted(self._manager.all_steps(), reverse=True)
        if not steps:
            raise FileNotFoundError(f"There is no checkpoint in {self._folder}.")
        abstract = jax.tree.map(ocp.utils.to_shape_dtype_struct, like)
        for step in steps:
            try:
                state = self._read(step, abstract)
            except Exception as error:  # each damaged file leads to another kind of error
                if distributed.is_lost_connection(error):
                    raise
                CONSOLE.print(
                    f"Warning: the checkpoint of step {step} in {self._folder} is damaged "
                    f"({one_line(error, 100)}) and passed over."
                )
                self._damaged.append(step)
            else:
                return state
        raise CheckpointError(
            f"No checkpoint in {self._folder} can be read (steps "
            f"{', '.join(map(str, reversed(steps)))}): bring one back from a backup, or delete the "
            "folder of the run to start over."
        )

    def _read(self, step: int, abstract: TrainState) -> TrainState:
        state = self._manager.restore(step, args=ocp.args.StandardRestore(abstract))
        # Older checkpoints have no checksum.
        expected = (self._manager.metadata(step).custom_metadata or {}).get(CHECKSUM)
        if expected is not None and int(_summary(state)[0]) != expected:
            raise ValueError("its values do not have the checksum that was saved with them")
        return state

    def _set_aside(self) -> None:
        """Renames the damaged checkpoints, so that their steps can be saved again."""
        self._manager.close()
        if jax.process_index() == 0:
            for step in self._damaged:
                folder = self._folder / str(step)
                shutil.rmtree(folder.with_suffix(DAMAGED), ignore_errors=True)
                folder.rename(folder.with_suffix(DAMAGED))
        ocp.multihost.sync_global_processes("damaged checkpoints set aside")
        self._damaged = []
        self._manager = ocp.CheckpointManager(self._folder, options=self._options)

    def close(self) -> None:
        """Waits until everything is on disk; raises what saving ran into."""
        self._manager.close()

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, kind, error: BaseException | None, trace) -> None:
        # A lost process would have to take part in what is being saved.
        if error is None or not distributed.is_lost_connection(error):
            self.close()


@jax.jit
def _summary(state: TrainState) -> tuple[jax.Array, jax.Array]:
    """A checksum, () uint32, that every single bit changes, and which leaves are finite, (n,) bool.

    Neither depends on how the state is laid out over devices.
    """
    leaves = jax.tree.leaves(state)
    checksum = jnp.uint32(0)
    for number, leaf in enumerate(leaves):
        bits = 8 * min(leaf.dtype.itemsize, 4)
        words = jax.lax.bitcast_convert_type(leaf, f"uint{bits}").astype(jnp.uint32)
        position = jnp.zeros(words.shape, jnp.uint32)
        for axis, size in enumerate(words.shape):
            along = jax.lax.broadcasted_iota(jnp.uint32, words.shape, axis)
            position = position * np.uint32(size) + along
        # An odd factor loses no change of a word modulo 2 ** 32.
        weights = 2 * position + np.uint32(2 * number + 1)
        checksum += jnp.sum(words * weights, dtype=jnp.uint32)
    return checksum, jnp.stack([jnp.isfinite(leaf).all() for leaf in leaves])
