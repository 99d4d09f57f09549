"""What a run came to: the variables of the checkpoint that stands for it."""

import pathlib

import jax

from astmt_jax.config import Config
from astmt_jax.models.network import Network
from astmt_jax.training.checkpoint import CHECKPOINTS, Checkpoints
from astmt_jax.training.state import TrainedVariables

LAST, BEST = "last", "best"
FOLDERS = {LAST: CHECKPOINTS, BEST: "best"}
"""Which checkpoint -> the folder in that of the run that has it."""


def standing(workdir: pathlib.Path, config: Config) -> str:
    """Which checkpoint stands for a run: `BEST` where one is chosen, as soon as there is one."""
    has_best = config.train.best_by is not None and best_step(workdir) is not None
    return BEST if has_best else LAST


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

    The run may still be going on. Errors as `Checkpoints.restore`.

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
    folder = FOLDERS[which or standing(workdir, config)]
    with Checkpoints(workdir, read_only=True, name=folder) as checkpoints:
        return checkpoints.restore_variables(like)
