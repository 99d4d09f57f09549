"""Everything that a report shows of a run, computed from its folder and its data."""

import dataclasses
import functools
import pathlib
import time
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from astmt_jax.config import Config, EvaluationConfig
from astmt_jax.datasets import registry
from astmt_jax.evaluation import inference
from astmt_jax.evaluation.results import RESULTS_FILE, noted_choices, read_results
from astmt_jax.evaluation.scoring import applied_to
from astmt_jax.pipeline import batches as pipeline
from astmt_jax.pipeline.source import Source
from astmt_jax.report.confusion import confusion_matrix
from astmt_jax.report.curves import Curve, read_curves
from astmt_jax.report.examples import Examples, score_examples, select_examples
from astmt_jax.report.gradients import GradientCosines, gradient_cosines
from astmt_jax.report.modulation import Modulation, embed, read_modulation
from astmt_jax.report.probes import layer_order
from astmt_jax.runtime.console import CONSOLE, format_duration, tracked
from astmt_jax.tasks.task import Task
from astmt_jax.trained_model import Model, load
from astmt_jax.training.experiment import Experiment, Splits

NUM_SHOWN = 3
NUM_WORST = 4
MODULATION_IMAGES = 32
"""As many as the paper's t-SNE has."""
GRADIENT_BATCHES = 4
EMBEDDED_LAYERS = 6


@dataclasses.dataclass(frozen=True)
class Measured:
    """What a report shows of a run that takes its data to find out.

    Attributes:
      examples: images to show.
      num_scored: how many images the worst were chosen from.
      split: what these images are called.
      modulation: what tasks own, layer by layer.
      embeddings: t-SNE of the gates of some layers, (T, N, 2) by path.
      confusion: the discriminator's decisions, (T, T); None without a discriminator.
      gradients: cosines between the tasks' gradients, by what was differentiated.
    """

    examples: Examples
    num_scored: int
    split: str
    modulation: Modulation
    embeddings: Mapping[str, np.ndarray]
    confusion: np.ndarray | None
    gradients: Mapping[str, GradientCosines]


@dataclasses.dataclass(frozen=True)
class Analysis:
    """What a report shows of a run.

    Attributes:
      config: its settings.
      step: batches that its checkpoint has seen.
      evaluation: the choices that its results were scored by.
      tasks: records, in the order of all matrices, with these choices.
      curves: scalars over training, by TensorBoard's tag.
      results: content of results.json (see `read_results`); None where there is none yet.
      measured: on its data; None where they are not there.
    """

    config: Config
    step: int
    evaluation: EvaluationConfig
    tasks: tuple[Task, ...]
    curves: Mapping[str, Curve]
    results: Mapping[str, Any] | None
    measured: Measured | None


@dataclasses.dataclass(frozen=True)
class TrainedRun:
    """A trained network and the experiment that it comes from.

    Attributes:
      name: of its folder.
      model: that of the checkpoint that stands for it.
      experiment: its data and its training step.
    """

    name: str
    model: Model
    experiment: Experiment

    @property
    def variables(self) -> tuple:
        """Parameters and statistics."""
        return self.model.params, self.model.stats

    @classmethod
    def open(cls, workdir: pathlib.Path, data_dir: pathlib.Path) -> "TrainedRun":
        """Loads a run, which does not choose where data are read; all its tasks are looked at.

        Errors as `load` and `Experiment` have them.
        """
        model = load(workdir)
        dataset = dataclasses.replace(model.config.dataset, data_dir=str(data_dir))
        config = dataclasses.replace(model.config, dataset=dataset, freeze=None, trained_tasks=())
        experiment = Experiment(config)
        return cls(workdir.resolve().name, model, experiment)

    def without_discriminator(self) -> Experiment:
        """The same experiment with objectives that are the tasks' losses alone."""
        config = self.experiment.config
        discriminator = dataclasses.replace(config.discriminator, weight=0.0)
        return Experiment(dataclasses.replace(config, discriminator=discriminator))


def analyse(
    workdir: pathlib.Path,
    beside: pathlib.Path | None,
    num_images: int,
    data_dir: pathlib.Path,
) -> Analysis:
    """Computes everything, with progress on the terminal.

    Args:
      workdir: of the run.
      beside: of another run, with the same tasks, whose gradients are to be compared.
      num_images: how many images, evenly spaced over the evaluation split, are scored one by one.
      data_dir: where prepared datasets live; nothing is prepared there.

    Raises:
      ValueError: the other run has other tasks or data, results.json cannot be read, or what `load`
        raises.
      FileNotFoundError: there is no run or no checkpoint.
    """
    run = TrainedRun.open(workdir, data_dir)
    other = None if beside is None else TrainedRun.open(beside, data_dir)
    if other is not None:
        _check_alike(run, other)
    results = workdir / RESULTS_FILE
    found = read_results(results) if results.exists() else None
    evaluation = noted_choices(found or {}, run.experiment.config.evaluation, results)
    tasks = applied_to(evaluation, registry.tasks_of(run.experiment.config))
    splits = _splits(run)
    stage = Stages(1 if splits is None else 6)
    stage("training curves")
    return Analysis(
        config=run.experiment.config,
        step=run.model.step,
        evaluation=evaluation,
        tasks=tasks,
        curves=read_curves(workdir),
        results=found,
        measured=None
        if splits is None
        else _measured(run, other, tasks, splits, num_images, stage),
    )


