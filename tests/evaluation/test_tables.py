"""Tables of results: numbers and units as the field writes them, checked against written cells."""

import math

import pytest
from rich.console import Console

from astmt_jax.datasets import registry
from astmt_jax.evaluation import tables
from astmt_jax.tasks import registry as tasks
from astmt_jax.tasks.depth import disparity

TASKS = (tasks.semseg(), tasks.normals(), tasks.depth())
RESULTS = {
    "semseg": {"mIoU": 0.68349},
    "normals": {"below_11.25": 57.25, "mean": 14.68, "median": 9.149},
    "depth": {"rmse": 0.51249, "log_rmse": 0.2, "mse": 0.26},
}


def test_rows_have_percent_degrees_and_metres_in_the_usual_digits():
    assert [tables.result_row(task, RESULTS) for task in TASKS] == [
        ("semseg", "mIoU ↑", "68.3%", []),
        ("normals", "mean angle ↓", "14.7°", ["median angle 9.1° ↓", "<11.25° 57.2% ↑"]),
        ("depth", "RMSE ↓", "0.512 m", ["log RMSE 0.200 ↓", "MSE 0.260 m² ↓"]),
    ]


def test_terminal_table_holds_the_rows_in_the_order_of_tasks():
    console = Console(width=80)
    with console.capture() as capture:
        console.print(tables.result_table(RESULTS, TASKS))
    printed = " ".join(capture.get().split())
    parts = []
    for task in TASKS:
        name, *cells, others = tables.result_row(task, RESULTS)
        assert all(part in printed for part in (*cells, *others))
        parts.append(printed.index(name))
    assert parts == sorted(parts)


def test_only_the_tasks_asked_for_are_listed():
    (name,) = tables.result_table(RESULTS, TASKS[2:]).columns[0].cells
    assert name == "depth"


def test_undefined_value_is_not_a_number_in_the_table():
    row = tables.result_row(TASKS[0], {"semseg": {"mIoU": math.nan}})
    assert row == ("semseg", "mIoU ↑", "n/a", [])


def test_unknown_metric_is_named_with_the_known_ones():
    results = {"semseg": {"mIoU": 0.5, "accuracy": 0.9}}
    with pytest.raises(ValueError, match=r"unknown metric 'accuracy' of task 'semseg'.*mIoU"):
        tables.result_table(results, TASKS[:1])


@pytest.mark.parametrize("results", [{}, {"depth": {"mse": 0.1}}])
def test_missing_headline_is_refused(results):
    with pytest.raises(ValueError, match="task 'depth' lack its headline metric 'rmse'"):
        tables.result_table(results, TASKS[2:])


def test_disparity_is_not_written_in_metres():
    """Only what follows from the unit differs from depth."""
    others = ["log RMSE 0.200 ↓", "disparity MSE 0.260 ↓"]
    row = tables.result_row(disparity(), RESULTS)
    assert row == ("depth", "disparity RMSE ↓", "0.512", others)


def test_every_number_of_a_metric_can_be_written():
    for dataset in registry.DATASETS.values():
        for task in dataset.tasks({}).values():
            numbers = task.metric().result()
            assert task.headline in numbers
            assert set(numbers) <= set(task.notation), task.name


@pytest.mark.parametrize(
    ("mean_over", "absent"), [("all classes", "0.0%"), ("present classes", "absent")]
)
def test_class_tables_hold_every_class(mean_over, absent):
    classes = {
        "sky": {"iou": 0.5, "pixels": 3},
        "sea": {"iou": 0.125, "pixels": 1},
        "sun": {"iou": 0.0, "pixels": 0},
    }
    details = {"semseg": {"mean_over": mean_over, "classes": classes}, "normals": {"pixels": 4}}
    (table,) = tables.class_tables(details, TASKS[:2])
    columns = [[column.header, *column.cells] for column in table.columns]
    assert columns == [
        ["semseg", "sky", "sea", "sun"],
        ["IoU", "50.0%", "12.5%", absent],
        ["share of pixels", "75.0%", "25.0%", "0.0%"],
    ]
