"""A run's checkpoints: states on disk, complete and checked."""

import functools
import logging
import pathlib
import shutil
import sys
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import jax
import numpy as np
import orbax.checkpoint as ocp
from orbax.checkpoint.checkpoint_managers import AnyPreservationPolicy, EveryNSteps, LatestN

from astmt_jax.files import storage
from astmt_jax.files.messages import one_line
from astmt_jax.runtime import distributed
from astmt_jax.runtime.console import CONSOLE
from astmt_jax.training import checkpoint_files, checksums
from astmt_jax.training.state import TrainedVariables, TrainState

CHECKPOINTS = "checkpoints"
DAMAGED = ".damaged"
CHECKSUMS = "checksums"
"""Key of the checksums of a state's fields, among a checkpoint's metadata."""
METADATA_FILE = "_CHECKPOINT_METADATA"
"""Orbax's, in the folder of a checkpoint."""
WHOLE_CHECKSUM = "checksum"
"""What checkpoints of earlier versions have instead: one of the whole state."""

LATE = "Event loop is closed"
"""What threads of Orbax and TensorStore say who come too late to tell anybody."""

Restored = TypeVar("Restored", TrainState, TrainedVariables)


def _is_news(record: logging.LogRecord) -> bool:
    """False for what Orbax's threads run into: the thread that saves gets it raised, too."""
    error = record.exc_info[1] if record.exc_info else None
    return "/orbax/" not in record.pathname and str(error) != LATE


