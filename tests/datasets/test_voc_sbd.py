"""VOC 2012 with SBD: the combined lists, and labels from both sources."""

import archives
import numpy as np
import pytest
import scipy.io
from PIL import Image
from prepared import assert_map, prepare_examples

from astmt_jax.datasets import voc_sbd
from astmt_jax.files.folder import Folder


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("source")
    archives.make_voc_sbd(root)
    return root


@pytest.fixture(scope="module")
def examples(root, tmp_path_factory):
    return prepare_examples("voc_sbd", root, tmp_path_factory.mktemp("data"))


def test_no_image_of_val_is_trained_on_and_none_twice(examples):
    assert list(examples["train"]) == ["a", "b", "e", "f"]
    assert list(examples["val"]) == ["c", "d"]


def test_labels_are_those_of_the_images_own_dataset(root, examples):
    for split in examples.values():
        for name, example in split.items():
            if name in "abcd":
                base = root / "VOCdevkit/VOC2012"
                image = base / f"JPEGImages/{name}.jpg"
                expected = np.array(Image.open(base / f"SegmentationClass/{name}.png"))
            else:
                base = root / "benchmark_RELEASE/dataset"
                image = base / f"img/{name}.jpg"
                expected = scipy.io.loadmat(base / f"cls/{name}.mat")["GTcls"][0][0][1]
            assert_map(example["image"], Image.open(image), np.uint8)
            assert_map(example["semseg"], expected, np.uint8)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "is missing"),
        (b"no MATLAB file", "is not a readable MATLAB file"),
        ({"other": np.zeros((2, 2))}, "has no variable GTcls"),
        ({"GTcls": np.zeros((2, 2))}, "has no GTcls.Segmentation"),
    ],
)
def test_unreadable_labels_of_sbd_say_why(tmp_path, content, reason):
    archives.make_voc_sbd(tmp_path)
    file = tmp_path / "benchmark_RELEASE/dataset/cls/e.mat"
    file.unlink()
    if isinstance(content, bytes):
        file.write_bytes(content)
    elif content is not None:
        scipy.io.savemat(file, content)
    contents = voc_sbd.contents(Folder(tmp_path, "VOC"))
    with pytest.raises(ValueError, match=f"cls/e.mat of VOC {reason}"):
        contents.read("train", "e")
