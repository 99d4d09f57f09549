"""A folder as model hubs have them: model card, settings and variables, which `load` reads back."""

import dataclasses
import pathlib
import tempfile

import jax.numpy as jnp

from astmt_jax.config import DATA_DIR, Config
from astmt_jax.evaluation.results import RESULTS_FILE, read_results
from astmt_jax.export import card
from astmt_jax.export.program import ALL_TASKS
from astmt_jax.export.request import Request
from astmt_jax.files import storage
from astmt_jax.plugins import JOIN, names
from astmt_jax.trained_model import Model
from astmt_jax.training.state import TrainedVariables
from astmt_jax.training.trained import is_hub_folder
from astmt_jax.training.variables_file import VARIABLES_FILE, write_variables
from astmt_jax.training.workdir import CONFIG_FILE, imported_settings

CARD_FILE = "README.md"


def export(model: Model, request: Request) -> str:
    """Writes the folder; returns what is in it.

    A folder that is there keeps its other files. results.json of the run goes into the card if it
    is of the same step as the network.

    Raises:
      ValueError: one task was asked for, or results.json cannot be read or is of other tasks.
      OSError: the folder cannot be written.
    """
    if request.task != ALL_TASKS:
        raise ValueError(
            f"--format=hub writes the whole network: leave out --task={request.task}, or write "
            "that task's weights to a file in .safetensors."
        )
    if request.output.exists() and not request.output.is_dir():
        raise FileExistsError(f"{request.output} is a file, but --format=hub writes a folder.")
    results = _results(model, request.workdir)
    text = card.model_card(model, results, _start(request.workdir))
    request.output.mkdir(parents=True, exist_ok=True)
    prefix = f".{request.output.name}."
    with tempfile.TemporaryDirectory(prefix=prefix, dir=request.output.parent) as folder:
        complete = pathlib.Path(folder)
        write_variables(complete / VARIABLES_FILE, _variables(model))
        storage.write_json(complete / CONFIG_FILE, published(model.config).to_dict())
        storage.write_text(complete / CARD_FILE, text)
        # The settings go first and come last: weights never lie beside those of another network.
        (request.output / CONFIG_FILE).unlink(missing_ok=True)
        for name in (VARIABLES_FILE, CARD_FILE, CONFIG_FILE):
            (complete / name).replace(request.output / name)
    scored = "the scores in results.json" if results else "no scores: the network was not scored"
    return f"{CARD_FILE} with {scored}, {CONFIG_FILE} and {VARIABLES_FILE}"


def published(config: Config) -> Config:
    """The settings without what they tell of this machine: paths become names."""
    pretrained, origin = config.model.pretrained, config.init_from
    plugins = [pathlib.PurePath(name).name for name in names(config.plugins)]
    return dataclasses.replace(
        config,
        dataset=dataclasses.replace(config.dataset, data_dir=DATA_DIR),
        model=dataclasses.replace(
            config.model, pretrained=pretrained and pathlib.PurePath(pretrained).name
        ),
        train=dataclasses.replace(config.train, best_by=None, baselines=None, trackers=()),
        init_from=origin and (pathlib.PurePath(origin).name or "run"),
        plugins=JOIN.join(plugins),
    )


def _start(workdir: pathlib.Path) -> str | None:
    """What a folder holds of how the run began, in words; None where its settings say all."""
    if imported_settings(workdir):
        return "The run began with weights imported from a file."
    if is_hub_folder(workdir):
        return "The network was read from a folder for a hub, which does not say how its run began."
    return None


def _variables(model: Model) -> TrainedVariables:
    return TrainedVariables(jnp.int32(model.step), model.params, model.stats)


def _results(model: Model, workdir: pathlib.Path) -> dict | None:
    """What results.json holds, if there is one and it is of this network."""
    path = workdir / RESULTS_FILE
    if not path.exists():
        return None
    results = read_results(path)
    return results if results.get("step") == model.step else None
