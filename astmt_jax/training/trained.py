"""What a run came to: the variables of the checkpoint that stands for it."""

import pathlib

import jax

from astmt_jax.config import Config
from astmt_jax.models.network import Network
from astmt_jax.training.checkpoint import CHECKPOINTS, CheckpointError, Checkpoints
from astmt_jax.training.criterion import SelectionError
from astmt_jax.training.evaluations import EVALUATIONS_FILE, earlier_best
from astmt_jax.training.state import TrainedVariables
from astmt_jax.training.variables_file import VARIABLES_FILE, read_variables

LAST, BEST = "last", "best"
FOLDERS = {LAST: CHECKPOINTS, BEST: "best"}
"""Which checkpoint -> the folder in that of the run that has it."""
REMEDY = (
    f"delete it and {EVALUATIONS_FILE} next to it to choose among the checkpoints to come, leave "
    "out train.best_by, or score the last checkpoint by --mode=eval --score=last"
)
"""What else to do about a best checkpoint that is gone."""


def is_hub_folder(workdir: pathlib.Path) -> bool:
    """Whether a folder has a network's variables as a hub has them, and no checkpoints."""
    return (workdir / VARIABLES_FILE).is_file() and not (workdir / CHECKPOINTS).exists()


def standing(workdir: pathlib.Path, config: Config) -> str:
    """Which checkpoint stands for a run: `BEST` where one is chosen, as soon as there is one.

    Raises:
      SelectionError: the best one is gone.
    """
    if config.train.best_by is None:
        return LAST
    if best_step(workdir) is not None:
        return BEST
    _check_none_is_lost(workdir)
    return LAST


def _check_none_is_lost(workdir: pathlib.Path) -> None:
    """Checks that no best checkpoint was there before; that of the newest evaluation is to come."""
    file = workdir / EVALUATIONS_FILE
    step = earlier_best(file)
    if step is not None:
        raise SelectionError(
            f"{file} names the checkpoint of step {step} as the best, but there is none in "
            f"{workdir / FOLDERS[BEST]}: bring that folder back from a backup, {REMEDY}."
        )


def best_step(workdir: pathlib.Path) -> int | None:
    """Batches seen by the best checkpoint; None where there is none."""
    if not (workdir / FOLDERS[BEST]).is_dir():
        return None
    with Checkpoints(workdir, read_only=True, name=FOLDERS[BEST]) as checkpoints:
        return checkpoints.latest_step()


def restore_variables(
    workdir: pathlib.Path,
    config: Config,
    network: Network,
    sharding: jax.sharding.Sharding | None = None,
    which: str | None = None,
) -> TrainedVariables:
    """What predicts, of one of a run's checkpoints, whole on this process.

    The run may still be going on; the folder may also be one for a hub, which holds nothing else.
    Errors as `Checkpoints.restore` and `standing`, and of such a folder `read_variables`.

    Args:
      workdir: the run's folder.
      config: its settings.
      network: which they describe.
      sharding: of every array, such as one on every device; None is this process's first device.
      which: `LAST`, the newest, or `BEST`; None is the one that stands for the run.
    """
    if sharding is None:
        sharding = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    variables = jax.eval_shape(network.init, jax.random.key(config.seed))
    described = TrainedVariables.described(variables, config.optimizer.ema_decay)
    like = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding), described
    )
    if is_hub_folder(workdir):
        return read_variables(workdir / VARIABLES_FILE, like)
    which = which or standing(workdir, config)
    with Checkpoints(workdir, read_only=True, name=FOLDERS[which]) as checkpoints:
        try:
            return checkpoints.restore_variables(like)
        except CheckpointError as error:
            if which == LAST:
                raise
            raise CheckpointError(
                f"The best checkpoint in {workdir / FOLDERS[BEST]} cannot be read: bring that "
                f"folder back from a backup, {REMEDY}."
            ) from error
