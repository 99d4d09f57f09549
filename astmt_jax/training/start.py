"""The variables that a run starts with: drawn, a classifier's, or another run's."""

import jax

from astmt_jax.config import Config
from astmt_jax.models.network import Network
from astmt_jax.models.variables import parameter_count
from astmt_jax.runtime.console import CONSOLE
from astmt_jax.training import origin
from astmt_jax.training.matching import Variables
from astmt_jax.training.trained_tasks import TrainedTasks
from astmt_jax.weights import imagenet
from astmt_jax.weights.checks import WeightsError


def from_classifier(config: Config, network: Network, drawn: Variables) -> Variables:
    """The variables with the encoder of the file `model.pretrained`, said on the terminal.

    Raises:
      WeightsError: the file cannot be read or does not fit the encoder.
      FileNotFoundError: there is no such file.
    """
    model = config.model
    tensors = imagenet.read_classifier(model.pretrained or "")
    try:
        variables = imagenet.load_encoder(tensors, *drawn, network)
    except WeightsError as error:
        raise WeightsError(
            f"{model.pretrained} does not fit backbone {model.backbone}: {error}"
        ) from error
    CONSOLE.print(
        f"The encoder starts from {model.pretrained}, with model.stride_in={model.stride_in}.",
        markup=False,
    )
    if note := imagenet.scaling_note(config):
        CONSOLE.print(note)
    return variables


def from_run(
    config: Config,
    drawn: Variables,
    trained_tasks: TrainedTasks | None,
    sharding: jax.sharding.Sharding,
) -> Variables:
    """The variables with what fits of the run of `init_from`, said on the terminal.

    Arguments and errors as `origin.take`.
    """
    variables, lines = origin.take(config, drawn, sharding)
    if trained_tasks is not None:
        trained, _ = trained_tasks.of(*variables)
        lines.append(
            f"Trained: {parameter_count(trained):,} of {parameter_count(variables[0]):,} "
            f"parameters, those of {', '.join(config.learning_tasks)}. Everything else stays as "
            "it is, and there is no discriminator, which is about what tasks share."
        )
    for line in lines:
        CONSOLE.print(line, markup=False)
    return variables
