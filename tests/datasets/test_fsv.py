"""FSV: every stored value against an independent reading, with and without Apache Beam."""

import archives
import cv2
import numpy as np
import pytest
from PIL import Image
from prepared import assert_map, prepare_examples, read_examples

from astmt_jax.datasets import fsv, registry
from astmt_jax.datasets.prepare import prepare
from astmt_jax.files.folder import Folder
from astmt_jax.labels import IGNORE
from astmt_jax.pipeline import augment
from astmt_jax.pipeline.geometries import mark_ignored
from astmt_jax.pipeline.warp import Motion
from astmt_jax.tasks.depth import disparity as disparity_task


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("source") / "FSV"
    archives.make_fsv(root)
    return root


@pytest.fixture(scope="module")
def examples(root, tmp_path_factory):
    return prepare_examples("fsv", root, tmp_path_factory.mktemp("data"))


def test_every_map_is_what_the_files_hold(root, examples):
    for split, names in archives.FSV_NAMES.items():
        assert tuple(examples[split]) == names
        for name, example in examples[split].items():
            start = root / f"gta_{split}/{name}"
            picture = cv2.imread(f"{start}_final.webp")[..., ::-1]
            assert_map(example["image"], picture, np.uint8)
            ids = np.array(Image.open(f"{start}_object_id.png"))[..., 0].astype(int)
            assert set(np.unique(ids)) == set(range(8))
            ids[np.isin(ids, [1, 4, 5, 6, 7])] = 0
            assert_map(example["semseg"], np.maximum(ids - 1, 0), np.uint8)
            albedo = cv2.imread(f"{start}_albedo.webp")[..., ::-1] / 255
            assert_map(example["albedo"], albedo, np.float32, atol=1e-7)
            blue, green, red = np.moveaxis(cv2.imread(f"{start}_disparity.webp").astype(int), -1, 0)
            disparity = (blue * 65536 + green * 256 + red) / 8192
            assert disparity.max() > 1000
            assert_map(example["depth"], disparity, np.float32)


def test_files_are_kept_as_they_are(root):
    stored = fsv.contents(Folder(root, "FSV")).read("train", "000_0001")
    for key, ending in (("image", "final"), ("albedo", "albedo"), ("depth", "disparity")):
        assert stored[key] == (root / f"gta_train/000_0001_{ending}.webp").read_bytes()


def test_a_disparity_of_255_is_known(examples):
    """255.0, which is also the mark of what is unknown, moves by the smallest step."""
    disparity = examples["train"]["000_0001"]["depth"]
    assert (disparity[:3] == 255).all()
    marked = mark_ignored({"depth": disparity}, {"depth": "disparity"})["depth"]
    assert (marked[:3] != IGNORE).all()
    np.testing.assert_allclose(marked[:3], 255, rtol=1e-7)
    assert (marked[3:6] == IGNORE).all()
    others = disparity[6:]
    np.testing.assert_array_equal(marked[6:], np.where(others == 0, IGNORE, others))


def test_disparity_grows_with_the_zoom():
    example = {
        "image": np.zeros((20, 20, 3), np.uint8),
        "depth": np.full((20, 20, 1), 8, np.float32),
    }
    geometry = {"depth": disparity_task().geometry}
    for scaled, expected in ((True, 10.0), (False, 8.0)):
        motion = Motion(zoom=1.25, depth_scaling=scaled)
        moved = augment.move(example, geometry, 20, motion)["depth"]
        np.testing.assert_allclose(moved, expected)


def test_a_long_test_list_is_strided(tmp_path):
    lists = {"train": ["a"], "test": [f"{number:06d}" for number in range(15001)]}
    archives.write_lists(tmp_path / "gt_sets", lists, prefix="gta_")
    chosen = fsv.contents(Folder(tmp_path, "FSV")).splits["test"]
    assert chosen == lists["test"][::3]


def test_an_unknown_class_is_refused(root, tmp_path):
    archives.make_fsv(tmp_path / "FSV")
    path = tmp_path / "FSV/gta_train/000_0001_object_id.png"
    Image.fromarray(np.full((45, 80, 3), 9, np.uint8)).save(path)
    with pytest.raises(ValueError, match=r"^gta_train/000_0001_object_id\.png .* unknown class 9"):
        fsv.contents(Folder(tmp_path / "FSV", "FSV")).read("train", "000_0001")


def test_beam_gives_the_same_examples(root, examples, tmp_path):
    pytest.importorskip("apache_beam", reason="needs the extra [beam]")
    prepare("fsv", root, tmp_path, beam_options="runner=DirectRunner")
    for split, expected in examples.items():
        found = read_examples(registry.find("fsv").open(tmp_path, {}, split))
        assert list(found) == list(expected)
        for name, example in found.items():
            for key, values in example.items():
                np.testing.assert_array_equal(values, expected[name][key])


def test_beam_names_a_bad_file(tmp_path):
    pytest.importorskip("apache_beam", reason="needs the extra [beam]")
    archives.make_fsv(tmp_path / "FSV")
    (tmp_path / "FSV/gta_train/000_0002_albedo.webp").unlink()
    with pytest.raises(ValueError, match=r"^gta_train/000_0002_albedo\.webp of .* is missing"):
        prepare("fsv", tmp_path / "FSV", tmp_path / "data", beam_options="runner=DirectRunner")
    assert not list((tmp_path / "data").rglob("dataset_info.json"))


def test_without_beam_its_options_are_refused_in_one_sentence(root, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "apache_beam", None)
    monkeypatch.setitem(__import__("sys").modules, "apache_beam.options", None)
    with pytest.raises(ValueError, match=r"pip install 'astmt_jax\[beam\]'"):
        prepare("fsv", root, tmp_path, beam_options="runner=DirectRunner")
