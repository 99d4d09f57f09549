"""PASCAL-Context: every stored value against an independent reading of the archive's files."""

import json
import pathlib
import shutil

import archives
import numpy as np
import pytest
import scipy.io
from PIL import Image
from prepared import assert_map, prepare_examples
from scipy import ndimage
from skimage.morphology import thin

from astmt_jax.datasets import pascal_context
from astmt_jax.datasets.region_edges import edges_of
from astmt_jax.files.folder import Folder

VALID_CLASSES = pathlib.Path(pascal_context.__file__).parent / "normals_valid_classes.json"
PARTS = [
    ("hair", "head", "lear", "rear", "lebrow", "rebrow", "leye", "reye", "mouth", "nose"),
    ("neck", "torso"),
    ("luarm", "ruarm"),
    ("llarm", "rlarm", "lhand", "rhand"),
    ("luleg", "ruleg"),
    ("llleg", "rlleg", "lfoot", "rfoot"),
]
PART_IDS = {name: number for number, names in enumerate(PARTS, 1) for name in names}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("source") / "PASCAL_MT"
    archives.make_pascal(root)
    return root


@pytest.fixture(scope="module")
def examples(root, tmp_path_factory):
    return prepare_examples("pascal_context", root, tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def both(examples):
    """name -> maps, of train and val."""
    return examples["train"] | examples["val"]


def label_map(root, name):
    return scipy.io.loadmat(root / f"pascal-context/trainval/{name}.mat")["LabelMap"]


def test_splits_are_the_published_lists(examples):
    for split in ("train", "val"):
        assert tuple(examples[split]) == archives.PASCAL_NAMES[split]


def test_val_all_tasks_present_has_the_images_that_are_labelled_for_all_tasks(examples):
    chosen = examples["val_all_tasks_present"]
    expected = [
        name
        for name, example in examples["val"].items()
        if example["human_parts"].any() and example["normals"].any()
    ]
    assert list(chosen) == expected == ["2008_000003", "2010_000009"]
    for name, example in chosen.items():
        for key, values in example.items():
            np.testing.assert_array_equal(values, examples["val"][name][key])


def test_images_are_those_that_pil_decodes(root, both):
    for name, example in both.items():
        picture = Image.open(root / f"JPEGImages/{name}.jpg").convert("RGB")
        assert_map(example["image"], picture, np.uint8)


def test_label_maps_and_edges(root, both):
    for name, example in both.items():
        regions = label_map(root, name)
        assert_map(example["label_map"], regions, np.int32)
        steps = ndimage.laplace(regions.astype(float), mode="mirror")
        edges = thin(np.abs(steps) > 0)
        assert 0 < edges.mean() < 0.5
        assert_map(example["edge"], edges, np.uint8)


def test_edges_of_random_maps():
    random = np.random.default_rng(0)
    for shape in ((1, 1), (1, 9), (2, 2), (40, 31)):
        regions = random.integers(0, 3, shape)
        steps = ndimage.laplace(regions.astype(float), mode="mirror")
        np.testing.assert_array_equal(edges_of(regions), thin(np.abs(steps) > 0))


def test_semantic_classes_are_palette_indices_of_voc_where_there_are_any(root, both):
    for name, example in both.items():
        folder = "pascal-context" if name in archives.WITHOUT_VOC_LABELS else "VOC12"
        picture = Image.open(root / f"semseg/{folder}/{name}.png")
        assert picture.mode == "P"
        assert_map(example["semseg"], picture, np.uint8)


def painted(root, name, size):
    """Human parts from the .mat file, read by fields' names."""
    anno = scipy.io.loadmat(
        root / f"human_parts/{name}.mat", squeeze_me=True, struct_as_record=False
    )["anno"]
    target = np.zeros(size, int)
    for thing in np.atleast_1d(anno.objects):
        if thing.class_ind == 15:
            for part in np.atleast_1d(thing.parts):
                target = np.where(part.mask == 1, PART_IDS[part.part_name], target)
    return target


def test_human_parts_are_painted_in_order(root, both):
    seen = set()
    for name, example in both.items():
        expected = painted(root, name, example["image"].shape[:2])
        assert_map(example["human_parts"], expected, np.uint8)
        assert (not expected.any()) == (name in archives.WITHOUT_PERSON)
        seen |= set(np.unique(expected))
    assert seen == set(range(7))


def test_normals_are_valid_for_the_given_classes_only(root, both):
    valid_classes = json.loads(VALID_CLASSES.read_text())
    shares = []
    for name, example in both.items():
        codes = np.array(Image.open(root / f"normals_distill/{name}.png"), float)
        valid = np.isin(label_map(root, name), valid_classes)
        shares.append(valid.mean())
        expected = np.where(valid[..., None], 2 * codes / 255 - 1, 0)
        assert_map(example["normals"], expected, np.float32, atol=1e-6)
        np.testing.assert_array_equal(example["normals"].any(axis=-1), valid)
    assert 0.2 < np.mean(shares) < 0.8


def test_saliency_is_above_a_half(root, both):
    for name, example in both.items():
        levels = np.array(Image.open(root / f"sal_distill/{name}.png"))
        assert_map(example["sal"], levels / 255 > 0.5, np.uint8)


def test_every_part_has_a_class():
    assert set(pascal_context.CLASS_OF_PART) == set(archives.PART_NAMES)
    assert PART_IDS == pascal_context.CLASS_OF_PART


def parts_of(tmp_path, objects, size=(6, 8)):
    scipy.io.savemat(tmp_path / "x.mat", {"anno": archives.anno("x", objects)})
    return pascal_context.human_parts(Folder(tmp_path, "PASCAL_MT.tgz"), "x.mat", size)


def test_later_parts_cover_earlier_ones(tmp_path):
    first, second = np.zeros((6, 8), np.uint8), np.zeros((6, 8), np.uint8)
    first[:4], second[2:] = 1, 1
    parts = parts_of(tmp_path, [(15, first, [("head", first), ("torso", second)])])
    np.testing.assert_array_equal(parts[:, 0], [1, 1, 2, 2, 2, 2])
    people = [(15, second, [("torso", second)]), (15, first, [("head", first)])]
    np.testing.assert_array_equal(parts_of(tmp_path, people)[:, 0], [1, 1, 1, 1, 2, 2])


def test_people_without_pixels_have_no_parts(tmp_path):
    nothing, everything = np.zeros((6, 8), np.uint8), np.ones((6, 8), np.uint8)
    assert not parts_of(tmp_path, [(15, nothing, [("head", everything)])]).any()
    assert not parts_of(tmp_path, [(15, everything, [])]).any()


def test_unknown_parts_and_classes_are_refused(tmp_path):
    mask = np.ones((6, 8), np.uint8)
    with pytest.raises(ValueError, match=r"x\.mat of PASCAL_MT\.tgz has the unknown part 'tail'"):
        parts_of(tmp_path, [(15, mask, [("tail", mask)])])
    with pytest.raises(ValueError, match=r"x\.mat .* unknown class 77"):
        parts_of(tmp_path, [(77, mask, [("head", mask)])])
    with pytest.raises(ValueError, match=r"x\.mat .* is 6 x 8, but its image is 6 x 9"):
        parts_of(tmp_path, [(15, mask, [("head", mask)])], size=(6, 9))


def replace_png(path, array):
    Image.fromarray(array).save(path)


@pytest.mark.parametrize(
    ("path", "damage", "words"),
    [
        ("JPEGImages/2008_000007.jpg", pathlib.Path.unlink, "is missing"),
        (
            "JPEGImages/2008_000007.jpg",
            lambda path: path.write_bytes(path.read_bytes()[:-300]),
            "is truncated or corrupt",
        ),
        ("JPEGImages/2008_000007.jpg", lambda path: path.write_text("text"), "is not a JPEG"),
        (
            "pascal-context/trainval/2008_000007.mat",
            lambda path: scipy.io.savemat(path, {"LabelMap": np.zeros((3, 4), np.uint16)}),
            "is 3 x 4, but its image is 63 x 86",
        ),
        (
            "pascal-context/trainval/2008_000007.mat",
            lambda path: scipy.io.savemat(path, {"LabelMap": np.full((63, 86), 460)}),
            "holds the unknown class 460",
        ),
        (
            "pascal-context/trainval/2008_000007.mat",
            lambda path: scipy.io.savemat(path, {"Labels": np.zeros((63, 86))}),
            "has no variable LabelMap",
        ),
        (
            "pascal-context/trainval/2008_000007.mat",
            lambda path: path.write_bytes(path.read_bytes()[:200]),
            "is not a readable MATLAB file",
        ),
        (
            "semseg/VOC12/2008_000007.png",
            lambda path: replace_png(path, np.full((63, 86), 21, np.uint8)),
            "holds the unknown class 21",
        ),
        (
            "semseg/VOC12/2008_000007.png",
            lambda path: replace_png(path, np.zeros((63, 86, 3), np.uint8)),
            "has pixels of mode RGB",
        ),
        (
            "normals_distill/2008_000007.png",
            lambda path: replace_png(path, np.zeros((62, 86, 3), np.uint8)),
            "is 62 x 86, but its image is 63 x 86",
        ),
        (
            "human_parts/2008_000007.mat",
            lambda path: scipy.io.savemat(path, {"anno": np.zeros((2, 2))}),
            "does not have the form of PASCAL-Part's `anno`",
        ),
        ("sal_distill/2008_000007.png", lambda path: path.write_bytes(b""), "is not a JPEG, PNG"),
        (
            "ImageSets/Context/val.txt",
            lambda path: path.write_text("../../secret\n"),
            "has the line '../../secret', which is no name",
        ),
        ("ImageSets/Context/val.txt", lambda path: path.write_text("a\na\n"), "names a more than"),
        ("ImageSets/Context/val.txt", lambda path: path.write_text("\n"), "names no example"),
    ],
)
def test_a_bad_file_is_named(root, tmp_path, path, damage, words):
    copy = tmp_path / "PASCAL_MT"
    shutil.copytree(root, copy)
    damage(copy / path)
    folder = Folder(copy, "PASCAL_MT.tgz")
    with pytest.raises(ValueError, match=words) as caught:
        pascal_context.contents(folder).read("train", "2008_000007")
    assert str(caught.value).startswith(f"{path} of PASCAL_MT.tgz ")
    assert "\n" not in str(caught.value)
    assert str(caught.value).count(". ") == 0


@pytest.mark.parametrize("number", [[1, 2], "person", 15.5, [[]]])
def test_an_object_without_a_class_is_named(tmp_path, number):
    thing = archives.structs(
        ("class", "class_ind", "mask", "parts"),
        [("", np.array(number), np.ones((6, 9)), np.zeros(0))],
    )
    anno = archives.structs(("imname", "objects"), [("", thing)])
    scipy.io.savemat(tmp_path / "x.mat", {"anno": anno})
    with pytest.raises(ValueError, match=r"^x\.mat of mine has an object of the unknown class"):
        pascal_context.human_parts(Folder(tmp_path, "mine"), "x.mat", (6, 9))
