"""A folder of one's own: any subset of tasks, examples that lack some of them."""

import archives
import jax
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from PIL import Image
from prepared import assert_map, prepare_examples

from astmt_jax.config import AugmentationConfig
from astmt_jax.datasets import own_data, registry
from astmt_jax.evaluation.network import evaluate_network
from astmt_jax.files.folder import Folder
from astmt_jax.labels import IGNORE
from astmt_jax.pipeline import batches as pipeline
from astmt_jax.pipeline.settings import InputSettings
from astmt_jax.pipeline.survey import check_classes, labelled
from astmt_jax.tasks.semseg import semseg

OPTIONS = {"config": "rooms", "semseg_classes": ("a", "b", "c", "d", "e")}
TASKS = ("semseg", "normals", "depth")


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """The source and the folder of prepared data."""
    root = tmp_path_factory.mktemp("source")
    archives.make_own_data(root)
    return root, tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def examples(folders):
    root, data_dir = folders
    return prepare_examples("own_data", root, data_dir, OPTIONS)


def test_every_map_is_what_the_files_hold(folders, examples):
    root, _ = folders
    everything = examples["train"] | examples["val"]
    assert list(everything) == list("abcd")
    for name, example in everything.items():
        assert set(example) == {"image", "semseg", "normals", "depth"}
        assert_map(example["image"], Image.open(root / f"images/{name}.png"), np.uint8)
        if name != "b":
            depth = np.load(root / f"depth/{name}.npy").astype(np.float32)
            assert_map(example["depth"], depth, np.float32)
        if name != "c":
            assert_map(example["semseg"], Image.open(root / f"semseg/{name}.png"), np.uint8)
            codes = np.array(Image.open(root / f"normals/{name}.png"), float)
            assert_map(example["normals"], 2 * codes / 255 - 1, np.float32, atol=2e-7)


def test_a_missing_label_is_unknown_everywhere(examples):
    assert_map(examples["train"]["b"]["depth"], np.zeros((36, 44)), np.float32)
    assert_map(examples["train"]["c"]["semseg"], np.full((36, 44), IGNORE), np.uint8)
    assert_map(examples["train"]["c"]["normals"], np.zeros((36, 44, 3)), np.float32)


@pytest.mark.usefixtures("examples")
def test_partly_labelled_examples_train_on_what_they_have(folders):
    _, data_dir = folders
    source = registry.find("own_data").open(data_dir, OPTIONS, "train")
    tasks = registry.select_tasks("own_data", TASKS, OPTIONS)
    (batch,) = pipeline.train_batches(
        source,
        tasks,
        InputSettings(3, 32, "none", num_threads=1),
        AugmentationConfig(rotation=5.0, scale=(0.6, 0.8)),
        seed=0,
        steps=range(1),
    )
    unknown = {
        name: sorted((label == IGNORE).reshape(3, -1).all(axis=1).tolist())
        for name, label in batch["labels"].items()
    }
    assert unknown == {name: [False, False, True] for name in TASKS}


@pytest.mark.usefixtures("examples")
def test_a_single_task_trains_on_the_examples_that_have_it(folders):
    _, data_dir = folders
    source = registry.find("own_data").open(data_dir, OPTIONS, "train")
    for task in registry.select_tasks("own_data", TASKS, OPTIONS):
        assert labelled(source, task, 1).length == 2


def test_classes_without_a_name_are_found_before_training(folders, examples, capsys):
    """The options name the classes, so that preparing the data cannot know them."""
    _, data_dir = folders
    source = registry.find("own_data").open(data_dir, OPTIONS, "train")
    highest = {
        name: maps["semseg"][maps["semseg"] != IGNORE].max(initial=0)
        for name, maps in examples["train"].items()
    }
    used = max(highest.values())
    names = tuple("abcdefgh")
    check_classes(source, semseg(names[: used + 1]), 1)
    assert capsys.readouterr().out == ""
    check_classes(source, semseg(names[: used + 2]), 1)
    assert f"train is of {names[used + 1]}." in capsys.readouterr().out
    (culprit, *_) = (name for name, found in highest.items() if found == used)
    words = rf"The semseg of {culprit} in own_data/rooms.* holds class {used}, .* 0\.\.{used - 1}"
    with pytest.raises(ValueError, match=words):
        check_classes(source, semseg(names[:used]), 1)


