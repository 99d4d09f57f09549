"""A run's folder: its settings, and where imported weights came from.

The folder may come from a stranger: what it holds chooses no files, types or programs.
"""

import os
import pathlib
from collections.abc import Mapping
from typing import Any

from astmt_jax.config import (
    NORMALIZATIONS,
    STRIDES_IN,
    Config,
    differences,
    from_recorded,
    with_stride_in,
    with_trained_tasks,
)
from astmt_jax.datasets import registry
from astmt_jax.files import documents, storage
from astmt_jax.models import families
from astmt_jax.plugins import names
from astmt_jax.records import check_choice, shown_name

CONFIG_FILE = "config.json"
IMPORT_FILE = "imported.json"
IMPORTED_SETTINGS = {"train.normalize": NORMALIZATIONS}
"""The fields of `Config` that imported weights decide, and their choices."""


def check_workdir(workdir: pathlib.Path, config: Config) -> None:
    """Checks that the folder is new or holds a run with the same settings; writes nothing.

    Settings that change nothing in the result (`config.FREE_TO_CHANGE`) may differ.

    Raises:
      ValueError: the folder holds a run with other settings, naming the fields, or its settings
        cannot be read; or it is the one that `init_from` names.
    """
    if config.init_from is not None:
        origin = os.path.realpath(os.path.expanduser(config.init_from))
        if origin == os.path.realpath(workdir):
            raise ValueError(
                f"init_from names {workdir}, which is the --workdir of this run itself: choose "
                "another --workdir."
            )
    if not (workdir / CONFIG_FILE).exists():
        return
    recorded, wanted = recorded_config(workdir), as_begun(workdir, config)
    changed = differences(_decided(recorded).to_dict(), _decided(wanted).to_dict())
    if changed:
        raise ValueError(
            f"{workdir} holds a run with other settings ({'; '.join(changed)}): choose another "
            "--workdir, or delete that one to start over."
        )


def claim_workdir(workdir: pathlib.Path, config: Config) -> None:
    """Makes the folder and records the settings; raises what `check_workdir` does."""
    check_workdir(workdir, config)
    workdir.mkdir(parents=True, exist_ok=True)
    storage.write_json(workdir / CONFIG_FILE, config.to_dict())


def recorded_config(workdir: pathlib.Path) -> Config:
    """The settings of the run in a folder.

    A folder that leaves `model.stride_in` or `trained_tasks` to a file of weights or to another run
    is none of ours, and has none read: it gets the reference implementation's, or all tasks.

    Raises:
      FileNotFoundError: there is none.
      ValueError: its settings cannot be read, or name what plugins add that are not loaded.
    """
    path = workdir / CONFIG_FILE
    try:
        config = from_recorded(documents.read_document(path))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise FileNotFoundError(f"There is no run in {workdir}.") from error
    except ValueError as error:
        remedy = "bring it back from a backup, or delete the folder to start over"
        raise _unusable(path, error, remedy) from error
    if config.plugins:
        _check_plugins(workdir, config)
    starts = config.model.pretrained is not None or config.init_from is not None
    return _decided(config) if starts else config


def _check_plugins(workdir: pathlib.Path, config: Config) -> None:
    """Checks that what a run takes from plugins is there; they are never loaded because of it."""
    try:
        registry.tasks_of(config)
        families.find(config.model)
    except ValueError as error:
        needed = names(config.plugins)
        shown = ", ".join(map(shown_name, needed[:3])) + (", ..." if needed[3:] else "")
        raise ValueError(
            f"The run in {workdir} needs its plugins ({shown}), and a folder has no code run: if "
            "you trust them, name them by --plugins=NAME (beside --config: --config.plugins=NAME; "
            f"in Python: load(DIR, plugins=NAME)). Without them: {error}"
        ) from error


def _decided(config: Config) -> Config:
    """The settings with a stride, and trained tasks, that depend on no file."""
    if config.freeze is not None:
        config = with_trained_tasks(config, config.trained_tasks or config.tasks)
    return config if config.model.stride_in in STRIDES_IN else with_stride_in(config, "conv1")


def as_begun(workdir: pathlib.Path, config: Config) -> Config:
    """The settings with what a run in the folder decided that starts from the same file or run.

    So that it goes on without that.

    Raises:
      ValueError: the run's settings cannot be read.
    """
    if not (workdir / CONFIG_FILE).exists():
        return config
    begun = recorded_config(workdir)
    if (begun.model.pretrained, begun.init_from) != (config.model.pretrained, config.init_from):
        return config
    same = (config.freeze, config.tasks) == (begun.freeze, begun.tasks)  # else it is refused
    if config.freeze is not None and same and not config.trained_tasks:
        config = with_trained_tasks(config, begun.trained_tasks)
    needs_stride = config.model.stride_in not in STRIDES_IN
    return with_stride_in(config, begun.model.stride_in) if needs_stride else config


def record_import(workdir: pathlib.Path, file: pathlib.Path, settings: Mapping[str, Any]) -> None:
    """Records where a folder's weights came from and the fields of `Config` that they depend on.

    Args:
      workdir: the folder, which exists.
      file: the weights that were imported.
      settings: such as {"train.normalize": "none"}; see `IMPORTED_SETTINGS`.
    """
    storage.write_json(workdir / IMPORT_FILE, {"file": str(file), "settings": dict(settings)})


def imported_settings(workdir: pathlib.Path) -> dict[str, str]:
    """The fields that `record_import` recorded; empty where nothing was imported.

    Raises:
      ValueError: the file cannot be read, or sets another field than `IMPORTED_SETTINGS` has, or
        to another value.
    """
    path = workdir / IMPORT_FILE
    try:
        document = documents.read_document(path)
        settings = document.get("settings") if isinstance(document, dict) else None
        if not isinstance(settings, dict):
            raise ValueError("it has no settings")
        for field, value in settings.items():
            check_choice("a field of its settings", field, IMPORTED_SETTINGS)
            check_choice(field, value, IMPORTED_SETTINGS[field])
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except ValueError as error:
        remedy = "it may set the scaling of the input only, as astmt_jax.convert writes it"
        raise _unusable(path, error, remedy) from error
    return settings


def _unusable(path: pathlib.Path, error: ValueError, remedy: str) -> ValueError:
    """What to raise about a file of the folder, and what to do."""
    reason = str(error).removeprefix(f"{path} ").removesuffix(".")
    return ValueError(f"{path} cannot be used ({reason}): {remedy}.")
