"""The records of all tasks, and what it takes to import one."""

import subprocess
import sys

import pytest

from astmt_jax.tasks.depth import disparity
from astmt_jax.tasks.registry import TASKS

HIGHER_IS_BETTER = {
    "edge": True,
    "semseg": True,
    "human_parts": True,
    "normals": False,
    "sal": True,
    "depth": False,
    "albedo": False,
}
HEAVY = ("tensorflow", "tensorflow_datasets", "matplotlib", "cv2", "PIL", "clu", "scipy.io")


@pytest.mark.parametrize("name", TASKS)
def test_a_record_is_called_as_the_table_calls_it(name):
    assert TASKS[name]().name == name


def test_directions_are_those_of_the_headline_metrics():
    assert {name: make().higher_is_better for name, make in TASKS.items()} == HIGHER_IS_BETTER
    assert not disparity().higher_is_better


def test_only_distances_have_a_color_bar():
    units = {name: make().color_bar_unit for name, make in TASKS.items()}
    assert units == dict.fromkeys(TASKS) | {"depth": "m"}
    assert disparity().color_bar_unit == ""


def test_tasks_are_imported_without_what_draws_reads_and_writes():
    lines = (
        "import sys",
        "import astmt_jax.tasks.registry, astmt_jax.tasks.losses",
        f"print([name for name in {HEAVY} if name in sys.modules])",
    )
    command = [sys.executable, "-c", "\n".join(lines)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
