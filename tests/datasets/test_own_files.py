"""A folder of one's own as people have it: names, endings, units, and what cannot be meant."""

import unicodedata

import archives
import numpy as np
import pytest
from PIL import Image
from prepared import assert_map, prepare_examples

from astmt_jax.datasets import own_data, registry
from astmt_jax.datasets.prepare import main
from astmt_jax.files.folder import Folder
from astmt_jax.pipeline.geometries import mark_ignored

SIZE = (12, 16)
RANDOM = np.random.default_rng(0)
CLASSES = RANDOM.integers(0, 3, SIZE).astype(np.uint8)


def folder_with(root, names=("a",), with_images=True, **files):
    """A folder of these names; `files` are label folder -> example's file name -> what to write."""
    archives.write_lists(root / "splits", {"train": names, "val": names})
    for name in names if with_images else ():
        save(root / f"images/{name}.png", RANDOM.integers(0, 256, (*SIZE, 3)).astype(np.uint8))
    for folder, contents in files.items():
        for name, values in contents.items():
            save(root / folder / name, values)
    return root


def save(path, values):
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix.lower() == ".npy":
        with open(path, "wb") as file:
            np.save(file, values)
    elif isinstance(values, bytes):
        path.write_bytes(values)
    else:
        image = values if isinstance(values, Image.Image) else Image.fromarray(values)
        image.save(path)


def refusal(root, *arguments):
    """What the command says of a folder, of which nothing may stay."""
    data = root.parent / "data"
    with pytest.raises(SystemExit) as caught:
        main(
            [
                *("--dataset=own_data", f"--source={root}", f"--data_dir={data}"),
                *("--num_workers=1", *arguments),
            ]
        )
    assert caught.value.code.startswith("Error: ")
    assert "\n" not in caught.value.code
    assert not list(data.rglob("*.array_record*"))
    assert not list(data.rglob("dataset_info.json"))
    return caught.value.code


NAMES = (
    "two words", "a (1)", "a@2x", "a+b", "it's", "[bold]a[/bold]", "100%", "a,b;c=d", "é", "ü/ö",
    "\u0939\u093f\u0928\u094d\u200d\u0926\u0940", "日本", "a.b", "🙂", "-a", "#1", "~a",
)  # fmt: skip


@pytest.mark.parametrize("form", ["NFC", "NFD"])
@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
def test_names_of_all_kinds(tmp_path, form, ends):
    """Lists as any editor writes them, files as either system composes their letters."""
    stored = [unicodedata.normalize(form, name) for name in NAMES]
    root = folder_with(tmp_path / "mine", stored, semseg={f"{n}.png": CLASSES for n in stored})
    for split in ("train", "val"):
        text = "\ufeff" + ends.join(unicodedata.normalize("NFC", name) for name in NAMES) + ends
        (root / f"splits/{split}.txt").write_bytes(text.encode())
    contents = own_data.contents(Folder(root, "mine"))
    assert contents.splits["train"] == [unicodedata.normalize("NFC", name) for name in NAMES]
    for name in contents.splits["train"]:
        assert contents.read("train", name)["semseg"] is not None


@pytest.mark.parametrize(
    "name",
    ["../a", "/a", "a/../b", "./a", "a//b", ".a", "a/", "a\\b", "a\0b", "a\x1b[2J", "a\u202eb"],
)
def test_names_that_leave_the_folder_or_cannot_be_seen(tmp_path, name):
    root = folder_with(tmp_path / "mine", semseg={"a.png": CLASSES})
    (root / "splits/train.txt").write_bytes(f"a\n{name}\n".encode())
    with pytest.raises(ValueError, match=r"splits/train\.txt of mine has the line") as caught:
        own_data.contents(Folder(root, "mine"))
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "ending", ["JPG", "jpeg", "Jpg", "PNG", "webp", "bmp", "BMP", "tif", "tiff", "TIF"]
)
def test_endings_of_images(tmp_path, ending):
    pixels = RANDOM.integers(0, 256, (*SIZE, 3)).astype(np.uint8)
    root = folder_with(tmp_path / "mine", with_images=False, semseg={"a.PNG": CLASSES})
    save(root / f"images/a.{ending}", pixels)
    example = prepare_examples("own_data", root, tmp_path / "data")["val"]["a"]
    assert_map(example["image"], Image.open(root / f"images/a.{ending}").convert("RGB"), np.uint8)
    assert_map(example["semseg"], CLASSES, np.uint8)


