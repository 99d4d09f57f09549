"""The records of the datasets."""

import pytest

from astmt_jax.datasets import registry

TASKS = {
    "scenes": ["edge", "semseg", "human_parts", "normals", "sal", "depth", "albedo"],
    "pascal_context": ["edge", "semseg", "human_parts", "normals", "sal"],
    "nyud": ["edge", "semseg", "normals", "depth"],
    "fsv": ["semseg", "albedo", "depth"],
    "voc_sbd": ["semseg"],
    "bsds500": ["edge"],
    "ccp": ["edge", "semseg", "human_parts", "sal"],
    "camvid": ["semseg"],
    "own_data": ["edge", "semseg", "human_parts", "normals", "sal", "depth", "albedo"],
    "mixture": [],
}
"""In the order in which `tasks=all` trains them: the paper's update takes one after the other."""


def test_tasks_have_the_order_of_training():
    assert {name: list(found.tasks()) for name, found in registry.DATASETS.items()} == TASKS


def test_datasets_have_the_splits_that_are_published():
    splits = {
        name: (found.train_split, found.eval_split) for name, found in registry.DATASETS.items()
    }
    on_test = {"fsv": ("train", "test"), "camvid": ("train", "test")}
    others = on_test | {"bsds500": ("train+val", "test"), "mixture": ("train", "evaluation")}
    assert splits == dict.fromkeys(TASKS, ("train", "val")) | others


def test_other_splits_can_be_chosen():
    nyud = registry.find("nyud").with_splits("train[:4]", "")
    assert (nyud.train_split, nyud.eval_split) == ("train[:4]", "val")
    assert nyud.tasks({"classes": 40})["semseg"].channels == 40


def test_default_options_are_options():
    defaults = {name: found.default_options() for name, found in registry.DATASETS.items()}
    assert defaults["scenes"] == {"image_size": 96, "num_train": 2000, "num_val": 300, "seed": 0}
    assert defaults["nyud"] == {"classes": 41}
    assert defaults["pascal_context"] == {}
    for name, options in defaults.items():
        assert list(registry.find(name).tasks(options)) == TASKS[name]


@pytest.mark.parametrize("name", TASKS)
def test_unknown_options_are_refused(name):
    with pytest.raises(ValueError, match=r"^config\.dataset\.options\.clases is not a field"):
        registry.find(name).tasks({"clases": 3})
