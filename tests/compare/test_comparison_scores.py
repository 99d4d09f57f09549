"""Means, spreads and drops against values worked out by hand; tables, JSON and figure of them."""

import dataclasses
import json
import math

import cv2
import pytest
from settings import settings

from astmt_jax.compare import difference_tables, figure, tables
from astmt_jax.compare.choice import DEFAULT, ladder
from astmt_jax.compare.differences import to_changed
from astmt_jax.compare.document import as_document
from astmt_jax.compare.ladders import paper as methods
from astmt_jax.compare.methods import runs
from astmt_jax.compare.ranks import mean_ranks
from astmt_jax.compare.report import write_report
from astmt_jax.compare.scores import summarize
from astmt_jax.config import EvaluationConfig, from_config_dict
from astmt_jax.datasets import registry
from astmt_jax.evaluation.scoring import applied_to, conventions
from astmt_jax.models.cost import TotalCost

CONFIG = from_config_dict(settings(tasks=("semseg", "depth")))
METHODS = methods(CONFIG)
LADDER = ladder(DEFAULT)
TASKS = applied_to(CONFIG.evaluation, registry.tasks_of(CONFIG))
NETWORKS = ("single-semseg", "single-depth", "mtl", "bn", "bn_se", "bn_se_adapters", "astmt")
COSTS = {name: TotalCost(10**6 * (i + 1), 10**7 * (i + 1)) for i, name in enumerate(NETWORKS)}
MIOU = {"single-semseg": (0.50, 0.40), "mtl": (0.40, 0.38), "astmt": (0.55, 0.40)}
RMSE = {"single-depth": (2.0, 1.0), "mtl": (2.5, 1.1), "astmt": (1.9, 1.05)}


def write_results(folder, semseg=None, depth=None):
    """results.json of one run, as `evaluate.write_results` writes it."""
    results = {}
    if semseg is not None:
        results["semseg"] = {"mIoU": semseg}
    if depth is not None:
        results["depth"] = {"rmse": depth, "mse": depth**2, "log_rmse": None}
    folder.mkdir(parents=True)
    (folder / "results.json").write_text(json.dumps({"results": results}))


@pytest.fixture
def finished(tmp_path):
    """Runs of two seeds of single-task learning, plain multi-task learning and ASTMT."""
    found = [run for run in runs(METHODS, 2) if run.folder.name in {*MIOU, *RMSE}]
    for run in found:
        name, seed = run.folder.name, run.config.seed
        values = [table[name][seed] if name in table else None for table in (MIOU, RMSE)]
        write_results(tmp_path / run.folder, *values)
    return found


def summary_of(finished, workdir):
    scores = summarize(METHODS, TASKS, COSTS, finished, workdir)
    return {row.method.name: row for row in scores}


def test_methods_without_runs_have_no_row(finished, tmp_path):
    assert list(summary_of(finished, tmp_path)) == ["single", "mtl", "astmt"]


def test_means_and_spreads(finished, tmp_path):
    """Of (0.5, 0.4): mean 0.45, sample standard deviation 0.1 / sqrt(2)."""
    rows = summary_of(finished, tmp_path)
    single = rows["single"].results
    assert single["semseg"]["mIoU"].mean == pytest.approx(0.45)
    assert single["semseg"]["mIoU"].spread == pytest.approx(0.1 / math.sqrt(2))
    assert single["depth"]["mse"].mean == pytest.approx((4 + 1) / 2)
    assert rows["mtl"].results["depth"]["rmse"].by_seed == {0: 2.5, 1: 1.1}


def test_drops_are_against_the_same_seed(finished, tmp_path):
    """mIoU 0.5 -> 0.4 loses 20 %, 0.4 -> 0.38 5 %; RMSE 2 -> 2.5 loses 25 %, 1 -> 1.1 10 %."""
    rows = summary_of(finished, tmp_path)
    drop = rows["mtl"].drop
    assert drop["semseg"].by_seed == pytest.approx({0: 20, 1: 5})
    assert drop["depth"].by_seed == pytest.approx({0: 25, 1: 10})
    assert drop["average"].by_seed == pytest.approx({0: 22.5, 1: 7.5})
    assert drop["average"].mean == pytest.approx(15)
    assert drop["average"].spread == pytest.approx(15 / math.sqrt(2))
    assert rows["astmt"].drop["average"].by_seed == pytest.approx({0: -7.5, 1: 2.5})
    assert rows["single"].drop == {}