@pytest.mark.parametrize(
    ("files", "words"),
    [
        (
            {"depth": {"a.exr": b"x"}},
            "depth/a.exr of mine has no ending that is read in depth/: .npy",
        ),
        ({"semseg": {"a.jpg": CLASSES}}, "semseg/a.jpg of mine has no ending that is read"),
        ({"semseg": {"a": b"x"}}, "semseg/a of mine has no ending that is read"),
        (
            {"semseg": {"a.png": CLASSES, "a.npy": CLASSES}},
            "semseg/a.png of mine belongs to the same example as semseg/a.npy: remove one",
        ),
        (
            {"images": {"a.JPG": np.zeros((*SIZE, 3), np.uint8)}, "semseg": {"a.png": CLASSES}},
            "images/a.png of mine belongs to the same example as images/a.JPG: remove one",
        ),
        (
            {"images": {"b.heic": b"x"}, "semseg": {"a.png": CLASSES}},
            "images/b.heic of mine has no ending that is read in images/: .jpg, .png",
        ),
        (
            {"normals": {"a.png": np.zeros((*SIZE, 3), np.uint8), "b.npy": np.zeros((*SIZE, 3))}},
            "is stored in another way than normals/a.png: let all files have one ending",
        ),
    ],
)
def test_no_file_is_passed_over(tmp_path, files, words):
    root = folder_with(tmp_path / "mine", **files)
    (root / "splits/val.txt").write_text("b\n")
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        own_data.contents(Folder(root, "mine"))
    assert words in str(caught.value)


def test_a_missing_image_is_named(tmp_path):
    root = folder_with(
        tmp_path / "mine", ["a.png"], with_images=False, semseg={"a.png.png": CLASSES}
    )
    words = r"^images/a\.png of mine is missing: .* \.tif, .* names are written without it\.$"
    with pytest.raises(ValueError, match=words):
        own_data.contents(Folder(root, "mine"))


def test_arrays_of_classes_and_masks(tmp_path):
    mask = RANDOM.random(SIZE) < 0.5
    root = folder_with(
        tmp_path / "mine",
        ("a", "b"),
        semseg={"a.npy": CLASSES.astype(np.int64), "b.png": CLASSES},
        human_parts={"a.npy": CLASSES},
        sal={"a.npy": mask},
        edge={"a.npy": mask.astype(float)},
    )
    example = prepare_examples("own_data", root, tmp_path / "data")["val"]
    for name in "ab":
        assert_map(example[name]["semseg"], CLASSES, np.uint8)
    assert_map(example["a"]["human_parts"], CLASSES, np.uint8)
    assert_map(example["a"]["sal"], mask, np.uint8)
    assert_map(example["a"]["edge"], mask, np.float32)


def palette_of(mask, colors):
    image = Image.fromarray(mask.astype(np.uint8), "P")
    image.putpalette([channel for color in colors for channel in color])
    return image


MASK = RANDOM.random(SIZE) < 0.5
MASKS = {
    "8 bits": Image.fromarray(np.uint8(MASK) * 255),
    "1 bit": Image.fromarray(MASK),
    "16 bits": Image.fromarray(np.uint16(MASK) * 255),
    "grey + alpha": Image.merge(
        "LA", [Image.fromarray(np.uint8(MASK) * 255), Image.new("L", SIZE[::-1])]
    ),
    "palette": palette_of(MASK, [(0, 0, 0), (255, 255, 255)]),
}


@pytest.mark.parametrize("form", MASKS)
@pytest.mark.parametrize("ending", ["png", "tif"])
def test_masks_of_every_form(tmp_path, form, ending):
    (tmp_path / "edge").mkdir()
    MASKS[form].save(tmp_path / f"edge/a.{ending}")
    levels = Folder(tmp_path, "mine").levels(f"edge/a.{ending}")
    np.testing.assert_array_equal(levels, np.uint8(MASK) * 255)


