"""Names of the numbers on the dashboard, and what they are: a sentence each, shown with a curve."""

from collections.abc import Sequence

from astmt_jax.metrics.notation import MetricNotation
from astmt_jax.metrics.summary import AVERAGE
from astmt_jax.tasks.task import Task

SINCE = "mean over the steps since the point before"
BY_TASK = {
    "loss": f"Loss of the task {{}}, with its weight; {SINCE}.",
    "discriminator_loss": "Cross entropy of the discriminator that guesses which task a gradient "
    f"is of, on gradients of the task {{}}; {SINCE}.",
    "discriminator_accuracy": "Share of positions, 0 to 1, at which the discriminator recognises "
    f"the task {{}} by its gradient; one over the number of tasks is chance; {SINCE}.",
}
OF_THE_RUN = {
    "learning_rate": "Of shared parameters; that of task-specific ones is optimizer.task_multiplier"
    " times it.",
    "images_per_second": "Images trained on a second, over all devices; evaluations do not count.",
    "step_seconds": "Seconds a batch; evaluations do not count.",
    "input_wait_fraction": "Share of the time, 0 to 1, spent waiting for the next batch: near 1 the"
    " input is too slow for the devices.",
    "device_memory_gib": "GiB in use on this process's fullest device.",
    "device_memory_peak_gib": "Most GiB in use on this process's fullest device so far.",
}
EVALUATION, VALIDATION = "eval", "validation"
SPLITS = {
    EVALUATION: "the split that is reported",
    VALIDATION: "dataset.validation_split",
}
"""What the tags of an evaluation begin with -> the split that it is on."""


def headline_tag(prefix: str, task: Task) -> str:
    """Of a task's headline metric; all of an evaluation stand together."""
    return f"{prefix}/{task.name}_{task.headline}"


def metric_tag(prefix: str, task: str, metric: str) -> str:
    """Of any metric of a task."""
    return f"{prefix}_{task}/{metric}"


def drop_tag(prefix: str, name: str) -> str:
    """Of the drop of a task, or of `AVERAGE`, which stands with the headline metrics."""
    return f"{prefix}/average_drop" if name == AVERAGE else f"{prefix}_drop/{name}"


def descriptions(tasks: Sequence[Task]) -> dict[str, str]:
    """Tag of every scalar that runs for these tasks write -> what it is, in Markdown."""
    found = {
        f"{metric}/{task.name}": text.format(task.name)
        for metric, text in BY_TASK.items()
        for task in tasks
    } | OF_THE_RUN
    for prefix, split in SPLITS.items():
        for task in tasks:
            for name, metric in task.notation.items():
                found[metric_tag(prefix, task.name, name)] = _of_metric(metric, task.name, split)
            headline = _of_metric(task.notation[task.headline], task.name, split)
            found[headline_tag(prefix, task)] = headline
            found[drop_tag(prefix, task.name)] = _of_drop(task.name, split)
        found[drop_tag(prefix, AVERAGE)] = _of_drop("all tasks on average", split)
    return found


def _of_metric(metric: MetricNotation, task: str, split: str) -> str:
    better = "higher" if metric.higher_is_better else "lower"
    unit = " as a fraction" if metric.unit == "%" and metric.scale == 100 else ""
    unit = f" in {metric.unit.strip()}" if metric.unit.strip() and metric.scale == 1 else unit
    return f"{metric.label} of the task {task}{unit} on {split}; {better} is better."


def _of_drop(whose: str, split: str) -> str:
    return (
        f"Relative loss of {whose} against single-task networks, in percent, on {split}; lower is "
        "better, and below 0 better than they are."
    )