def test_costs_of_single_task_networks_add_up(finished, tmp_path):
    rows = summary_of(finished, tmp_path)
    assert rows["single"].cost == TotalCost(3 * 10**6, 3 * 10**7)
    assert rows["astmt"].cost == COSTS["astmt"]


def test_no_drop_without_all_single_task_networks(finished, tmp_path):
    """The second seed lacks single-depth: its mIoU counts, but no drop of it."""
    some = [run for run in finished if str(run.folder) != "seed1/single-depth"]
    rows = summary_of(some, tmp_path)
    assert rows["single"].results["semseg"]["mIoU"].by_seed == {0: 0.5, 1: 0.4}
    assert rows["single"].results["depth"]["rmse"].by_seed == {0: 2.0}
    assert rows["mtl"].results["semseg"]["mIoU"].by_seed == {0: 0.4, 1: 0.38}
    assert rows["mtl"].drop["average"].by_seed == pytest.approx({0: 22.5})
    assert math.isnan(rows["mtl"].drop["average"].spread)


def test_mean_rank(finished, tmp_path):
    """semseg: ASTMT .475, single .45, MTL .39; depth: ASTMT 1.475, single 1.5, MTL 1.8."""
    scores = summarize(METHODS, TASKS, COSTS, finished, tmp_path)
    assert mean_ranks(scores, TASKS) == {"single": 2.0, "mtl": 3.0, "astmt": 1.0}


def test_equal_methods_share_their_rank(finished, tmp_path):
    path = tmp_path / "seed0" / "single-semseg" / "results.json"
    path.write_text(path.read_text().replace("0.5", "0.55"))  # ASTMT's
    scores = summarize(METHODS, TASKS, COSTS, finished, tmp_path)
    assert mean_ranks(scores, TASKS) == {"single": 1.75, "mtl": 3.0, "astmt": 1.25}


def test_methods_that_lack_a_task_have_no_rank(finished, tmp_path):
    some = [run for run in finished if run.folder.name != "single-depth"]
    scores = summarize(METHODS, TASKS, COSTS, some, tmp_path)
    assert mean_ranks(scores, TASKS) == {"mtl": 2.0, "astmt": 1.0}


def test_differences_are_of_the_drops(finished, tmp_path):
    """MTL loses 22.5 and 7.5 %, so 15 points more than single-task networks, give or take 95.3."""
    scores = summarize(METHODS, TASKS, COSTS, finished, tmp_path)
    found = to_changed(scores)
    assert list(found) == ["mtl"]  # what ASTMT changes has no run
    assert found["mtl"]["semseg"].mean == pytest.approx(12.5)
    average = found["mtl"]["average"]
    assert average.mean == pytest.approx(15)
    assert average.high - average.mean == pytest.approx(12.7062 * 7.5, rel=1e-5)
    page = difference_tables.markdown(scores, TASKS)
    assert "* multi-task, against single-task: no difference that 2 seeds could show (+15.0" in page
    assert "| multi-task, against single-task | +15.0 [-80.3, +110.3] | +12.5 [" in page


def test_no_drop_relative_to_nothing(finished, tmp_path):
    """A single-task network with mIoU 0: its seed has no drop, and all else stays."""
    path = tmp_path / "seed0" / "single-semseg" / "results.json"
    path.write_text(path.read_text().replace("0.5", "0.0"))
    rows = summary_of(finished, tmp_path)
    assert rows["mtl"].drop["average"].by_seed == pytest.approx({1: 7.5})
    assert rows["single"].results["semseg"]["mIoU"].by_seed == {0: 0.0, 1: 0.4}


def test_unreadable_results_are_named(finished, tmp_path):
    path = tmp_path / "seed1" / "mtl" / "results.json"
    path.write_text(path.read_text()[:30])
    with pytest.raises(ValueError, match=rf"{path} cannot be read") as caught:
        summary_of(finished, tmp_path)
    assert "\n" not in str(caught.value)


