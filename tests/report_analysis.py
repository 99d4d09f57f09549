"""Analysis of a run that never was: everything that a report shows, at random."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from astmt_jax.config import EvaluationConfig, from_config_dict
from astmt_jax.datasets import registry
from astmt_jax.datasets.dataset import NO_OPTIONS
from astmt_jax.evaluation.inference import Predicted
from astmt_jax.evaluation.scoring import applied_to
from astmt_jax.report.analysis import Analysis, Measured
from astmt_jax.report.curves import Curve
from astmt_jax.report.examples import Examples, Scored
from astmt_jax.report.gradients import GradientCosines
from astmt_jax.report.modulation import Modulation
from configs import scenes

SIZE = 24
NAMES = ("first <image>", "second")
LAYERS = ("encoder.stages.0.0.se", "decoder.fuse.se")


def make_analysis(
    variant: str = "",
    dataset: str = "scenes",
    options: Mapping[str, Any] = NO_OPTIONS,
    **choices: Any,
) -> Analysis:
    """Analysis of the configuration configs/scenes.py:`variant`, said to be of `dataset`."""
    random = np.random.default_rng(0)
    config = scenes.get_config(variant)
    config.dataset.name = dataset
    if dataset != "scenes":
        config.dataset.options = dict(options)
    config = from_config_dict(config)
    evaluation = EvaluationConfig(**choices)
    tasks = applied_to(evaluation, registry.tasks_of(config))
    count = len(tasks)
    scored = [_scored(random, name, tasks) for name in NAMES]
    steps = np.array([25, 50, 75])
    metrics = ("loss", "discriminator_accuracy")
    curves = {f"{m}/{t.name}": Curve(steps, random.random(3)) for m in metrics for t in tasks}
    curves["learning_rate"] = Curve(steps, random.random(3))
    gates = {layer: random.random((count, 4, 8)) for layer in LAYERS}
    adversarial = config.discriminator.weight > 0
    cosines = GradientCosines(np.eye(count), {"encoder.stem_conv": 0.1, "decoder.fuse.conv": -0.1})
    return Analysis(
        config=config,
        step=75,
        evaluation=evaluation,
        tasks=tasks,
        curves=curves,
        results=_results(scored, tasks),
        measured=Measured(
            examples=Examples(
                scored[:1],
                {task.name: scored for task in tasks},
                {task.name: [s.scores[task.name] for s in scored] for task in tasks},
            ),
            num_scored=2,
            split="split",
            modulation=Modulation(gates, {"decoder.fuse.norm": random.random((count, 8))}),
            embeddings={layer: random.random((count, 4, 2)) for layer in LAYERS},
            confusion=random.integers(1, 9, (count, count)).astype(float) if adversarial else None,
            gradients={"task losses": cosines} if count > 1 else {},
        ),
    )


def _scored(random, name, tasks):
    """Predictions that are each other's truth."""
    maps = {}
    for task in tasks:
        if task.class_names:
            values = random.integers(0, task.channels, (SIZE, SIZE, 1)).astype(np.uint8)
        elif task.channels == 1:
            values = random.integers(0, 2, (SIZE, SIZE, 1)).astype(np.float32)
        else:
            values = random.random((SIZE, SIZE, 3)).astype(np.float32)
        maps[task.name] = values
    image = random.integers(0, 256, (SIZE, SIZE, 3)).astype(np.uint8)
    predictions = {name: v[..., 0] if v.shape[-1] == 1 else v for name, v in maps.items()}
    maps |= {task.truth: maps[task.name] for task in tasks}
    return Scored(Predicted(name, image, maps, predictions), {task.name: 0.5 for task in tasks})


def _results(scored, tasks):
    """A results.json of these images."""
    metrics = {task.name: task.metric() for task in tasks}
    for item in scored:
        for name, metric in metrics.items():
            truth = item.example.truths[name]
            metric.add(
                item.example.predictions[name], truth[..., 0] if truth.shape[-1] == 1 else truth
            )
    return {
        "step": 75,
        "results": {name: metric.result() for name, metric in metrics.items()},
        "details": {name: metric.details() for name, metric in metrics.items()},
    }
