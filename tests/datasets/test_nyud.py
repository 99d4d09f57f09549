"""NYUD: both archives, 40 and 41 classes, every stored value against an independent reading."""

import shutil

import archives
import numpy as np
import pytest
import scipy.io
from PIL import Image
from prepared import assert_map, prepare_examples

from astmt_jax.datasets import nyud, registry
from astmt_jax.datasets.prepare import prepare
from astmt_jax.files.folder import Folder

FORMS = ("astmt", "arrays", "pictures")


@pytest.fixture(scope="module", params=FORMS)
def archive(request, tmp_path_factory):
    """(form, root, split -> name -> maps) of one of the archives, in 41 classes."""
    root = tmp_path_factory.mktemp(request.param) / "NYUD_MT"
    archives.make_nyud(root, request.param)
    data_dir = tmp_path_factory.mktemp("data")
    return request.param, root, prepare_examples("nyud", root, data_dir)


def read_again(root, form, name):
    """What the published loaders of this archive's users read."""
    if form == "astmt":
        return {
            "image": np.array(Image.open(root / f"images/{name}.jpg")),
            "edge": np.array(Image.open(root / f"edge/{name}.png")) / 255,
            "semseg": scipy.io.loadmat(root / f"segmentation/{name}.mat")["segmentation"],
            "normals": 2 * np.array(Image.open(root / f"normals/{name}.jpg"), float) / 255 - 1,
            "depth": scipy.io.loadmat(root / f"depth/{name}.mat")["depth"].astype(np.float32),
        }
    found = {
        "semseg": np.array(Image.open(root / f"segmentation/{name}.png")),
        "depth": np.load(root / f"depth/{name}.npy"),
    }
    if form == "arrays":
        return found | {
            "image": np.array(Image.open(root / f"images/{name}.jpg")),
            "edge": np.load(root / f"edge/{name}.npy"),
            "normals": np.load(root / f"normals/{name}.npy"),
        }
    return found | {
        "image": np.array(Image.open(root / f"images/{name}.png")),
        "edge": np.array(Image.open(root / f"edge/{name}.png")) / 255,
        "normals": 2 * np.array(Image.open(root / f"normals/{name}.png"), float) / 255 - 1,
    }


def test_every_map_is_what_the_files_hold(archive):
    form, root, examples = archive
    for split, names in archives.NYUD_NAMES.items():
        assert tuple(examples[split]) == names
        for name, example in examples[split].items():
            expected = read_again(root, form, name)
            assert_map(example["image"], expected["image"], np.uint8)
            assert_map(example["edge"], expected["edge"], np.float32, atol=1e-7)
            assert_map(example["semseg"], expected["semseg"], np.uint8)
            assert_map(example["normals"], expected["normals"], np.float32, atol=2e-7)
            assert_map(example["depth"], expected["depth"], np.float32)
            assert 0.1 < (example["depth"] == 0).mean() < 0.6


def test_forty_classes_ignore_the_background(tmp_path):
    root = tmp_path / "NYUD_MT"
    archives.make_nyud(root, "astmt")
    examples = prepare_examples("nyud", root, tmp_path, {"classes": 40})["val"]
    for name, example in examples.items():
        stored = read_again(root, "astmt", name)["semseg"].astype(int)
        assert_map(example["semseg"], np.where(stored == 0, 255, stored - 1), np.uint8)


def test_number_of_classes_follows_the_options():
    for classes, first in ((41, "background"), (40, "wall")):
        (task,) = registry.select_tasks("nyud", ("semseg",), {"classes": classes})
        assert task.channels == len(task.class_names) == classes
        assert task.class_names[0] == first
    with pytest.raises(ValueError, match=r"options\.classes is 13, but must be 40 or 41"):
        registry.select_tasks("nyud", ("semseg",), {"classes": 13})


def test_unknown_configuration_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"options\.classes is 13, but must be 40 or 41"):
        prepare("nyud", tmp_path, tmp_path, options={"classes": 13})


class Unpickled:
    """Creates a file when somebody unpickles it."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


@pytest.mark.parametrize(
    ("path", "damage", "words"),
    [
        ("normals/0002.npy", lambda path: path.unlink(), "is missing"),
        ("normals/0002.npy", lambda path: np.save(path, np.ones((49, 63, 3)) * 2), "outside -1..1"),
        ("normals/0002.npy", lambda path: np.save(path, np.ones((49, 63))), r"but must be numbers"),
        ("edge/0002.npy", lambda path: np.save(path, np.full((49, 63), 0.3)), "than 0 and 1"),
        ("depth/0002.npy", lambda path: np.save(path, -np.ones((49, 63))), "negative depth"),
        ("depth/0002.npy", lambda path: np.save(path, np.full((49, 63), np.nan)), "not finite"),
        ("depth/0002.npy", lambda path: np.save(path, np.ones((49, 64))), "is 49 x 64, but its"),
        (
            "depth/0002.npy",
            lambda path: np.save(
                path, np.array([Unpickled(path.with_suffix(".trap"))], object), allow_pickle=True
            ),
            "is not a readable array",
        ),
        (
            "segmentation/0002.png",
            lambda path: Image.fromarray(np.full((49, 63), 41, np.uint8)).save(path),
            "holds the unknown class 41",
        ),
    ],
)
def test_a_bad_file_is_named(tmp_path, path, damage, words):
    archives.make_nyud(tmp_path / "NYUD_MT", "arrays")
    damage(tmp_path / "NYUD_MT" / path)
    with pytest.raises(ValueError, match=words) as caught:
        nyud.contents(Folder(tmp_path / "NYUD_MT", "NYUD_MT.tgz"), 41).read("train", "0002")
    assert str(caught.value).startswith(f"{path} of NYUD_MT.tgz ")
    assert not list(tmp_path.rglob("*.trap"))


def test_an_archive_without_a_label_is_refused(tmp_path):
    archives.make_nyud(tmp_path, "astmt")
    shutil.rmtree(tmp_path / "depth")
    with pytest.raises(ValueError, match=r"^depth/0001\.mat of x is missing, and so is .*\.npy\.$"):
        nyud.contents(Folder(tmp_path, "x"), 41)
