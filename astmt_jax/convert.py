"""The command that takes weights by the original's names in and out: `python -m astmt_jax.convert`.

    python -m astmt_jax.convert --config=FILE --checkpoint=model.pth --workdir=DIR
    python -m astmt_jax.convert --workdir=DIR --export=model.safetensors [--overwrite]

The first makes a folder that evaluation and further training start from, as after training with the
same `--config`. The original's networks see images in 0..255: this is recorded in the folder and
holds for all that runs in it, unless `--config.train.normalize` says here how the weights were
trained, or the file is one of ours that notes it; and so it is with `--config.model.stride_in`,
which is 'conv1' for the original's. The second writes the checkpoint of a folder. Files are
.pth or .pt (with PyTorch), .safetensors (ours note both) or .npz.
"""

import dataclasses
import pathlib
import tempfile

from absl import flags

from astmt_jax import plugins
from astmt_jax.command_line import arguments, config_flag
from astmt_jax.command_line.errors import fail, told
from astmt_jax.config import STRIDES_IN, Config, with_stride_in
from astmt_jax.models.variables import parameter_count
from astmt_jax.runtime.console import CONSOLE
from astmt_jax.training.checkpoint import Checkpoints
from astmt_jax.training.experiment import Experiment
from astmt_jax.training.state import TrainState, initial_state
from astmt_jax.training.trained import restore_variables
from astmt_jax.training.workdir import claim_workdir, record_import, recorded_config
from astmt_jax.weights.checks import WeightsError
from astmt_jax.weights.files import (
    check_format,
    read_notes,
    read_tensors,
    write_tensors,
)
from astmt_jax.weights.original import from_torch, state_dict

CHECKPOINT = config_flag.define_path("checkpoint", "File of weights to import.")
EXPORT = config_flag.define_path("export", "File to write the run's weights to.")
PLUGINS = flags.DEFINE_string(
    "plugins", None, "With --export: what adds the run's tasks or backbone, joined by +."
)
OVERWRITE = config_flag.define_overwrite("export")
# Both this command and `main` have a folder; they meet in one process only in tests.
WORKDIR = config_flag.define_path(
    "workdir", "Folder of the run: new for --checkpoint.", allow_override=True
)
NORMALIZE = "train.normalize"
ORIGINAL_NORMALIZE = "none"  # the original's networks see 0..255
STRIDE_IN = "model.stride_in"
ORIGINAL_STRIDE_IN = "conv1"


def import_weights(config: Config, file: pathlib.Path, workdir: pathlib.Path) -> TrainState:
    """Makes a run's folder from a file of weights; its checkpoint is that of step 0.

    Args:
      config: settings of the run; `train.normalize` is how the weights were trained.
      file: tensors by the original's names.
      workdir: a new or empty folder.

    Returns:
      The state in that checkpoint.

    Raises:
      WeightsError: the file cannot be read or its tensors do not fit, listing them.
      FileNotFoundError: there is no such file.
      ValueError: the folder is not empty, or the configuration cannot be built.
    """
    if workdir.exists() and not (workdir.is_dir() and not any(workdir.iterdir())):
        raise ValueError(f"{workdir} is not empty: choose a new folder as --workdir.")
    experiment = Experiment(config)
    try:
        params, stats = from_torch(read_tensors(file), experiment.network)
    except WeightsError as error:
        message = str(error)
        raise WeightsError(
            message if str(file) in message else f"{file} does not fit the configuration: {message}"
        ) from error
    first = initial_state(params, stats, experiment.optimizer, experiment.trained_tasks)
    state = experiment.placement.put(first)
    workdir.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{workdir.name}.", dir=workdir.parent) as folder:
        complete = pathlib.Path(folder) / workdir.name
        claim_workdir(complete, experiment.config)
        record_import(complete, file, {NORMALIZE: config.train.normalize})
        checkpoints = Checkpoints(complete)
        checkpoints.save(0, state)
        checkpoints.close()
        complete.replace(workdir)  # all or nothing
    return state


def export_weights(workdir: pathlib.Path, file: pathlib.Path) -> Config:
    """Writes what stands for the run in a folder by the original's names; returns its settings.

    Raises:
      WeightsError: the format is unknown, or needs PyTorch.
      FileNotFoundError: the folder holds no run or no checkpoint.
      ValueError: its settings cannot be read.
    """
    check_format(file)
    config = recorded_config(workdir)
    experiment = Experiment(config)
    trained = restore_variables(workdir, config, experiment.network)
    tensors = state_dict(*trained.evaluated, experiment.network)
    notes = {NORMALIZE: config.train.normalize, STRIDE_IN: config.model.stride_in}
    file.parent.mkdir(parents=True, exist_ok=True)
    write_tensors(file, tensors, notes)
    return config


def main(argv: list[str]) -> None:
    """Runs the command on parsed flags."""
    del argv
    if WORKDIR.value is None or (CHECKPOINT.value is None) == (EXPORT.value is None):
        fail(
            "Say --config=FILE --checkpoint=FILE --workdir=DIR to import weights, or "
            "--workdir=DIR --export=FILE to write them."
        )
    if OVERWRITE.value and EXPORT.value is None:
        fail("--overwrite is about the file of --export: --checkpoint takes a new folder.")
    if PLUGINS.value is not None and EXPORT.value is None:
        fail("--plugins goes with --export: beside --config it is --config.plugins.")
    with told():
        if CHECKPOINT.value is not None:
            _import()
        else:
            _export()


def _import() -> None:
    if not flags.FLAGS["config"].present:
        raise ValueError("--checkpoint needs --config=FILE, the settings of its network.")
    config, file = config_flag.settings(), CHECKPOINT.value
    notes = read_notes(file)
    if config.model.stride_in not in STRIDES_IN:
        config = with_stride_in(config, notes.get(STRIDE_IN, ORIGINAL_STRIDE_IN))
    noted = notes.get(NORMALIZE)
    if config_flag.sets(NORMALIZE):
        reason = "as you say"
    else:
        normalize = noted or ORIGINAL_NORMALIZE
        reason = "as the file says" if noted else "as the original's networks need"
        config = dataclasses.replace(
            config, train=dataclasses.replace(config.train, normalize=normalize)
        )
    state = import_weights(config, file, WORKDIR.value)
    CONSOLE.print(
        f"Imported {parameter_count(state.params):,} parameters into {WORKDIR.value}, with "
        f"config.{NORMALIZE}={config.train.normalize}, {reason}. Score them with --mode=eval."
    )


def _export() -> None:
    if flags.FLAGS["config"].present:
        raise ValueError(
            f"--export takes the settings recorded in {WORKDIR.value}: leave out --config."
        )
    plugins.load(PLUGINS.value or "")
    file = arguments.output_file(EXPORT.value, OVERWRITE.value, flag="--export")
    config = export_weights(WORKDIR.value, file)
    scaling = f"config.{NORMALIZE}={config.train.normalize}"
    stride = f"config.{STRIDE_IN}={config.model.stride_in}"
    CONSOLE.print(
        f"Wrote {file}: weights of {', '.join(config.tasks)} for images scaled as {scaling}."
    )
    if not read_notes(file):
        CONSOLE.print(
            f"Only .safetensors files note that: import this one with --{scaling} --{stride}."
        )


if __name__ == "__main__":
    config_flag.run(main, configured=False)
