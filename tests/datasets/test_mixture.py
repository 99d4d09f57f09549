"""The dataset that is several: which tasks it has, what it is made of, and what is refused."""

import collections
import dataclasses

import numpy as np
import pytest
from settings import assert_one_sentence

from astmt_jax.config import EvaluationConfig
from astmt_jax.datasets import registry
from astmt_jax.datasets.added_tasks import AddedTask
from astmt_jax.evaluation.scoring import applied_to
from astmt_jax.pipeline.layout import ONE_DATASET
from astmt_jax.plugins import PluginError, Registry
from astmt_jax.tasks.registry import depth

MIXTURE = registry.find("mixture")
DATASETS = {
    "streets": {"dataset": "camvid", "tasks": ("street=semseg",)},
    "ccp": {"tasks": ("sal", "semseg"), "images": 2},
    "bsds500": {"tasks": ("edge",)},
}


def options(**changes):
    """`DATASETS` with fields changed: ccp={...}."""
    return {"datasets": {name: said | changes.get(name, {}) for name, said in DATASETS.items()}}


def test_tasks_are_those_of_the_datasets():
    found = MIXTURE.tasks(options())
    assert list(found) == ["edge", "sal", "semseg", "street"]
    assert [task.name for task in found.values()] == list(found)
    assert found["street"].channels == 11
    assert found["street"].truth == "street"
    assert found["semseg"].channels == 59
    assert found["edge"].truth == "annotators"
    assert MIXTURE.tasks({}) == {}


def test_layout_says_where_each_task_has_labels():
    layout = MIXTURE.layout(options(), ["edge", "sal", "semseg", "street"])
    assert layout.size == 4
    assert {task: layout.place(task) for task in ("edge", "sal", "semseg", "street")} == {
        "edge": (0, 1),
        "sal": (1, 3),
        "semseg": (1, 3),
        "street": (3, 4),
    }
    without = MIXTURE.layout(options(), ["street", "edge"])
    assert (without.size, without.place("street")) == (2, (1, 2))
    alone = MIXTURE.layout(options(), ["sal", "semseg"])
    assert (alone.size, alone.place("sal")) == (2, (0, 2))
    assert MIXTURE.layout(options(), ["edge"]) == ONE_DATASET


def test_images_of_a_task_are_taken_out_of_a_batch():
    layout = MIXTURE.layout(options(), ["edge", "sal", "street"])
    batch = {"image": np.arange(8 * 3).reshape(8, 3)}
    rows = {"edge": [0, 4], "sal": [1, 2, 5, 6], "street": [3, 7]}
    for task, expected in rows.items():
        taken = layout.of_task(batch, task)["image"]
        np.testing.assert_array_equal(taken, batch["image"][expected])


def test_it_says_what_it_is_made_of():
    said = MIXTURE.describe(options())
    assert said.startswith("edge: BSDS500: boundaries")
    assert "sal, semseg: Clothing Co-Parsing" in said
    assert "street: CamVid" in said
    assert MIXTURE.names(options()) == ("bsds500", "ccp", "camvid")


REFUSED = {
    "no dataset": ({"datasets": {"ccp": {"tasks": ()}}}, ["datasets.ccp.tasks is empty"]),
    "field": (
        {"datasets": {"ccp": {"task": ("sal",)}}},
        ["datasets.ccp.task is not a field", "tasks"],
    ),
    "no tasks": ({"datasets": {"ccp": {}}}, ["datasets.ccp lacks tasks"]),
    "dataset": (
        {"datasets": {"cpp": {"tasks": ("sal",)}}},
        ["datasets.cpp.dataset, left out, is 'cpp', but must be one of:", "ccp"],
    ),
    "task": (options(ccp={"tasks": ("depth",)}), ["datasets.ccp.tasks names 'depth'", "semseg"]),
    "twice": (options(ccp={"tasks": ("sal", "other=sal")}), ["names 'other=sal'", "once"]),
    "name": (options(ccp={"tasks": ("a/b=sal",)}), ["calls sal 'a/b'", "letters"]),
    "reserved": (options(ccp={"tasks": ("average=sal",)}), ["calls sal 'average'", "none of"]),
    "of two": (
        options(ccp={"tasks": ("edge",)}),
        ["datasets.ccp.tasks names edge, which bsds500 has", "ccp_edge=edge"],
    ),
    "images": (options(ccp={"images": 0}), ["datasets.ccp.images is 0, but must be at least 1"]),
    "own options": (
        options(bsds500={"options": {"votes": 99}}),
        ["datasets.bsds500.options.votes is 99"],
    ),
    "itself": ({"datasets": {"mixture": {"tasks": ("edge",)}}}, ["a mixture has none in it"]),
    "numbers as names": (
        {"datasets": {1: {"tasks": ("edge",)}, "ccp": {"tasks": ("sal",)}}},
        ["datasets.1 must be called by a letter"],
    ),
    "name of a truth": (
        options(ccp={"tasks": ("annotators=semseg",)}),
        ["datasets.ccp.tasks names annotators", "what edge is compared with", "ccp_semseg=semseg"],
    ),
    "name of its own truth": (
        options(bsds500={"tasks": ("annotators=edge",)}),
        ["calls edge annotators, which is what it is compared with"],
    ),
    "name of one": ({"datasets": {"../x": {"tasks": ("edge",)}}}, ["called by a letter"]),
    "not a section": ({"datasets": {"ccp": 3}}, ["datasets.ccp is 3, but must be a section"]),
    "epoch": (options() | {"groups_per_epoch": 0}, ["groups_per_epoch is 0", "at least 1"]),
}


