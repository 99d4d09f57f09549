"""A model card, written from a run: what the network is, learnt from what, and how good."""

import math
from collections.abc import Mapping
from typing import Any

import jax
import yaml

from astmt_jax.config import Config
from astmt_jax.datasets import registry
from astmt_jax.datasets.dataset import Dataset
from astmt_jax.evaluation.tables import result_row
from astmt_jax.files.messages import one_line
from astmt_jax.tasks.task import Task
from astmt_jax.trained_model import Model

SOFTWARE = "astmt_jax"
PAPER = "https://arxiv.org/abs/1904.08918"
OTHER = "other"
MAX_NAME = 80


def model_card(model: Model, results: Mapping[str, Any] | None, start: str | None) -> str:
    """The text of a hub's README.md: front matter in YAML, then Markdown.

    Args:
      model: the network.
      results: what `read_results` gave for it; None if it was not scored.
      start: a sentence on how its run began, where the settings do not tell; None if they do.

    Raises:
      ValueError: the results are not of the network's tasks.
    """
    dataset = registry.find(model.config.dataset.name)
    rows = [] if results is None else [result_row(t, results["results"]) for t in model.tasks]
    start = start or _recorded_start(model)
    foreign = start is not None
    licence = OTHER if foreign else dataset.licence
    front = _front_matter(model, licence, results)
    sections = (
        _introduction(model),
        _use(model),
        _training(model, dataset, start or "All initial weights were drawn at random."),
        _metrics(results, rows),
        _limits(model),
        _licence(model, licence, foreign),
    )
    dumped = yaml.safe_dump(front, sort_keys=False, allow_unicode=True)
    return f"---\n{dumped}---\n\n" + "\n\n".join(sections) + "\n"


def _front_matter(model: Model, licence: str, results: Mapping[str, Any] | None) -> dict[str, Any]:
    options, dataset = model.config.dataset.options, model.config.dataset.name
    front = {
        "license": licence,
        "library_name": SOFTWARE,
        "tags": ["jax", "flax", "multi-task-learning", "dense-prediction", *model.network.names],
        "datasets": list(registry.find(dataset).names(options)),
        "metrics": sorted({task.notation[task.headline].label for task in model.tasks}),
    }
    if results is None:
        return front
    numbers = [(task, results["results"][task.name][task.headline]) for task in model.tasks]
    scored = [
        {
            "task": {"type": "image-to-image", "name": task.name},
            "dataset": {"type": dataset, "name": dataset, "split": _split(results)},
            "metrics": [
                {"type": task.headline, "name": task.notation[task.headline].label, "value": number}
            ],
        }
        for task, number in numbers
        if not math.isnan(number)
    ]
    return front | {"model-index": [{"name": _title(model), "results": scored}]}


def _split(results: Mapping[str, Any]) -> str:
    return one_line(str(results.get("split", "?")), MAX_NAME)


def _title(model: Model) -> str:
    names = model.network.names
    tasks = names[0] if len(names) == 1 else f"{len(names)} tasks"
    return f"{model.config.model.backbone} for {tasks} of {model.config.dataset.name}"


def _introduction(model: Model) -> str:
    names = ", ".join(model.network.names)
    paper = (
        f"[Attentive Single-Tasking of Multiple Tasks]({PAPER}) (Maninis, Radosavovic and "
        "Kokkinos, CVPR 2019)"
    )
    if len(model.network.names) == 1:
        text = f"A network for dense prediction of one task: {names}."
    elif jax.tree.leaves(model.params.task):
        text = (
            f"One network for dense prediction that performs one task at a time: {names}. Its "
            "tasks share weights, and with some of its own each task modulates the shared "
            f"features, as in {paper}."
        )
    else:
        text = (
            f"One network for dense prediction of several tasks: {names}. They share its features; "
            f"each has a prediction layer of its own, as plain multi-task learning in {paper}."
        )
    return f"# {_title(model)}\n\n{text} It was trained with {SOFTWARE}."


