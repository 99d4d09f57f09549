"""The sections of a report that do not look inside the network, from the analysis of a run."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from flax.traverse_util import flatten_dict

from astmt_jax.evaluation import published
from astmt_jax.evaluation.published_tables import PUBLISHED
from astmt_jax.evaluation.tables import HEADINGS, result_row
from astmt_jax.metrics.summary import Results
from astmt_jax.report import details, figures, pictures
from astmt_jax.report.analysis import Analysis, Measured
from astmt_jax.report.blocks import Block, Details, Picture, Row, Section, Table, Text
from astmt_jax.report.curves import by_task
from astmt_jax.report.with_data import with_data
from astmt_jax.tasks.task import Task
from astmt_jax.training.tags import SPLITS

ROUNDED = "Each image is scored alone; the split's score is computed from all images together."


def sections(analysis: Analysis) -> list[Section]:
    """All sections that do not look inside the network, in order."""
    return [
        Section("configuration", "Configuration", list(_configuration(analysis))),
        Section("results", "Results", list(_results(analysis))),
        Section("curves", "Training curves", list(_curves(analysis))),
        Section("edges", "Precision and recall of edges", list(_precision_recall(analysis))),
        Section("classes", "Classes", list(_classes(analysis))),
        Section("examples", "Predictions and truth", with_data(analysis, _examples)),
        Section("failures", "Failure cases", with_data(analysis, _failures)),
    ]


def _configuration(analysis: Analysis) -> Iterator[Block]:
    config = analysis.config
    headline = {
        "dataset": config.dataset.name,
        "tasks": ", ".join(config.tasks),
        "backbone": f"{config.model.backbone}, width {config.model.width_multiplier:g}",
        "owned by each task": ", ".join(_owned(analysis)) or "prediction layers only",
        "discriminator": (
            f"weight {config.discriminator.weight:g}" if config.discriminator.weight else "none"
        ),
        "update": config.train.update_rule,
        "scored by": f"protocol {analysis.evaluation.protocol}",
        "checkpoint": f"step {analysis.step:,}",
    }
    yield Table("The run in short", ("setting", "value"), list(headline.items()))
    fields = flatten_dict({"config": config.to_dict()}, sep=".", is_leaf=_is_empty)
    rows = [(name, json.dumps(value)) for name, value in fields.items()]
    yield Details("Every setting", [Table("All settings", ("field", "value"), rows)])


def _is_empty(path: tuple[str, ...], values: Any) -> bool:
    """Whether a section has no field, which is to be seen, too."""
    del path
    return not values


def _owned(analysis: Analysis) -> Iterator[str]:
    model = analysis.config.model
    for owned, part in (
        (model.encoder_norm == "per_task", "batch norm (encoder)"),
        (model.encoder_se == "per_task", "squeeze-and-excitation (encoder)"),
        (model.encoder_adapters, "adapters (encoder)"),
        (model.decoder_norm == "per_task", "batch norm (decoder)"),
        (model.decoder_se, "squeeze-and-excitation (decoder)"),
        (model.decoder_adapters, "adapters (decoder)"),
    ):
        if owned:
            yield part


def _results(analysis: Analysis) -> Iterator[Block]:
    if analysis.results is None:
        yield Text("There is no results.json yet: it is written at the end of training.")
        return
    results, step = analysis.results["results"], analysis.results.get("step")
    if step != analysis.step:
        yield Text(
            f"These are results of step {step}, but the checkpoint is of step {analysis.step}: "
            "score it with astmt_jax.main --mode=eval."
        )
    yield _result_table(analysis.tasks, results)
    yield from _published(analysis, results)


def _result_table(tasks: Sequence[Task], results: Results) -> Table:
    rows = [result_row(task, results) for task in tasks]
    caption = "Results of the evaluation split (↑ higher is better, ↓ lower is better)"
    return Table(caption, HEADINGS, [(*row, ", ".join(others)) for *row, others in rows])


def _published(analysis: Analysis, results: Results) -> Iterator[Block]:
    """What others published, where it means the same."""
    config, protocol = analysis.config, analysis.evaluation.protocol
    split = (analysis.results or {}).get("split", config.dataset.eval_split)
    beside = published.find(PUBLISHED, config, protocol, split, analysis.tasks)
    if isinstance(beside, str):
        yield Text(beside)
        return
    headlines = {task.name: results[task.name][task.headline] for task in beside.tasks}
    headings, *rows = published.written(
        beside, [published.our_row("this run", beside.tasks, headlines)]
    )
    yield Table(f"Beside published results: {beside.published.setting}", headings, rows)
    for sentence in beside.notes:
        yield Text(sentence)


def _curves(analysis: Analysis) -> Iterator[Block]:
    losses = by_task(analysis.curves, "loss")
    if not losses:
        yield Text("The folder has no event files: these weights were not trained here.")
        return
    yield Picture(
        figures.svg_url(figures.small_multiples(losses)),
        "One plot a task: its loss falls over the steps of training from "
        + "; ".join(f"{n}: {c.values[0]:.3g} to {c.values[-1]:.3g}" for n, c in losses.items()),
        "Loss of every task with its weight, mean over the steps since the point before.",
    )
    yield from _evaluations(analysis)
    others = {tag: curve for tag, curve in analysis.curves.items() if "/" not in tag}
    yield Picture(
        figures.svg_url(figures.small_multiples(others)),
        f"Over the steps of training: {', '.join(others)}.",
        "What else was logged.",
    )


def _evaluations(analysis: Analysis) -> Iterator[Block]:
    """The headline metrics over training, where it was evaluated on the way."""
    for prefix, split in SPLITS.items():
        curves = by_task(analysis.curves, prefix)
        curves = {name: curve for name, curve in curves.items() if len(curve.steps) > 1}
        if curves:
            yield Picture(
                figures.svg_url(figures.small_multiples(curves)),
                f"Over the steps of training: {', '.join(curves)}.",
                f"Headline metrics during training, on {split}.",
            )


def _precision_recall(analysis: Analysis) -> Iterator[Block]:
    of_edges = [
        (task, details.edges_of(task, found))
        for task, found in _details(analysis)
        if "curve" in found
    ]
    for task, found in of_edges:
        curve, protocol = found.curve, found.protocol
        yield Picture(
            figures.svg_url(figures.precision_recall(curve)),
            f"Precision over recall of {task.name}; the best F is {max(curve.f):.3f}.",
            f"Protocol {protocol.name}: tolerance {protocol.max_dist} of the diagonal, "
            f"{len(protocol.thresholds)} thresholds, "
            f"{'with' if protocol.non_maximum_suppression else 'without'} non-maximum "
            f"suppression; {found.images:,} images. Green lines have equal F.",
        )
    if not of_edges:
        yield Text("results.json holds no precision-recall curve.")


def _classes(analysis: Analysis) -> Iterator[Block]:
    of_classes = [
        (task, details.classes_of(task, found))
        for task, found in _details(analysis)
        if "classes" in found
    ]
    for task, found in of_classes:
        there = {name: row for name, row in found.classes.items() if row.pixels}
        if not there:
            yield Text(f"{task.name}: no class occurs in the truth.")
            continue
        ious = "; ".join(f"{name} {100 * row.iou:.0f}%" for name, row in there.items())
        yield Picture(
            figures.svg_url(figures.class_bars(there)),
            f"Intersection over union of {task.name} by class: {ious}.",
            f"{task.name}: IoU by class, with the class's share of the labelled pixels; "
            f"{found.images:,} images.",
        )
    if not of_classes:
        yield Text("No task has classes, or results.json holds no table of them.")


def _details(analysis: Analysis) -> Iterator[tuple[Task, Mapping[str, Any]]]:
    found = (analysis.results or {}).get("details", {})
    for task in analysis.tasks:
        if task.name in found:
            yield task, found[task.name]


def _examples(analysis: Analysis, measured: Measured) -> Iterator[Block]:
    yield Text(
        "Prediction on the left of the line, truth on the right. The slider moves the line, with "
        f"the mouse or the arrow keys. {ROUNDED}"
    )
    for scored in measured.examples.shown:
        sliders = [pictures.slider(task, scored) for task in analysis.tasks]
        yield Row(scored.example.name, [pictures.photo(scored), *sliders])


def _failures(analysis: Analysis, measured: Measured) -> Iterator[Block]:
    yield Text(
        f"The worst of {measured.num_scored:,} images of {measured.split}, by each task's headline "
        f"metric; images without a label for the task do not count. {ROUNDED}"
    )
    for task in analysis.tasks:
        scores = sorted(measured.examples.scores[task.name])
        if not scores:
            yield Text(f"{task.name}: none of the images is labelled.")
            continue
        metric = task.notation[task.headline]
        pairs = []
        for scored in measured.examples.worst[task.name]:
            pairs += [pictures.photo(scored), pictures.slider(task, scored)]
        median = metric.write(scores[len(scores) // 2])
        yield Row(f"{task.name} (median {metric.label} of an image: {median})", pairs)
