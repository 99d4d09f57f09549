"""CamVid: the splits and labels of SegNet's tutorial."""

import archives
import numpy as np
import pytest
from PIL import Image
from prepared import assert_map, prepare_examples

from astmt_jax.datasets import camvid
from astmt_jax.files.folder import Folder


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("source") / "CamVid"
    archives.make_camvid(root)
    return root


@pytest.fixture(scope="module")
def examples(root, tmp_path_factory):
    return prepare_examples("camvid", root.parent, tmp_path_factory.mktemp("data"))


def test_every_picture_is_in_its_split(examples):
    assert {split: tuple(found) for split, found in examples.items()} == archives.CAMVID_NAMES


def test_class_eleven_is_unknown(root, examples):
    seen = set()
    for split, found in examples.items():
        for name, example in found.items():
            assert_map(example["image"], Image.open(root / f"{split}/{name}.png"), np.uint8)
            stored = np.array(Image.open(root / f"{split}annot/{name}.png"))
            assert_map(example["semseg"], np.where(stored == 11, 255, stored), np.uint8)
            seen |= set(example["semseg"].ravel().tolist())
    assert seen == {*range(11), 255}


@pytest.mark.parametrize(
    ("label", "words"),
    [
        (np.full((36, 48), 12), "unknown class 12"),
        (np.zeros((48, 36)), "is 48 x 36, but its image"),
    ],
)
def test_a_bad_file_is_named(tmp_path, label, words):
    archives.make_camvid(tmp_path)
    Image.fromarray(label.astype(np.uint8)).save(tmp_path / "valannot/0016E5_07959.png")
    with pytest.raises(ValueError, match=words) as caught:
        camvid.contents(Folder(tmp_path, "x.zip")).read("val", "0016E5_07959")
    assert str(caught.value).startswith("valannot/0016E5_07959.png of x.zip ")