def test_markdown(finished, tmp_path):
    """Written cells: percents, metres, spreads, seeds, and a row for every metric and drop."""
    scores = summarize(METHODS, TASKS, COSTS, finished, tmp_path)
    page = f"{tables.main(scores, TASKS, 'Title')}\n{tables.every_metric(scores, TASKS)}"
    heading = (
        "| method | semseg mIoU ↑ (%) | depth RMSE ↓ (m) | average drop ↓ (%) | mean rank ↓ "
        "| parameters | GMAC | seeds |"
    )
    assert page.startswith(f"# Title\n\n{heading}\n| --- | ---: |")
    lines = page.splitlines()
    for line in (
        "| single-task | 45.0 ± 7.1 | 1.500 ± 0.707 | - | 2.0 | 3.00 M | 0.030 | 2 |",
        "| multi-task | 39.0 ± 1.4 | 1.800 ± 0.990 | 15.0 ± 10.6 | 3.0 | 3.00 M | 0.030 | 2 |",
        "| metric | single-task | multi-task | + adversarial (ASTMT) |",
        "| depth log RMSE ↓ | n/a | n/a | n/a |",
        "| depth MSE ↓ (m²) | 2.500 ± 2.121 | 3.730 ± 3.564 | 2.356 ± 1.773 |",
        "| semseg drop ↓ (%) | - | 12.5 ± 10.6 | -5.0 ± 7.1 |",
        "| average drop ↓ (%) | - | 15.0 ± 10.6 | -2.5 ± 7.1 |",
    ):
        assert line in lines


def test_one_seed_has_no_spread(finished, tmp_path):
    first = [run for run in finished if run.config.seed == 0]
    page = tables.main(summarize(METHODS, TASKS, COSTS, first, tmp_path), TASKS, "Title")
    assert "| multi-task | 40.0 | 2.500 | 22.5 | 3.0 | 3.00 M | 0.030 | 1 |" in page


def test_terminal_table_is_the_main_table_turned(finished, tmp_path):
    scores = summarize(METHODS, TASKS, COSTS, finished, tmp_path)
    table = tables.terminal_table(scores, TASKS, "Title")
    columns = [[column.header, *column.cells] for column in table.columns]
    lines = tables.main(scores, TASKS, "Title").splitlines()[2:7]
    written = [line.strip("| ").split(" | ") for line in lines if "---" not in line]
    assert columns == written


def test_json_is_complete(finished, tmp_path):
    """Every number of every results.json, the drops and the costs; NaN becomes null."""
    write_report(CONFIG, LADDER, METHODS, COSTS, finished, 14, tmp_path)
    document = json.loads((tmp_path / "comparison.json").read_text())
    assert document["config"]["tasks"] == ["semseg", "depth"]
    assert not document["complete"]
    assert document["finished"] == [str(run.folder) for run in finished]
    assert document["tasks"]["depth"] == {"metric": "rmse", "higher_is_better": False}
    for run in finished:
        stored = json.loads((tmp_path / run.folder / "results.json").read_text())["results"]
        for task, metrics in stored.items():
            for metric, value in metrics.items():
                written = document["methods"][run.method]["results"][task][metric]
                assert written["by_seed"][str(run.config.seed)] == value
    mtl = document["methods"]["mtl"]
    assert mtl["results"]["depth"]["log_rmse"] == {
        "mean": None, "spread": None, "by_seed": {"0": None, "1": None},
    }  # fmt: skip
    assert mtl["drop"]["average"]["mean"] == pytest.approx(15)
    assert (mtl["parameters"], mtl["multiply_adds"], mtl["networks"]) == (3 * 10**6, 3 * 10**7, 1)
    assert document["methods"]["single"]["networks"] == 2
    assert (mtl["mean_rank"], mtl["compared_with"]) == (3.0, "single")
    assert mtl["difference"]["average"]["mean"] == pytest.approx(15)
    assert document["methods"]["astmt"]["difference"] == {}


@pytest.mark.parametrize("split", ["train", "val[:2]", None, 7])
def test_results_of_another_split_are_refused(finished, tmp_path, split):
    """As `evaluate --split` and `config.dataset.eval_split` score them; ours is the dataset's."""
    path = tmp_path / "seed1" / "mtl" / "results.json"
    document = json.loads(path.read_text())
    path.write_text(json.dumps(document | {"split": "val"}))
    assert "mtl" in summary_of(finished, tmp_path)
    path.write_text(json.dumps(document | {"split": split}))
    with pytest.raises(ValueError, match=rf"{path} was scored on another split than 'val': delete"):
        summary_of(finished, tmp_path)


def test_results_by_other_choices_are_refused(finished, tmp_path):
    """Such as those of a folder that was scored again by another protocol."""
    path = tmp_path / "seed1" / "mtl" / "results.json"
    document = json.loads(path.read_text())
    ours = conventions(CONFIG.evaluation, TASKS)
    path.write_text(json.dumps(document | ours))
    assert "mtl" in summary_of(finished, tmp_path)
    ours["choices"]["depth_convention"] = "pooled"
    path.write_text(json.dumps(document | ours))
    with pytest.raises(ValueError, match=rf"{path} was scored by other choices") as caught:
        summary_of(finished, tmp_path)
    assert "\n" not in str(caught.value)


