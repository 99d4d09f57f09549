"""A module of which training leaves alone what tasks share."""

from flax import nnx

from astmt_jax.models.normalization import BatchNorm
from astmt_jax.models.variables import FrozenParam, TaskStat


def freeze_shared(module: nnx.Module) -> None:
    """Makes the shared variables of a module constants of training.

    Weights become `FrozenParam`, and batch norms with shared statistics normalise by their running
    ones in training, too, and record nothing. What each task owns is as before.
    """
    for _, part in nnx.iter_modules(module):
        if isinstance(part, BatchNorm) and not isinstance(part.mean, TaskStat):
            part.fixed = True
        for name, variable in list(vars(part).items()):
            if type(variable) is nnx.Param:
                setattr(part, name, FrozenParam(variable[...], **variable.get_metadata()))
