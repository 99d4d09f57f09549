"""BSDS500: every annotator is kept, and what enough of them drew is trained."""

import functools

import archives
import numpy as np
import pytest
import scipy.io
import scipy.sparse
from measured import MAX_MEMORY, measured
from PIL import Image
from prepared import assert_map, prepare_examples, read_examples

from astmt_jax.datasets import bsds500, registry
from astmt_jax.files.folder import Folder
from astmt_jax.metrics.true_edges import annotators_edges


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("source") / "BSR/BSDS500"
    archives.make_bsds500(root)
    return root


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def examples(root, data_dir):
    """split -> name -> maps, prepared from the folder around the dataset's."""
    return prepare_examples("bsds500", root.parents[1], data_dir)


def drawn(root, split, name):
    """(A, H, W), read as others do."""
    cells = scipy.io.loadmat(root / f"data/groundTruth/{split}/{name}.mat")["groundTruth"]
    return np.array([cells[0, i][0]["Boundaries"][0] for i in range(cells.shape[1])])


def test_images_come_in_the_order_of_their_numbers(examples):
    assert {split: tuple(found) for split, found in examples.items()} == archives.BSDS_NAMES


def test_all_annotators_are_kept(root, examples):
    for split, found in examples.items():
        for name, example in found.items():
            picture = Image.open(root / f"data/images/{split}/{name}.jpg")
            assert_map(example["image"], picture, np.uint8)
            kept = annotators_edges(example["annotators"][..., 0])
            np.testing.assert_array_equal(kept, drawn(root, split, name))


@pytest.mark.parametrize("votes", [1, 3])
def test_training_labels_are_what_enough_annotators_drew(root, tmp_path, votes):
    found = prepare_examples("bsds500", root, tmp_path, {"votes": votes})
    counts = set()
    for split, examples in found.items():
        for name, example in examples.items():
            maps = drawn(root, split, name)
            expected = maps.sum(axis=0) >= min(votes, len(maps))
            assert_map(example["edge"], expected, np.uint8)
            assert 0 < expected.mean() < 0.2
            counts.add(len(maps))
    assert counts == {2, 5}


def test_train_and_val_are_trained_on(examples, data_dir):
    dataset = registry.find("bsds500")
    source = dataset.open(data_dir, {}, dataset.train_split)
    assert list(read_examples(source)) == [*examples["train"], *examples["val"]]
    part = dataset.open(data_dir, {}, "train[1:]+val[:1]")
    names = (*archives.BSDS_NAMES["train"][1:], archives.BSDS_NAMES["val"][0])
    assert tuple(read_examples(part)) == names
    with pytest.raises(ValueError, match=r"no split bsds500/votes3/1\.1\.0:train\+tests; prepared"):
        dataset.open(data_dir, {}, "train+tests")


@pytest.mark.parametrize(
    "split",
    ["[[[", "[a:b]", "[:50%:2]", "[0]", "[:999999999]", "[5:2]", "[:200%]", "[ :1]", "[:1]test",
     f"[:{'9' * 5000}]", "+test" * 3000],
)  # fmt: skip
def test_slices_that_are_none_end_in_a_sentence(examples, data_dir, split):
    with pytest.raises(ValueError, match=r": slices are written as val\[:100\], val") as caught:
        registry.find("bsds500").open(data_dir, {}, f"test{split}")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        ({}, "has no variable groundTruth"),
        ({"groundTruth": np.zeros((3, 3))}, "has no cell groundTruth of structs with Boundaries"),
        ({"groundTruth": np.zeros((0, 0), object)}, "has 0 annotators, but must have 1 to 16"),
        ({"groundTruth": [{"Boundaries": np.zeros((3, 5))}]}, "is 3 x 5, but its image is 33 x 49"),
        ({"groundTruth": [{"Boundaries": np.full((33, 49), 2)}]}, "holds the unknown class 2"),
    ],
)
def test_a_bad_file_is_named(tmp_path, cells, words):
    archives.make_bsds500(tmp_path)
    if isinstance(cells.get("groundTruth"), list):
        (truth,) = cells["groundTruth"]
        cells = {"groundTruth": np.array([[truth]], object)}
    scipy.io.savemat(tmp_path / "data/groundTruth/val/3096.mat", cells)
    with pytest.raises(ValueError, match=words) as caught:
        bsds500.contents(Folder(tmp_path, "BSR.tgz"), votes=3).read("val", "3096")
    assert str(caught.value).startswith("data/groundTruth/val/3096.mat of BSR.tgz ")


def of(*drawings):
    """A cell of the structs of several annotators."""
    cells = np.empty((1, len(drawings)), object)
    for index, drawing in enumerate(drawings):
        cells[0, index] = {"Boundaries": drawing}
    return cells