def test_published_results_stand_below_ours(finished, tmp_path):
    """nyud's by the successors' protocol; none on scenes."""
    page = tmp_path / "comparison.md"
    write_report(CONFIG, LADDER, METHODS, COSTS, finished, 14, tmp_path)
    assert "none on scenes is at hand.\n" in page.read_text().split("Beside published results")[1]
    dataset = dataclasses.replace(CONFIG.dataset, name="nyud", options={"classes": 40})
    evaluation = EvaluationConfig(protocol="successors")
    config = dataclasses.replace(CONFIG, dataset=dataset, evaluation=evaluation)
    write_report(config, LADDER, METHODS, COSTS, finished, 14, tmp_path)
    lines = page.read_text().split("Beside published results")[1].splitlines()
    assert lines[4:8:2] == [
        "|  | semseg (mIoU ↑) | depth (RMSE ↓) | parameters | source |",
        "| ours, single-task | 45.00 | 1.5000 | 3.0 M |  |",
    ]
    atrc = "| ATRC | 46.33 | 0.5363 |  | README of prismformore/Multi-Task-Transformer |"
    assert atrc in lines


@pytest.mark.parametrize("split", ["", "val", "val[:100]", "train"])
def test_published_results_of_others_are_told_from_ours(split, finished, tmp_path):
    """By backbone, and by split where it is not the published one."""
    changed = {"name": "nyud", "options": {"classes": 40}, "eval_split": split}
    dataset = dataclasses.replace(CONFIG.dataset, **changed)
    evaluation = EvaluationConfig(protocol="successors")
    config = dataclasses.replace(CONFIG, dataset=dataset, evaluation=evaluation)
    write_report(config, LADDER, METHODS, COSTS, finished, 14, tmp_path)
    lines = (tmp_path / "comparison.md").read_text().split("Beside published results")[1]
    told = [line for line in lines.splitlines() if line.endswith(".")][1:]
    assert f"Our backbone is {CONFIG.model.backbone}; backbones" in told[0]
    other = [] if split in ("", "val") else [f"We scored {split!r}, the others 'val'."]
    assert told[1:] == other


def test_report_leaves_nothing_half_written(finished, tmp_path):
    write_report(CONFIG, LADDER, METHODS, COSTS, finished, 14, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {
        "seed0", "seed1", "comparison.json", "comparison.md", "comparison.png",
    }  # fmt: skip


def test_figure_shows_a_bar_for_every_drop(finished, tmp_path):
    """Bars of two methods differ in colour; without any drop there still is a picture."""
    scores = summarize(METHODS, TASKS, COSTS, finished, tmp_path)
    figure.draw(scores, TASKS, tmp_path / "both.png")
    figure.draw(scores[:1], TASKS, tmp_path / "none.png")
    both, none = (cv2.imread(str(tmp_path / f"{name}.png")) for name in ("both", "none"))
    saturated = [int((image.max(2) - image.min(2) > 60).sum()) for image in (both, none)]
    assert saturated[0] > 5000
    assert saturated[1] == 0


def test_document_names_methods_in_order(finished, tmp_path):
    document = as_document(summarize(METHODS, TASKS, COSTS, finished, tmp_path), TASKS)
    assert [row["label"] for row in document["methods"].values()] == [
        "single-task", "multi-task", "+ adversarial (ASTMT)",
    ]  # fmt: skip


def test_undefined_results_have_no_differences(finished, tmp_path):
    """As null in results.json: the other methods' rows and the page are there."""
    for seed in (0, 1):
        path = tmp_path / f"seed{seed}" / "mtl" / "results.json"
        document = json.loads(path.read_text())
        document["results"]["depth"]["rmse"] = None
        path.write_text(json.dumps(document))
    write_report(CONFIG, LADDER, METHODS, COSTS, finished, 14, tmp_path)
    page = (tmp_path / "comparison.md").read_text()
    assert "multi-task, against" not in page
    assert "| multi-task | 39.0 ± 1.4 | n/a |" in page


def test_results_of_another_checkpoint_are_refused(finished, tmp_path):
    """One that was chosen, beside others' last ones."""
    path = tmp_path / "seed1" / "mtl" / "results.json"
    document = json.loads(path.read_text()) | {"chosen_by": {"best_by": "semseg.mIoU"}}
    path.write_text(json.dumps(document))
    words = rf"{path} is of the checkpoint chosen by semseg\.mIoU, the comparison's by None"
    with pytest.raises(ValueError, match=words) as caught:
        summary_of(finished, tmp_path)
    assert "\n" not in str(caught.value)
