"""Baselines from a file and from folders of runs, and which of them mean something else."""

import json

import pytest
from settings import assert_one_sentence, settings

from astmt_jax.config import from_config_dict
from astmt_jax.datasets import registry
from astmt_jax.evaluation.baselines import read_baselines
from astmt_jax.evaluation.scoring import applied_to, conventions

CONFIG = from_config_dict(settings(tasks=("edge", "depth")))
TASKS = applied_to(CONFIG.evaluation, registry.tasks_of(CONFIG))
ABOUT = {"dataset": "scenes", "quantized": True, **conventions(CONFIG.evaluation, TASKS)}


def write(path, results, **about):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(about | {"results": results}))


def test_a_file_that_somebody_wrote(tmp_path):
    file = tmp_path / "baselines.json"
    write(file, {"edge": {"odsF": 0.4, "AP": 0.1}, "depth": {"rmse": 2}})
    found = read_baselines(file, TASKS, ABOUT)
    assert found == {"edge": {"odsF": 0.4}, "depth": {"rmse": 2.0}}


def test_a_folder_as_comparisons_make_it(tmp_path):
    """The mean over the seeds; networks for several tasks do not count."""
    for seed, odsf in enumerate((0.4, 0.5)):
        folder = tmp_path / f"seed{seed}"
        write(folder / "single-edge" / "results.json", {"edge": {"odsF": odsf}}, **ABOUT)
        write(folder / "single-depth" / "results.json", {"depth": {"rmse": 2.0}}, **ABOUT)
        write(folder / "mtl" / "results.json", {"edge": {"odsF": 0.1}, "depth": {"rmse": 9.0}})
    found = read_baselines(tmp_path, TASKS, ABOUT)
    assert found == {"edge": {"odsF": pytest.approx(0.45)}, "depth": {"rmse": 2.0}}


OTHER = {
    "dataset": ({"dataset": "nyud"}, "dataset='nyud', this run is with 'scenes'"),
    "rounding": ({"quantized": False}, "quantized=False"),
    "choices": ({"choices": {"edge_protocol": "nyud"}}, "edge_protocol='nyud'"),
}


@pytest.mark.parametrize(("about", "words"), OTHER.values(), ids=OTHER)
def test_results_that_were_scored_in_another_way_are_refused(tmp_path, about, words):
    file = tmp_path / "results.json"
    write(file, {"edge": {"odsF": 0.4}, "depth": {"rmse": 2.0}}, **ABOUT | about)
    with pytest.raises(ValueError, match=r"results\.json was scored with") as caught:
        read_baselines(file, TASKS, ABOUT)
    assert_one_sentence(str(caught.value))
    assert words in str(caught.value)


def test_the_choices_of_other_tasks_do_not_matter(tmp_path):
    write(tmp_path / "a" / "results.json", {"edge": {"odsF": 0.4}}, choices={"depth_convention": 1})
    write(tmp_path / "b" / "results.json", {"depth": {"rmse": 2.0}})
    assert read_baselines(tmp_path, TASKS, ABOUT)["edge"] == {"odsF": 0.4}


@pytest.mark.parametrize(
    ("results", "words"),
    [
        ({"edge": {"odsF": 0.4}}, r"no result of a single-task network for depth \(rmse\)"),
        ({"edge": {"AP": 0.4}, "depth": {"rmse": 1.0}}, r"for edge \(odsF\)"),
        ({"edge": {"odsF": 0}, "depth": {"rmse": 1.0}}, "has the odsF 0 for edge"),
        ({"edge": {"odsF": None}, "depth": {"rmse": 1.0}}, "has the odsF nan for edge"),
    ],
)
def test_what_no_drop_is_relative_to_is_refused(tmp_path, results, words):
    file = tmp_path / "results.json"
    write(file, results)
    with pytest.raises(ValueError, match=words) as caught:
        read_baselines(file, TASKS, ABOUT)
    assert_one_sentence(str(caught.value))


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(ValueError, match=r"nothing\.json cannot be read"):
        read_baselines(tmp_path / "nothing.json", TASKS, ABOUT)


@pytest.mark.parametrize(
    ("theirs", "words"),
    [
        ({"model": {"backbone": "resnet26"}}, "config.model.backbone: 'resnet14' -> 'resnet26'"),
        ({"split": "test"}, "config.split: 'val' -> 'test'"),
    ],
)
def test_only_seeds_are_averaged(tmp_path, theirs, words):
    """Not several backbones' single-task networks, nor scores on several splits."""
    for name, seed, changed in (("a", 0, {}), ("b", 1, {}), ("c", 0, theirs)):
        folder = tmp_path / name
        write(folder / "results.json", {"edge": {"odsF": 0.4}}, **{"split": "val"} | changed)
        config = {"seed": seed, "model": {"backbone": "resnet14"}} | changed
        (folder / "config.json").write_text(json.dumps(config))
    task = [task for task in TASKS if task.name == "edge"]
    with pytest.raises(ValueError, match="different networks for one task") as caught:
        read_baselines(tmp_path, task, ABOUT)
    assert words in str(caught.value)
    assert_one_sentence(str(caught.value))
    for file in (tmp_path / "c").iterdir():
        file.unlink()
    assert read_baselines(tmp_path, task, ABOUT) == {"edge": {"odsF": pytest.approx(0.4)}}