@pytest.mark.parametrize(("wrong", "words"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_mixed_is_refused(wrong, words):
    with pytest.raises(ValueError, match=r"config\.dataset\.options") as caught:
        MIXTURE.tasks(wrong)
    assert_one_sentence(str(caught.value))
    assert [word for word in words if word not in str(caught.value)] == []


def test_splits_are_those_of_the_datasets(tmp_path):
    with pytest.raises(ValueError, match=r"has the splits train, evaluation.*not 'val'.*datasets"):
        MIXTURE.open_prepared(tmp_path, options(), "val")
    with pytest.raises(ValueError, match=r"datasets is empty, but must name"):
        MIXTURE.open_prepared(tmp_path, {}, "train")
    with pytest.raises(ValueError, match=r"split for validation: set .*NAME\.validation_split"):
        MIXTURE.open_prepared(tmp_path, options(), "validation")
    with pytest.raises(FileNotFoundError, match=r"bsds500 is not prepared in .*--dataset=bsds500"):
        MIXTURE.open_prepared(tmp_path, options(), "train")


SCENES = {"image_size": 64, "num_train": 4, "num_val": 3}
TWO_SCENES = {
    "datasets": {
        "day": {"dataset": "scenes", "tasks": ("depth", "flat=sal"), "options": SCENES},
        "night": {
            "dataset": "scenes",
            "tasks": ("semseg",),
            "options": SCENES | {"seed": 1},
            "eval_split": "val[:2]",
        },
    }
}


def test_examples_are_those_of_the_datasets(tmp_path):
    """Two sets of scenes; a task that is called otherwise has the labels of its own."""
    scenes = registry.find("scenes")
    mixed = MIXTURE.open(tmp_path, TWO_SCENES, "evaluation")
    assert mixed.length == 5
    parse = mixed.parser(["name", "image", "depth", "flat", "semseg"])
    found = [parse(record) for record in mixed.read(range(5))]
    for name, first, split in (("day", 0, "val"), ("night", 3, "val[:2]")):
        own = TWO_SCENES["datasets"][name]["options"]
        source = scenes.open(tmp_path, own, split)
        plain = source.parser(["name", "image", "depth", "sal", "semseg"])
        for position, record in enumerate(source.read(range(source.length))):
            here, there = found[first + position], plain(record)
            assert here["name"] == f"{name}/".encode() + there["name"]
            pairs = {"image": "image"}
            pairs |= {"depth": "depth", "flat": "sal"} if name == "day" else {"semseg": "semseg"}
            for key, own_key in pairs.items():
                np.testing.assert_array_equal(here[key], there[own_key])


@pytest.fixture
def near(monkeypatch):
    """A task that a plugin adds to the scenes."""
    added = collections.defaultdict(lambda: Registry("task", AddedTask, {}))
    monkeypatch.setattr(registry, "_ADDED_TASKS", added)
    task = dataclasses.replace(depth(), name="near", truth="near")
    registry.add_task("scenes", task, ("depth",), lambda metres: metres / 2)
    return task


def test_names_can_be_exchanged_and_be_those_of_a_plugin_s_task(near, tmp_path):
    tasks = ("sal=semseg", "semseg=sal", "room=near")
    said = {"dataset": "scenes", "tasks": tasks, "options": SCENES}
    mixed = MIXTURE.open(tmp_path, {"datasets": {"day": said}}, "train")
    plain = registry.find("scenes").open(tmp_path, SCENES, "train")
    here = mixed.parser(["sal", "semseg", "room"])(mixed.read([0])[0])
    there = plain.parser(["sal", "semseg", "near"])(plain.read([0])[0])
    for key, own_key in {"sal": "semseg", "semseg": "sal", "room": "near"}.items():
        np.testing.assert_array_equal(here[key], there[own_key])


def test_a_plugin_adds_no_task_to_a_mixture(near):
    with pytest.raises(PluginError, match="whose tasks are those of its datasets: add it to one"):
        registry.add_task("mixture", near, ("depth",), lambda metres: metres)


def test_edges_of_another_name_are_compared_with_their_own_labels():
    found = MIXTURE.tasks(options(bsds500={"tasks": ("outlines=edge",)}))
    (outlines,) = applied_to(EvaluationConfig(edge_truth="edges"), [found["outlines"]])
    assert outlines.truth == "outlines"


def test_a_split_has_examples_of_every_task(tmp_path):
    """A split for validation that one dataset lacks is refused before training, not after."""
    with_split = TWO_SCENES["datasets"]["day"] | {"validation_split": "val"}
    datasets = TWO_SCENES["datasets"] | {"day": with_split}
    source = MIXTURE.open(tmp_path, {"datasets": datasets}, "validation")
    assert source.labelled_for(["depth"]).length == source.length == 3
    with pytest.raises(ValueError, match="has no examples for semseg: it needs a split of each"):
        source.labelled_for(["depth", "semseg"])