@pytest.mark.usefixtures("examples")
def test_a_task_without_a_folder_cannot_be_trained(folders):
    _, data_dir = folders
    source = registry.find("own_data").open(data_dir, OPTIONS, "train")
    with pytest.raises(ValueError, match=r"own_data/rooms/1\.1\.0:train has no sal; it has "):
        source.parser(["image", "sal"])


def test_classes_follow_the_options():
    (task,) = registry.select_tasks("own_data", ("semseg",), OPTIONS)
    assert task.class_names == OPTIONS["semseg_classes"]
    assert task.channels == 5


def test_a_folder_without_labels_is_refused(tmp_path):
    archives.write_lists(tmp_path / "splits", {"train": ["a"], "val": ["a"]})
    with pytest.raises(ValueError, match="names no example that has a label in one of edge/, "):
        own_data.contents(Folder(tmp_path, "mine"))


def test_each_task_is_read_as_documented(tmp_path):
    """The tasks that the other tests leave out."""
    random = np.random.default_rng(0)
    archives.write_lists(tmp_path / "splits", {"train": ["a"], "val": ["a"]})
    maps = {
        "images": random.integers(0, 256, (20, 30, 3)),
        "edge": random.choice([0, 255], (20, 30)),
        "human_parts": random.choice([0, 1, 2, 3, 4, 5, 6, 255], (20, 30)),
        "sal": random.choice([0, 127, 128, 255], (20, 30)),
        "albedo": random.integers(0, 256, (20, 30, 3)),
    }
    maps = {key: values.astype(np.uint8) for key, values in maps.items()}
    for key, values in maps.items():
        (tmp_path / key).mkdir()
        Image.fromarray(values).save(tmp_path / key / "a.png")
    example = prepare_examples("own_data", tmp_path, tmp_path / "data")["val"]["a"]
    assert_map(example["edge"], maps["edge"] // 255, np.float32)
    assert_map(example["human_parts"], maps["human_parts"], np.uint8)
    assert_map(example["sal"], maps["sal"] > 127, np.uint8)
    assert_map(example["albedo"], maps["albedo"] / 255, np.float32, atol=1e-7)


@pytest.mark.usefixtures("examples")
def test_only_labelled_examples_are_scored(folders):
    root, data_dir = folders
    source = registry.find("own_data").open(data_dir, OPTIONS, "train")
    tasks = registry.select_tasks("own_data", ("semseg", "depth"), OPTIONS)
    mesh = jax.make_mesh((1,), ("data",), axis_types=(AxisType.Auto,))

    def predict(images):
        side = images.shape[:3]
        return {"semseg": np.zeros(side, np.uint8), "depth": np.zeros(side, np.float32)}

    found = evaluate_network(
        tasks,
        predict,
        source,
        InputSettings(2, 32, "none", num_threads=1),
        sharding=NamedSharding(mesh, PartitionSpec("data")),
    ).scores
    depths = [np.load(root / f"depth/{name}.npy") for name in "ac"]
    expected = np.mean([np.sqrt(np.mean(depth**2)) for depth in depths])
    np.testing.assert_allclose(found.results["depth"]["rmse"], expected, rtol=1e-5)
    classes = np.stack([Image.open(root / f"semseg/{name}.png") for name in "ab"])
    share = (classes == 0).sum() / (classes != IGNORE).sum()
    np.testing.assert_allclose(found.results["semseg"]["mIoU"], share / 5, rtol=1e-6)