def _splits(run: TrainedRun) -> Splits | None:
    """The run's data; None, which is told, where they are not there."""
    try:
        return run.experiment.open_splits(prepare=False)
    except FileNotFoundError as error:
        CONSOLE.print(
            f"Without images and what is found from them: {error} "
            "Say where they are with --data_dir=DIR."
        )
        return None


def _measured(
    run: TrainedRun,
    other: TrainedRun | None,
    tasks: tuple[Task, ...],
    splits: Splits,
    num_images: int,
    stage: "Stages",
) -> Measured:
    source = evenly_spaced(splits.evaluation, num_images)
    network = run.experiment.network
    stage(f"scores of {source.length} single images")
    examples = _examples(run, tasks, source)
    stage("modulation of every layer")
    images = _network_images(run, evenly_spaced(splits.evaluation, MODULATION_IMAGES))
    modulation = read_modulation(network, *run.variables, images)
    stage("t-SNE of squeeze-and-excitation")
    embeddings = {path: embed(modulation.gates[path]) for path in _chosen(modulation.gates)}
    drawn = run.experiment.train_batches(splits.training, GRADIENT_BATCHES)
    batches = [run.experiment.seen_by_tasks(batch) for batch in drawn]
    stage("gradients on the shared weights")
    gradients = _gradients(run, other, batches)
    stage("decisions of the discriminator")
    confusion = (
        confusion_matrix(run.experiment.objective, *run.variables, batches)
        if network.has_discriminator
        else None
    )
    return Measured(
        examples=examples,
        num_scored=source.length,
        split=splits.evaluation.name,
        modulation=modulation,
        embeddings=embeddings,
        confusion=confusion,
        gradients=gradients,
    )


class Stages:
    """Lines that tell what is being done and how long it has taken so far.

    Args:
      total: number of stages.
    """

    def __init__(self, total: int):
        self._total = total
        self._number = 0
        self._start = time.perf_counter()

    def __call__(self, title: str) -> None:
        """Begins the next stage."""
        self._number += 1
        elapsed = format_duration(time.perf_counter() - self._start)
        CONSOLE.print(f"[{elapsed}] {self._number}/{self._total} {title}")


def evenly_spaced(source: Source, count: int) -> Source:
    """`count` examples of a source, or all if it has fewer."""
    count = min(count, source.length)
    return source.select([i * source.length // count for i in range(count)])


def _check_alike(run: TrainedRun, other: TrainedRun) -> None:
    first, second = run.model.config, other.model.config
    for what, a, b in (
        ("tasks", first.tasks, second.tasks),
        ("dataset.name", first.dataset.name, second.dataset.name),
    ):
        if a != b:
            raise ValueError(
                f"config.{what} of the run beside is {b!r}, but must be {a!r}, that of the run."
            )


def _examples(run: TrainedRun, tasks: tuple[Task, ...], source: Source) -> Examples:
    mesh = jax.make_mesh(
        (1,), ("data",), axis_types=(AxisType.Auto,), devices=jax.local_devices()[:1]
    )
    predicted = inference.predictions(
        tasks,
        functools.partial(run.experiment.predict, *run.variables),
        source,
        run.experiment.input,
        NamedSharding(mesh, PartitionSpec("data")),
    )
    examples = tracked(predicted, source.name, source.length)
    scored = score_examples(examples, tasks, run.experiment.config.evaluation.quantize)
    return select_examples(scored, tasks, source.length, NUM_SHOWN, NUM_WORST)


def _network_images(run: TrainedRun, source: Source) -> np.ndarray:
    """All images of a source as the network sees them, float32 (N, S, S, 3)."""
    settings = dataclasses.replace(run.experiment.input, batch_size=source.length)
    return next(pipeline.eval_batches(source, run.experiment.tasks, settings)).images


def _gradients(
    run: TrainedRun, other: TrainedRun | None, batches: list[list[pipeline.Batch]]
) -> dict[str, GradientCosines]:
    """Cosines by what was differentiated; none for a single task."""
    if len(run.experiment.tasks) < 2:
        return {}
    compared = {"task losses": (run, run.without_discriminator())}
    if run.experiment.network.has_discriminator:
        compared["task losses and discriminator"] = (run, run.experiment)
    if other is not None:
        compared[f"task losses, {other.name}"] = (other, other.without_discriminator())
    cosines = {}
    for label, (owner, experiment) in compared.items():
        image_size = owner.experiment.config.train.image_size
        layers = layer_order(owner.experiment.network, *owner.variables, image_size)
        counted = tracked(batches, label)
        cosines[label] = gradient_cosines(experiment.objective, *owner.variables, counted, layers)
    return cosines


def _chosen(gates: Mapping[str, np.ndarray]) -> list[str]:
    """Layers from the first to the last, evenly spaced."""
    count = min(EMBEDDED_LAYERS, len(gates))
    indices = np.linspace(0, len(gates) - 1, count).round().astype(int) if count else []
    return [list(gates)[index] for index in indices]
