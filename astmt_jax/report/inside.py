"""The sections of a report that look inside the network: what tasks own, and what they share."""

from collections.abc import Iterator, Mapping

import numpy as np

from astmt_jax.report import figures
from astmt_jax.report.analysis import Analysis, Measured
from astmt_jax.report.blocks import Block, Picture, Section, Table, Text
from astmt_jax.report.confusion import shares
from astmt_jax.report.curves import by_task
from astmt_jax.report.gradients import mean_of_pairs
from astmt_jax.report.modulation import LayerDistances, gate_distances, scale_distances
from astmt_jax.report.with_data import with_data


def sections(analysis: Analysis) -> list[Section]:
    """The sections, in order."""
    return [
        Section("modulation", "Where the tasks part", with_data(analysis, _modulation)),
        Section("discriminator", "The discriminator", with_data(analysis, _discriminator)),
        Section("gradients", "Gradients on the shared weights", with_data(analysis, _gradients)),
    ]


def _modulation(analysis: Analysis, measured: Measured) -> Iterator[Block]:
    modulation = measured.modulation
    if not modulation.gates and not modulation.scales:
        yield Text("All tasks share all layers in front of their prediction layers.")
        return
    if len(analysis.tasks) < 2:
        yield Text("There is one task only.")
        return
    yield Text(
        "Each task has its own squeeze-and-excitation and batch norm. The cosine distance (1 - "
        "cosine) between two tasks' gates or factors tells how differently they use a layer: the "
        "paper claims that tasks share early layers and part in deeper ones."
    )
    if modulation.gates:
        distances = {p: gate_distances(gates) for p, gates in modulation.gates.items()}
        yield from _distances(
            distances, analysis, "gates of squeeze-and-excitation", "squeeze-and-excitation"
        )
        yield _embeddings(analysis, measured)
    if modulation.scales:
        distances = {p: scale_distances(scales) for p, scales in modulation.scales.items()}
        yield from _distances(distances, analysis, "factors of batch norm", "batch norm")


def _distances(
    distances: Mapping[str, LayerDistances], analysis: Analysis, what: str, layer: str
) -> Iterator[Block]:
    pairs = {path: item.of_pairs() for path, item in distances.items()}
    lines = {"between tasks": {path: float(values.mean()) for path, values in pairs.items()}}
    bands = {"between tasks": {path: (v.min(), v.max()) for path, v in pairs.items()}}
    same_task = {
        path: item.between_images
        for path, item in distances.items()
        if item.between_images is not None
    }
    note = ""
    if same_task:
        lines["between images, for one task"] = same_task
        note = " For comparison: the distance between two images' gates of the same task."
    means = lines["between tasks"]
    first, last = next(iter(means)), list(means)[-1]
    farthest = max(means, key=lambda path: means[path])
    yield Picture(
        figures.svg_url(figures.over_layers(lines, "cosine distance", bands)),
        f"Cosine distance of {what} between tasks: {means[first]:.3f} in the first layer, "
        f"{means[last]:.3f} in the last, at most {means[farthest]:.3f} in {farthest}.",
        f"Mean over pairs of tasks, and the range from the closest to the farthest pair, of the "
        f"{what}, by layer from the image to the prediction.{note}",
    )
    shown = {path: distances[path].between_tasks for path in dict.fromkeys((first, last))}
    limit = max(float(matrix.max()) for matrix in shown.values())
    names = [task.name for task in analysis.tasks]
    yield Picture(
        figures.svg_url(figures.matrices(shown, names, limits=(0, max(limit, 1e-6)), cmap="Blues")),
        f"Cosine distances of all pairs of tasks in the first and the last {layer}.",
        f"The same for all pairs of tasks, in the first and the last {layer}.",
    )


def _embeddings(analysis: Analysis, measured: Measured) -> Picture:
    names = [task.name for task in analysis.tasks]
    images = next(iter(measured.modulation.gates.values())).shape[1]
    return Picture(
        figures.svg_url(figures.scatter(measured.embeddings, names)),
        f"t-SNE of the gates in {len(measured.embeddings)} layers, one colour a task.",
        f"t-SNE of the gates by cosine distance, {images} images a task, in layers from first "
        "to last: a cluster of one colour is a task that uses the layer in its own way.",
    )


def _discriminator(analysis: Analysis, measured: Measured) -> Iterator[Block]:
    if measured.confusion is None:
        yield Text("The run was trained without a discriminator.")
        return
    chance = 1 / len(analysis.tasks)
    yield Text(
        "The discriminator sees the gradient of one task's loss at every position of the shared "
        "features and tells which task it came from; the network is trained to make that hard. "
        f"Guessing is right in {100 * chance:.0f}% of the positions."
    )
    accuracies = by_task(analysis.curves, "discriminator_accuracy")
    if accuracies:
        yield Picture(
            figures.svg_url(figures.accuracy_curves(accuracies, chance)),
            "Share of positions whose task the discriminator recognised, at the end of training: "
            + "; ".join(f"{name} {100 * c.values[-1]:.0f}%" for name, c in accuracies.items()),
            "How many of each task's positions the discriminator recognised, over training.",
        )
    confusion = shares(measured.confusion)
    right = np.trace(measured.confusion) / measured.confusion.sum()
    yield Picture(
        figures.svg_url(
            figures.matrices(
                {f"step {analysis.step:,}": confusion},
                [task.name for task in analysis.tasks],
                limits=(0, 1),
                cmap="Blues",
                ylabel="gradient of",
                xlabel="taken for",
            )
        ),
        "The discriminator's decisions; right for "
        + "; ".join(
            f"{task.name} {100 * share:.0f}%"
            for task, share in zip(analysis.tasks, np.diag(confusion), strict=True)
        ),
        f"What the gradients of each task are taken for at the checkpoint, as shares of the "
        f"row; {100 * right:.0f}% of all positions are recognised. Positions without a gradient, "
        "where nothing is labelled, do not count.",
    )


def _gradients(analysis: Analysis, measured: Measured) -> Iterator[Block]:
    if not measured.gradients:
        yield Text("There is one task only.")
        return
    yield Text(
        "Cosine between two tasks' gradients with respect to the shared weights, on the first "
        "batches of training with the trained network: 1 is the same direction, 0 nothing in "
        "common, below 0 the tasks work against each other. The paper's discriminator is to make "
        "gradients of tasks alike."
    )
    rows = [
        (label, f"{cosines.mean():+.3f}", f"{mean_of_pairs(cosines.whole < 0):.0%}")
        for label, cosines in measured.gradients.items()
    ]
    yield Table(
        "Over all pairs of tasks",
        ("gradients of", "mean cosine", "pairs that work against each other"),
        rows,
    )
    names = [task.name for task in analysis.tasks]
    wholes = {label: cosines.whole for label, cosines in measured.gradients.items()}
    yield Picture(
        figures.svg_url(figures.matrices(wholes, names, limits=(-1, 1), cmap="RdBu")),
        "Cosines between all pairs of tasks' gradients: "
        + "; ".join(
            f"mean {cosines.mean():+.3f} for {k}" for k, cosines in measured.gradients.items()
        ),
        "All shared weights as one vector; mean over the batches.",
    )
    by_layer = {label: cosines.by_layer for label, cosines in measured.gradients.items()}
    yield Picture(
        figures.svg_url(figures.over_layers(by_layer, "mean cosine over pairs of tasks")),
        "The same layer by layer, from the image to the prediction.",
        "The same layer by layer, from the image to the prediction.",
    )