def _use(model: Model) -> str:
    lines = [
        "## Use",
        "```python\n"
        "from astmt_jax import load\n\n"
        'predictions = load("FOLDER").predict("photo.jpg")  # a dict from task to array\n'
        "```",
        "| task | a pixel's prediction |\n|---|---|\n"
        + "\n".join(f"| {task.name} | {_prediction(task)} |" for task in model.tasks),
    ]
    return "\n\n".join(lines)


def _prediction(task: Task) -> str:
    if task.class_names:
        names = [one_line(name, MAX_NAME) for name in task.class_names]
        return f"one of {len(names)} classes: {', '.join(names)}"
    kind = "a unit vector" if task.unit_length else "a number"
    if task.channels > 1 and not task.unit_length:
        kind = f"{task.channels} numbers"
    return f"{kind} in {task.color_bar_unit}" if task.color_bar_unit else kind


def _recorded_start(model: Model) -> str | None:
    """What the run began with, by its settings; None where all was drawn at random."""
    if model.config.model.pretrained is not None:
        return "The encoder's initial weights were those of an ImageNet classifier."
    if model.config.init_from is None:
        return None
    start = "The run began with the variables of another run"
    if model.config.freeze is None:
        return f"{start}."
    return f"{start}, and trained only those of {', '.join(model.config.learning_tasks)}."


def _training(model: Model, dataset: Dataset, start: str) -> str:
    config = model.config
    split = config.dataset.train_split or dataset.train_split
    layout = dataset.layout(config.dataset.options, config.learning_tasks)
    images = config.train.batch_size * layout.size
    return (
        "## Training data\n\n"
        f"`{dataset.name}`, split `{split}`. {dataset.describe(config.dataset.options)}\n\n"
        f"{start} It went on for {model.step:,} batches of {images} images "
        f"of {config.train.image_size} x {config.train.image_size} pixels, with seed "
        f"{config.seed}; `config.json` has the settings.{_choice(config)}"
    )


def _choice(config: Config) -> str:
    """By what the checkpoint was chosen among those of the run, as a sentence."""
    if config.train.best_by is None:
        return ""
    split = config.dataset.validation_split
    return f" It was chosen among the run's checkpoints by `{config.train.best_by}` on `{split}`."


def _metrics(results: Mapping[str, Any] | None, rows: list) -> str:
    if results is None:
        return "## Metrics\n\nThe network was not scored."
    table = "\n".join(
        f"| {name} | {metric} | {value} | {'; '.join(others)} |"
        for name, metric, value, others in rows
    )
    images = one_line(str(results.get("images", "?")), MAX_NAME)
    protocol = one_line(str(results.get("protocol", "astmt")), MAX_NAME)
    return (
        f"## Metrics\n\nOn the {images} images of split `{_split(results)}`, by the protocol "
        f"`{protocol}`, of this one training run:\n\n"
        f"| task | metric | value | other metrics |\n|---|---|---:|---|\n{table}"
    )


def _limits(model: Model) -> str:
    config = model.config
    classes = any(task.class_names for task in model.tasks)
    known = "knows the classes above and no others, and " if classes else ""
    return (
        "## Intended use and limits\n\n"
        f"For research on dense prediction and multi-task learning, on pictures like those of "
        f"`{config.dataset.name}`. How it does on any others was not measured. Predictions are "
        f"best where the network sees a picture's longer side at about {config.train.image_size} "
        "pixels, as in training; `load(...).predict` scales to that. It "
        f"{known}says of every pixel something, without a measure of how sure it is. "
        "It was not made for, and not tested for, decisions that could harm people."
    )


def _licence(model: Model, licence: str, foreign: bool) -> str:
    dataset = f"`{model.config.dataset.name}`"
    if licence == OTHER:
        learnt = f"{dataset} and of the weights that the run began with" if foreign else dataset
        text = (
            f"The terms of {learnt} decide what these weights may be used for: look them up, and "
            "name the licence in `license` at the top of this card before you publish it."
        )
    else:
        text = (
            f"The weights are under `{licence}`, as {dataset}, from which they were learnt, allows."
        )
    return f"## Licence\n\n{text} The software is under Apache-2.0."
