from typing import NamedTuple

import pytest

from astmt_jax.metrics.summary import average_drop


class Headline(NamedTuple):
    """The fields of a task record that the average drop needs."""

    name: str
    headline: str
    higher_is_better: bool


TASKS = [
    Headline("edge", "odsF", True),
    Headline("semseg", "mIoU", True),
    Headline("human_parts", "mIoU", True),
    Headline("normals", "mean", False),
    Headline("sal", "mIoU", True),
]


def table_row(*values):
    return {t.name: {t.headline: v} for t, v in zip(TASKS, values, strict=True)}


SINGLE = table_row(72.7, 68.30, 60.70, 14.61, 65.40)


@pytest.mark.parametrize(
    ("row", "published"),
    [
        (table_row(69.2, 63.20, 55.10, 16.04, 63.60), 6.81),
        (table_row(72.4, 68.00, 61.12, 14.68, 65.71), 0.04),
    ],
)
def test_average_drop_of_the_published_table(row, published):
    # The rows themselves are rounded to 0.1 points in the paper.
    assert average_drop(row, SINGLE, TASKS)["average"] == pytest.approx(published, abs=0.01)


def test_average_drop_per_task():
    row = table_row(72.7 * 0.9, 68.30 * 1.1, 60.70, 14.61 * 1.2, 65.40)
    expected = {"edge": 10, "semseg": -10, "human_parts": 0, "normals": 20, "sal": 0, "average": 4}
    assert average_drop(row, SINGLE, TASKS) == pytest.approx(expected)


def test_average_drop_names_everything_that_is_missing():
    row = {k: v for k, v in SINGLE.items() if k != "sal"}
    with pytest.raises(ValueError, match="single_task_results: normals mean") as error:
        average_drop(row, SINGLE | {"normals": {"median": 1.0}}, TASKS)
    assert "results: sal mIoU" in str(error.value)


def test_average_drop_against_zero_is_refused():
    with pytest.raises(ValueError, match="semseg has mIoU 0"):
        average_drop(SINGLE, SINGLE | {"semseg": {"mIoU": 0.0}}, TASKS)


def test_average_drop_of_no_task_is_refused():
    with pytest.raises(ValueError, match="at least one task"):
        average_drop(SINGLE, SINGLE, [])
