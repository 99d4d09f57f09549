"""Clothing Co-Parsing: four tasks from one map of what people wear."""

import archives
import cv2
import numpy as np
import pytest
import scipy.io
from PIL import Image
from prepared import assert_map, prepare_examples

from astmt_jax.datasets import ccp
from astmt_jax.files.folder import Folder

# By name, as PARTS has them: head, torso, lower arms, upper legs, feet and lower legs.
PART_OF_NUMBER = {0: 0, 19: 1, 52: 2, 57: 4, 40: 5, 39: 6, 58: 6, 25: 255, 41: 255}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("source") / "clothing-co-parsing"
    archives.make_ccp(root)
    return root


@pytest.fixture(scope="module")
def examples(root, tmp_path_factory):
    return prepare_examples("ccp", root.parent, tmp_path_factory.mktemp("data"))


def test_the_last_two_hundred_are_for_validation(examples):
    """Of what has labels of pixels."""
    assert {split: tuple(found) for split, found in examples.items()} == archives.CCP_NAMES


def test_all_tasks_come_from_the_classes(root, examples):
    for found in examples.values():
        for name, example in found.items():
            worn = scipy.io.loadmat(root / f"annotations/pixel-level/{name}.mat")["groundtruth"]
            assert_map(example["image"], Image.open(root / f"photos/{name}.jpg"), np.uint8)
            assert_map(example["semseg"], worn, np.uint8)
            assert_map(example["sal"], worn != 0, np.uint8)
            parts = np.vectorize(PART_OF_NUMBER.get)(worn)
            assert_map(example["human_parts"], parts, np.uint8)
            differs = cv2.Laplacian(worn.astype(float), cv2.CV_64F) != 0
            edges = example["edge"][..., 0] > 0
            assert edges.any()
            assert not (edges & ~differs).any()  # thinned


def test_classes_are_numbered_as_in_the_archive():
    assert ccp.CLASSES[1:] == archives.CCP_CLASSES[1:]
    assert len(ccp.CLASSES) == 59
    named = [name for names in ccp.PARTS.values() for name in names]
    assert len(named) == len(set(named))
    assert (ccp.PART_OF_CLASS != 255).sum() == 1 + len(named)


@pytest.mark.parametrize(
    ("file", "content", "words"),
    [
        ("label_list.mat", {"label_list": np.array([["null", "bag"]], object)}, "other classes"),
        ("label_list.mat", {"labels": np.zeros(2)}, "has no variable label_list"),
        ("annotations/pixel-level/x1.mat", {"groundtruth": np.zeros((2, 2))}, "must have a number"),
        ("annotations/pixel-level/0002.mat", {"other": np.zeros(2)}, "no variable groundtruth"),
        (
            "annotations/pixel-level/0002.mat",
            {"groundtruth": np.full((42, 28), 59)},
            "holds the unknown class 59",
        ),
        (
            "annotations/pixel-level/0002.mat",
            {"groundtruth": np.zeros((28, 42))},
            "is 28 x 42, but its image is 42 x 28",
        ),
    ],
)
def test_a_bad_file_is_named(tmp_path, file, content, words):
    archives.make_ccp(tmp_path)
    scipy.io.savemat(tmp_path / file, content)
    with pytest.raises(ValueError, match=words) as caught:
        ccp.contents(Folder(tmp_path, "ccp.zip")).read("train", "0002")
    assert str(caught.value).startswith(f"{file} of ccp.zip ")


def test_both_splits_are_needed(tmp_path):
    archives.make_ccp(tmp_path)
    for name in archives.CCP_NAMES["val"]:
        (tmp_path / f"annotations/pixel-level/{name}.mat").unlink()
    with pytest.raises(ValueError, match="must have numbers up to 0804 and above"):
        ccp.contents(Folder(tmp_path, "x"))