@pytest.mark.parametrize("depth", [1, 2, 4, 8])
def test_classes_of_few_bits_are_not_scaled(tmp_path, depth):
    """Pillow makes levels 0..255 of them; a picture of levels has these."""
    from pictures_of_strangers import png

    ids = np.arange(2**depth)[:16]
    row = sum(int(number) << depth * (len(ids) - 1 - i) for i, number in enumerate(ids))
    (tmp_path / "a.png").write_bytes(
        png(depth, 0, len(ids), [row.to_bytes(-(-len(ids) * depth // 8), "big")])
        if depth > 1
        else png(depth, 0, 2, [b"\x40"])
    )
    folder = Folder(tmp_path, "mine")
    np.testing.assert_array_equal(folder.class_ids("a.png"), [ids])
    np.testing.assert_array_equal(folder.levels("a.png"), [ids * 255 // (2**depth - 1)])


DEPTH = RANDOM.uniform(0.5, 9, SIZE)
MILLIMETRES = np.round(1000 * DEPTH).astype(np.uint16)
MILLIMETRES[0], MILLIMETRES[1] = 0, 65535


@pytest.mark.parametrize("ending", ["png", "tif", "npy"])
def test_the_unit_of_depth(tmp_path, ending):
    root = folder_with(tmp_path / "mine", depth={f"a.{ending}": MILLIMETRES})
    options = {"depth_unit": 0.001}
    example = prepare_examples("own_data", root, tmp_path / "data", options)["val"]["a"]
    expected = np.where(np.arange(SIZE[0])[:, None] < 2, 0, MILLIMETRES / 1000)
    assert_map(example["depth"], expected, np.float32, atol=1e-6)


def test_depth_of_an_unknown_unit_is_refused(tmp_path):
    root = folder_with(tmp_path / "png", depth={"a.png": MILLIMETRES})
    assert "depth/a.png" in refusal(root)
    assert "say --options=depth_unit=0.001 where they are millimetres" in refusal(root)
    root = folder_with(tmp_path / "npy", depth={"a.npy": MILLIMETRES})
    message = refusal(root)
    assert (
        f"npy for depth cannot be meant: the median depth is {np.median(MILLIMETRES[2:]):.4g} m"
        in (message)
    )
    assert "takes millimetres with --options=depth_unit=0.001" in message


@pytest.mark.parametrize("value", [1e39, 1e10])
def test_depth_that_is_none_is_refused(tmp_path, value):
    depth = DEPTH.copy()
    depth[0, 0] = value
    root = folder_with(tmp_path / "mine", depth={"a.npy": depth})
    assert "depth/a.npy of " in refusal(root)


VECTORS = RANDOM.normal(size=(*SIZE, 3))
VECTORS /= np.linalg.norm(VECTORS, axis=-1, keepdims=True)
CODES = np.round(127.5 * (VECTORS + 1)).astype(np.uint8)


@pytest.mark.parametrize("unknown", [(128, 128, 128), (127, 127, 127), (127, 128, 128), (0, 0, 0)])
def test_normals_that_are_unknown(tmp_path, unknown):
    codes = CODES.copy()
    codes[:5] = unknown
    root = folder_with(tmp_path / "mine", normals={"a.png": codes})
    normals = prepare_examples("own_data", root, tmp_path / "data")["val"]["a"]["normals"]
    expected = np.where(np.arange(SIZE[0])[:, None, None] < 5, 0, CODES / 127.5 - 1)
    assert_map(normals, expected, np.float32, atol=2e-7)
    marked = mark_ignored({"normals": normals}, {"normals": "normals"})["normals"]
    assert (marked[:5] == 255).all()
    assert (marked[5:] != 255).all()


HALF = np.where(np.arange(SIZE[1]) < 8, 0, 255) * np.ones(SIZE, np.uint8)


@pytest.mark.parametrize(
    ("files", "words"),
    [
        (
            {"semseg": {"a.png": np.uint8(HALF)}},
            "every pixel is of class 0 or 255, which is 'unknown'; ids are 0, 1, 2 and so on",
        ),
        ({"semseg": {"a.png": np.full(SIZE, 255, np.uint8)}}, "every pixel of every file is un"),
        ({"human_parts": {"a.png": np.zeros(SIZE, np.uint8)}}, "every pixel of every file is of"),
        ({"edge": {"a.png": np.uint8(HALF // 255)}}, "the highest level is 1; a level is v / 255"),
        ({"sal": {"a.png": np.uint8(HALF // 255)}}, "masks of 0 and 1 must become 0 and 255"),
        ({"normals": {"a.png": np.full((*SIZE, 3), 255, np.uint8)}}, "100% of the normals have"),
        ({"normals": {"a.npy": VECTORS / 5}}, "100% of the normals have a length outside 0.5..1.5"),
        ({"depth": {"a.npy": 1000 * DEPTH}}, "depth is in metres"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused(tmp_path, files, words):
    root = folder_with(tmp_path / "mine", **files)
    message = refusal(root)
    assert words in message
    assert next(iter(files)) in message


def test_classes_without_a_name_are_refused_where_names_are_given(tmp_path):
    """Masks of 0, 128 and 255 for three classes, for instance."""
    root = folder_with(tmp_path / "mine", semseg={"a.png": np.uint8(128 * (CLASSES % 2))})
    message = refusal(root, "--options=semseg_classes=sky+wall+floor")
    assert "there is a class 128, but the names are those of 0 to 2: sky, wall, floor" in message


def test_the_table_of_labels(tmp_path, capsys):
    codes = CODES.copy()
    codes[0] = 255
    depth = DEPTH.copy()
    depth[:3], depth[3, 0] = 0, 65.535e3
    root = folder_with(
        tmp_path / "mine",
        ("a", "b"),
        semseg={"a.png": np.where(HALF, 2, CLASSES % 2).astype(np.uint8)},
        normals={"a.png": codes},
        depth={"a.npy": depth, "b.npy": depth},
    )
    main(
        [
            *("--dataset=own_data", f"--source={root}", f"--data_dir={tmp_path / 'data'}"),
            "--options=config=mine,semseg_classes=sky+wall+floor+door",
        ]
    )
    printed = " ".join(capsys.readouterr().out.replace("│", " ").replace("┃", " ").split())
    assert "2 of 4" in printed
    assert "4 of 4" in printed
    assert "2 floor 50.0%" in printed
    assert "75.0%" in printed
    assert "Warning: no pixel of semseg is of door." in printed
    assert "Warning: depth goes up to 6.554e+04 m; what is unknown must be 0." in printed
    assert "Warning: 8.3% of the normals have a length outside 0.5..1.5" in printed


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"config": "../../x"}, "options.config is '../../x', but must be a name"),
        ({"config": ".."}, "options.config is '..', but must be a name"),
        ({"config": "1.1.0"}, "options.config is '1.1.0', but must be a name"),
        ({"semseg_classes": ()}, "options.semseg_classes has 0 names, but must have 2 to 255"),
        ({"semseg_classes": ("a", "b", "a")}, "semseg_classes names 'a' more than once"),
        ({"semseg_classes": ("a", "")}, "but every class must have a name"),
        ({"edge_positive_weight": 7.0}, "edge_positive_weight is 7.0, but must be between 0 and 1"),
        ({"edge_positive_weight": float("nan")}, "edge_positive_weight is nan"),
        ({"depth_unit": 0.0}, "options.depth_unit is 0.0, but must be a positive number"),
        ({"depth_unit": float("inf")}, "options.depth_unit is inf"),
    ],
)
def test_options_that_cannot_be_meant(options, words):
    with pytest.raises(ValueError, match=r"config\.dataset\.options") as caught:
        registry.find("own_data").tasks(options)
    assert words in str(caught.value)


@pytest.mark.parametrize("orientation", [3, 6])
def test_orientation_of_an_image_is_applied(tmp_path, orientation):
    """Labels are upright; those that are turned as the file is are refused."""
    pixels = RANDOM.integers(0, 256, (*SIZE, 3)).astype(np.uint8)
    turns = {3: 2, 6: -1}[orientation]
    upright = np.rot90(pixels, turns)
    root = folder_with(
        tmp_path / "mine", with_images=False, semseg={"a.png": np.rot90(CLASSES, turns)}
    )
    exif = Image.Exif()
    exif[0x0112] = orientation
    (root / "images").mkdir()
    Image.fromarray(pixels).save(root / "images/a.png", exif=exif)
    example = prepare_examples("own_data", root, tmp_path / "data")["val"]["a"]
    assert_map(example["image"], upright, np.uint8)
    if orientation == 6:
        save(root / "semseg/a.png", CLASSES)
        with pytest.raises(ValueError, match="labels must be upright, too"):
            own_data.contents(Folder(root, "mine")).read("val", "a")
