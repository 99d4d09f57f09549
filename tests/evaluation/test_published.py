"""Published tables: what they may stand beside, and that they are what was published."""

import pytest
from settings import settings

from astmt_jax.config import EVALUATION_PROTOCOLS, EvaluationConfig, from_config_dict
from astmt_jax.datasets import registry
from astmt_jax.evaluation import published
from astmt_jax.evaluation.published_tables import PUBLISHED
from astmt_jax.evaluation.scoring import applied_to
from astmt_jax.metrics.summary import average_drop

CASES = {
    f"{table.dataset}-{protocol}": (table, protocol)
    for table in PUBLISHED
    for protocol in table.protocols
}


def tasks_of(table, protocol):
    """The dataset's tasks by one of the table's protocols."""
    tasks = registry.find(table.dataset).tasks(table.options).values()
    return applied_to(EvaluationConfig(protocol=protocol), list(tasks))


def beside(dataset, options, protocol, tasks, split=""):
    """What may stand beside results of a dataset with some options."""
    config = from_config_dict(settings(dataset__name=dataset, dataset__options=options))
    return published.find(PUBLISHED, config, protocol, split, tasks)


def test_there_is_one_table_a_dataset_and_protocol():
    assert len(CASES) == sum(len(table.protocols) for table in PUBLISHED)


@pytest.mark.parametrize(("table", "protocol"), CASES.values(), ids=CASES)
def test_the_protocol_scores_what_was_published(table, protocol):
    """So that nobody has to find the single choices of a table."""
    assert protocol in EVALUATION_PROTOCOLS
    found = beside(table.dataset, dict(table.options), protocol, tasks_of(table, protocol))
    assert found.published is table
    assert {task.name: task.headline for task in found.tasks} == table.headlines
    (networks,) = found.notes
    assert "resnet14" in networks  # the others differ


@pytest.mark.parametrize(("table", "protocol"), CASES.values(), ids=CASES)
@pytest.mark.parametrize("split", ["train", "val[:100]", "test[:100]"])
def test_another_split_than_the_published_one_is_told(table, protocol, split):
    tasks = tasks_of(table, protocol)
    same, other = (
        beside(table.dataset, dict(table.options), protocol, tasks, name).notes
        for name in (table.split, split)
    )
    assert other == (*same, f"We scored {split!r}, the others {table.split!r}.")


@pytest.mark.parametrize("table", PUBLISHED, ids=[table.setting for table in PUBLISHED])
def test_figures_are_of_the_published_tasks_and_in_their_units(table):
    for row in table.rows:
        assert row.source
        assert set(row.headlines) <= set(table.headlines)
        for task, value in row.headlines.items():
            low, high = (0.3, 1) if task == "depth" else (10, 25) if task == "normals" else (30, 90)
            assert low < value < high, (row.method, task)


def test_drops_of_the_paper_follow_from_its_figures():
    table, protocol = CASES["pascal_context-astmt"]
    tasks = tasks_of(table, protocol)
    results = {
        row.method: {t.name: {t.headline: row.headlines[t.name]} for t in tasks}
        for row in table.rows
    }
    single = results["ASTMT R-101, single-task networks"]
    for row in table.rows[1:3]:
        drop = average_drop(results[row.method], single, tasks)["average"]
        assert drop == pytest.approx(row.drop, abs=0.01)
    single = results["R-18, single-task networks"]
    for row in table.rows[4:8]:
        drop = average_drop(results[row.method], single, tasks)["average"]
        assert drop == pytest.approx(row.drop, abs=0.15), row.method  # of rounded figures


def test_columns_of_nobody_are_left_out():
    """ATRC's own multi-task network has no edges; where edges alone are asked for it has no row."""
    edge = [task for task in tasks_of(*CASES["nyud-successors"]) if task.name == "edge"]
    found = beside("nyud", {"classes": 40}, "successors", edge)
    ours = published.our_row("ours", found.tasks, {"edge": 0.75})
    headings, *rows = published.written(found, [ours])
    assert headings == ["", "edge (odsF ↑)", "source"]
    assert rows[0] == ["ours", "75.00", ""]
    assert ["ATRC", "77.94"] in [row[:2] for row in rows]
    assert "HRNet-18, multi-task" not in [row[0] for row in rows]


def test_a_drop_needs_all_tasks_that_it_is_the_average_of():
    table, protocol = CASES["pascal_context-astmt"]
    tasks = tasks_of(table, protocol)
    for shown, drop in ((tasks, [published.DROP]), (tasks[:3], [])):
        found = beside(table.dataset, {}, protocol, shown)
        headings, *_ = published.written(found, [published.our_row("ours", shown, {}, drop=1.0)])
        assert headings[1 + len(shown) :] == [*drop, "parameters", "source"]


def test_no_table_for_other_tasks():
    (depth,) = (t for t in registry.find("scenes").tasks().values() if t.name == "depth")
    said = beside("pascal_context", {}, "astmt", [depth])
    assert said.endswith("none on pascal_context is for depth.")