BLANK = np.zeros((6, 5), np.uint8)
NO_CELL = "has no cell groundTruth of structs with Boundaries"
ODD = {
    "a text": ("hello", NO_CELL),
    "a struct": ({"Boundaries": BLANK}, NO_CELL),
    "several structs": (np.array([[(BLANK,)] * 3], [("Boundaries", object)]), NO_CELL),
    "several structs in a cell": (
        np.array([[np.zeros((1, 3), [("Boundaries", object)]), None]], object)[:, :1],
        NO_CELL,
    ),
    "texts": (np.array([["a", "b"]], object), NO_CELL),
    "maps": (np.array([[BLANK, BLANK[:2]]], object), NO_CELL),
    "another field": (np.array([[{"Bounds": BLANK}, {}]], object)[:, :1], NO_CELL),
    "nothing": (of(np.zeros((0, 0))), "is 0 x 0, but its image is 6 x 5"),
    "turned": (of(BLANK.T), "is 5 x 6, but its image is 6 x 5"),
    "the second": (of(BLANK, BLANK[1:]), "is 5 x 5, but its image is 6 x 5"),
    "channels": (of(np.zeros((6, 5, 3))), "must hold one map"),
    "a drawing of text": (of("abcde"), "is 1, but its image is 6 x 5"),
    "a sparse drawing": (of(scipy.sparse.csc_matrix(BLANK)), "is no map, but its image is 6 x 5"),
    "a complex drawing": (of(BLANK * 1j), "must hold one map"),
    "unknown": (of(np.full((6, 5), np.nan)), "holds the unknown class nan"),
    "infinite": (of(np.full((6, 5), np.inf)), "holds the unknown class inf"),
    "soft": (of(np.full((6, 5), 0.5)), "holds the unknown class 0.5"),
    "levels": (of(BLANK + np.uint8(255)), "holds the unknown class 255"),
    "crowds": (of(*[BLANK] * 17), "has 17 annotators, but must have 1 to 16"),
}


@pytest.mark.parametrize("case", ODD)
def test_odd_truths_end_in_a_sentence(tmp_path, case):
    truth, words = ODD[case]
    scipy.io.savemat(tmp_path / "a.mat", {"groundTruth": truth})
    with pytest.raises(ValueError, match=words) as caught:
        bsds500.boundaries(Folder(tmp_path, "mine"), "a.mat", BLANK.shape)
    assert str(caught.value).startswith("a.mat of mine ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", [bool, np.uint8, np.int16, np.float32, np.float64])
def test_drawings_of_any_class_are_read(tmp_path, kind):
    drawing = np.random.default_rng(0).integers(0, 2, BLANK.shape)
    scipy.io.savemat(tmp_path / "a.mat", {"groundTruth": of(drawing.astype(kind), BLANK)})
    found = bsds500.boundaries(Folder(tmp_path, "mine"), "a.mat", BLANK.shape)
    np.testing.assert_array_equal(found, [drawing, BLANK])


def blank_example(root):
    bsds500.contents(Folder(root, "mine"), 3).read("train", "1")


@pytest.mark.slow
def test_many_large_drawings_fit_into_memory(tmp_path):
    """290 MB that are compressed to as many kB, and a picture of the same size."""
    for kind in ("images", "groundTruth"):
        for split in bsds500.SPLITS:
            (tmp_path / f"data/{kind}/{split}").mkdir(parents=True)
    for split in bsds500.SPLITS:
        Image.new("L", (4300, 4200)).save(tmp_path / f"data/images/{split}/1.jpg")
    truths = of(*[np.zeros((4200, 4300), np.uint8)] * 16)
    path = tmp_path / "data/groundTruth/train/1.mat"
    scipy.io.savemat(path, {"groundTruth": truths}, do_compression=True)
    found = measured(functools.partial(blank_example, tmp_path))
    assert not found.told
    assert found.memory < MAX_MEMORY


def test_missing_files_are_named(tmp_path):
    archives.make_bsds500(tmp_path)
    (tmp_path / "data/groundTruth/val/3096.mat").unlink()
    with pytest.raises(ValueError, match=r"^data/groundTruth/val/3096\.mat of x is missing"):
        bsds500.contents(Folder(tmp_path, "x"), votes=3).read("val", "3096")
    for picture in (tmp_path / "data/images/val").glob("*.jpg"):
        picture.unlink()
    with pytest.raises(ValueError, match=r"^data/images/val of x holds no file that ends in \.jpg"):
        bsds500.contents(Folder(tmp_path, "x"), votes=3)


def test_votes_are_checked():
    for votes in (0, 17):
        with pytest.raises(ValueError, match=rf"options\.votes is {votes}, but must be 1 to 16"):
            registry.find("bsds500").tasks({"votes": votes})