class _Unraisable:
    """What Python does with errors that nobody can catch, but for those of a reading given up.

    When one array of a checkpoint cannot be read, the threads that read the others have nobody to
    tell that they are done, nor have the coroutines of Orbax that wait for them.
    """

    def __init__(self, otherwise: Callable[[Any], object]):
        self._otherwise = otherwise

    def __call__(self, unraisable: Any) -> None:
        waiting = getattr(unraisable.object, "cr_code", None)
        orbax = waiting is not None and "/orbax/" in waiting.co_filename
        if not orbax and str(unraisable.exc_value) != LATE:
            self._otherwise(unraisable)

    @classmethod
    def install(cls) -> None:
        """Takes the place of Python's, once."""
        if not isinstance(sys.unraisablehook, cls):
            sys.unraisablehook = cls(sys.unraisablehook)


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
      name: of the folder of checkpoints, in that of the run.

    Raises:
      FileExistsError: there is a link in the folder, which is not only read.
    """

    def __init__(
        self,
        workdir: pathlib.Path,
        keep: int = 2,
        keep_every: int | None = None,
        read_only: bool = False,
        name: str = CHECKPOINTS,
    ):
        for logger in ("absl", "concurrent.futures"):
            logging.getLogger(logger).addFilter(_is_news)  # once: a filter is not added twice
        _Unraisable.install()
        policies = [LatestN(keep)] + ([EveryNSteps(keep_every)] if keep_every else [])
        self._options = ocp.CheckpointManagerOptions(
            preservation_policy=AnyPreservationPolicy(policies),
            cleanup_tmp_directories=not read_only,
            create=not read_only,
            read_only=read_only,
            lightweight_initialize=True,  # damaged metadata must not end it all
        )
        if not read_only:
            storage.refuse_links(workdir / name)
        self._folder = (workdir / name).resolve()
        self._manager = ocp.CheckpointManager(self._folder, options=self._options)
        self._damaged: list[int] = []

    def latest_step(self) -> int | None:
        """Batches seen by the newest complete checkpoint; None without any."""
        return self._manager.latest_step()

    def save(self, step: int, state: TrainState | TrainedVariables) -> None:
        """Starts saving `state` as the checkpoint of `step`; the state may be donated afterwards.

        Raises:
          FloatingPointError: the state is not finite; nothing is saved.
          Exception: what the saving before ran into, such as a full disk.
        """
        found, finite = checksums.summary(state)
        if not finite.all():
            path = jax.tree_util.tree_leaves_with_path(state)[int(np.argmin(finite))][0]
            raise FloatingPointError(
                f"{jax.tree_util.keystr(path, simple=True, separator='.')} is not finite after "
                f"step {step}: training stops here. The last checkpoint is intact; a smaller "
                "config.optimizer.learning_rate is the usual remedy."
            )
        if self._damaged:
            self._set_aside()
        metadata = {CHECKSUMS: found}
        self._manager.save(step, args=ocp.args.StandardSave(state), custom_metadata=metadata)

    def check(self) -> None:
        """Raises what saving in the background ran into, such as a full disk; waits for nothing."""
        self._manager.check_for_errors()

    def wait(self) -> None:
        """Waits until what was saved is on disk; raises what saving ran into."""
        self._manager.wait_until_finished()

    def restore(self, like: TrainState) -> TrainState:
        """The newest checkpoint that can be read, with shapes, dtypes and shardings of `like`.

        `like` holds arrays, or only their descriptions (`jax.ShapeDtypeStruct`).

        Raises:
          FileNotFoundError: there is none.
          CheckpointError: none of them can be read.
        """
        abstract = jax.tree.map(ocp.utils.to_shape_dtype_struct, like)
        arguments = ocp.args.StandardRestore(abstract)
        return self._newest(functools.partial(_read, self._manager, arguments, _on_devices))

    def restore_variables(self, like: TrainedVariables) -> TrainedVariables:
        """What predicts, of the newest checkpoint that can be read; otherwise as `restore`.

        The optimizer's state, which takes up to twice the memory, is not read. The shardings of
        `like` split no array over processes.
        """
        arguments = ocp.args.PyTreeRestore(
            like, ocp.checkpoint_utils.construct_restore_args(like), partial_restore=True
        )
        handler = ocp.PyTreeCheckpointHandler()
        with ocp.CheckpointManager(
            self._folder, options=self._options, item_handlers=handler
        ) as manager:
            read = functools.partial(_read, manager, arguments, checksums.on_host)
            return self._newest(read)

    def _newest(self, read: Callable[[int], Restored]) -> Restored:
        """What `read` gives for the newest step for which it can."""
        steps = sorted(self._manager.all_steps(), reverse=True)
        if not steps:
            raise FileNotFoundError(f"There is no checkpoint in {self._folder}.")
        for step in steps:
            try:
                return read(step)
            except Exception as error:  # each damaged file leads to another kind of error
                if distributed.is_lost_connection(error):
                    raise
                CONSOLE.print(
                    f"Warning: the checkpoint of step {step} in {self._folder} is damaged "
                    f"({one_line(error, 100)}) and passed over."
                )
                self._damaged.append(step)
        raise CheckpointError(
            f"No checkpoint in {self._folder} can be read (steps "
            f"{', '.join(map(str, reversed(steps)))}): bring one back from a backup, or delete the "
            "folder of the run to start over."
        )

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


def _read(
    manager: ocp.CheckpointManager,
    arguments: Any,
    checksums_of: Callable[[Restored], Mapping[str, int]],
    step: int,
) -> Restored:
    """A checkpoint whose values have the checksums that were saved with them, or ValueError."""
    folder = pathlib.Path(manager.directory) / str(step)
    checkpoint_files.check(folder)
    restored: Any = manager.restore(step, args=arguments)
    saved = _saved_with(folder)
    if CHECKSUMS in saved:
        expected = saved[CHECKSUMS]
        found = checksums_of(restored)
        sound = all(value == expected[field] for field, value in found.items())
    elif WHOLE_CHECKSUM in saved and isinstance(restored, TrainState):
        sound = checksums.checksum(restored) == saved[WHOLE_CHECKSUM]
    else:
        sound = True  # of a version that saved none for this
    if not sound:
        raise ValueError("its values do not have the checksum that was saved with them")
    return restored


def _saved_with(folder: pathlib.Path) -> Mapping[str, Any]:
    """What was saved with a checkpoint's values; nothing where that is gone.

    `CheckpointManager.metadata` has it, too, but looks at every array before.
    """
    metadata = ocp.metadata.metadata_store(enable_write=False).read(folder / METADATA_FILE)
    return (metadata or {}).get("custom_metadata") or {}


def _on_devices(state: TrainState) -> dict[str, int]:
    """The checksums of a state that may be split over devices and processes."""
    return checksums.summary(state)[0]
