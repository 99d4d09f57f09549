"""Small datasets in the real formats of the published archives, written by code.

Every maker writes a folder and returns nothing: tests read the files again, independently.
"""

import numpy as np
import scipy.io
from PIL import Image

PART_NAMES = (
    "hair", "head", "lear", "lebrow", "leye", "lfoot", "lhand", "llarm", "llleg", "luarm", "luleg",
    "mouth", "neck", "nose", "rear", "rebrow", "reye", "rfoot", "rhand", "rlarm", "rlleg", "ruarm",
    "ruleg", "torso",
)  # fmt: skip
CCP_CLASSES = (
    "null", "accessories", "bag", "belt", "blazer", "blouse", "bodysuit", "boots", "bra",
    "bracelet", "cape", "cardigan", "clogs", "coat", "dress", "earrings", "flats", "glasses",
    "gloves", "hair", "hat", "heels", "hoodie", "intimate", "jacket", "jeans", "jumper", "leggings",
    "loafers", "necklace", "panties", "pants", "pumps", "purse", "ring", "romper", "sandals",
    "scarf", "shirt", "shoes", "shorts", "skin", "skirt", "sneakers", "socks", "stockings", "suit",
    "sunglasses", "sweater", "sweatshirt", "swimwear", "t-shirt", "tie", "tights", "top", "vest",
    "wallet", "watch", "wedges",
)  # fmt: skip
"""As label_list.mat of the repository has them."""
PASCAL_NAMES = {
    "train": ("2008_000001", "2008_000007", "2009_000012", "2009_000013", "2010_000002"),
    "val": ("2008_000003", "2009_000004", "2010_000009"),
}
WITHOUT_PERSON = ("2008_000007", "2009_000004")
WITHOUT_VOC_LABELS = ("2009_000012", "2009_000004")
NYUD_NAMES = {"train": ("0001", "0002", "0003", "0004"), "val": ("0011", "0012")}
BSDS_NAMES = {
    "train": ("2092", "8049", "100075"),
    "val": ("3096", "101085"),
    "test": ("2018", "10081", "100007"),
}
CCP_NAMES = {"train": ("0001", "0002", "0804"), "val": ("0805", "1004")}
CAMVID_NAMES = {
    "train": ("0001TP_006690", "0001TP_006720", "Seq05VD_f00000"),
    "val": ("0016E5_07959",),
    "test": ("0001TP_008550", "0001TP_008580"),
}
FSV_NAMES = {"train": ("000_0001", "000_0002", "001_0001"), "test": ("100_0001", "100_0002")}


def picture_like(random, height, width):
    """Uint8 (height, width, 3) with large structures and some noise, as photographs have them."""
    coarse = random.integers(0, 256, (4, 5, 3)).astype(np.uint8)
    smooth = np.array(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))
    return np.clip(smooth + random.normal(0, 4, smooth.shape), 0, 255).astype(np.uint8)


def blocks(random, height, width, values, side=7):
    """(height, width) map of squares of random values."""
    rows, columns = -(-height // side), -(-width // side)
    coarse = random.choice(values, (rows, columns))
    return np.kron(coarse, np.ones((side, side), coarse.dtype))[:height, :width]


def save_palette(path, indices):
    """Indices as a PNG with PASCAL VOC's sort of palette."""
    picture = Image.fromarray(indices.astype(np.uint8), "P")
    picture.putpalette([(37 * i) % 256 for i in range(768)])
    picture.save(path)


def write_lists(folder, lists, prefix=""):
    folder.mkdir(parents=True)
    for split, names in lists.items():
        (folder / f"{prefix}{split}.txt").write_text("".join(f"{name}\n" for name in names))


def structs(names, rows):
    """A MATLAB struct array (1, N) with these fields."""
    array = np.empty((1, len(rows)), dtype=[(name, object) for name in names])
    for index, row in enumerate(rows):
        array[0, index] = tuple(row)
    return array


def anno(name, objects):
    """PASCAL-Part's nested `anno`; objects are (class, mask, [(part, mask), ...])."""
    rows = [
        (
            "person" if number == 15 else "thing",
            np.array([[number]], np.uint8),
            mask,
            structs(("part_name", "mask"), parts) if parts else np.zeros((0, 0)),
        )
        for number, mask, parts in objects
    ]
    things = structs(("class", "class_ind", "mask", "parts"), rows)
    return structs(("imname", "objects"), [(name, things)])


def random_objects(random, height, width, person):
    """Two people whose parts overlap, a car and (behind) a person without parts; or a car only."""

    def mask():
        top, left = random.integers(0, height // 2), random.integers(0, width // 2)
        area = np.zeros((height, width), np.uint8)
        area[top : top + height // 2, left : left + width // 2] = 1
        return area

    car = (7, mask(), [("wheel", mask())])
    if not person:
        return [car]
    people = [
        (15, mask(), [(str(name), mask()) for name in random.choice(PART_NAMES, 6, replace=False)])
        for _ in range(2)
    ]
    return [people[0], car, (15, mask(), []), people[1]]


def make_pascal(root, seed=0, lists=PASCAL_NAMES, size_of=lambda i: (60 + 3 * i, 90 - 4 * i)):
    """PASCAL_MT; `size_of` gives height and width of an image by its number."""
    random = np.random.default_rng(seed)
    write_lists(root / "ImageSets" / "Context", lists)
    for folder in (
        "JPEGImages", "pascal-context/trainval", "semseg/VOC12", "semseg/pascal-context",
        "human_parts", "normals_distill", "sal_distill",
    ):  # fmt: skip
        (root / folder).mkdir(parents=True)
    for index, name in enumerate([name for names in lists.values() for name in names]):
        height, width = size_of(index)
        picture = Image.fromarray(picture_like(random, height, width))
        picture.save(root / f"JPEGImages/{name}.jpg", quality=85, subsampling=index % 3)
        regions = blocks(random, height, width, [0, 2, 3, 9, 23, 33, 284, 415, 459], 11)
        scipy.io.savemat(
            root / f"pascal-context/trainval/{name}.mat", {"LabelMap": regions.astype(np.uint16)}
        )
        for folder in ("VOC12", "pascal-context"):  # the second is not to be used if there is both
            classes = blocks(random, height, width, [0, 0, 3, 15, 20, 255])
            if folder != "VOC12" or name not in WITHOUT_VOC_LABELS:
                save_palette(root / f"semseg/{folder}/{name}.png", classes)
        objects = random_objects(random, height, width, name not in WITHOUT_PERSON)
        scipy.io.savemat(root / f"human_parts/{name}.mat", {"anno": anno(name, objects)})
        codes = picture_like(random, height, width)
        Image.fromarray(codes).save(root / f"normals_distill/{name}.png")
        levels = blocks(random, height, width, [0, 1, 126, 127, 128, 129, 255], 3)
        Image.fromarray(levels.astype(np.uint8)).save(root / f"sal_distill/{name}.png")


def make_nyud(root, form, seed=0):
    """NYUD_MT as ASTMT ('astmt') or its successors ('arrays' or 'pictures') published it."""
    random = np.random.default_rng(seed)
    write_lists(root / "gt_sets", NYUD_NAMES)
    for folder in ("images", "edge", "segmentation", "normals", "depth"):
        (root / folder).mkdir()
    for index, name in enumerate([name for names in NYUD_NAMES.values() for name in names]):
        height, width = 48 + index, 64 - index
        picture = Image.fromarray(picture_like(random, height, width))
        ending = "png" if form == "pictures" else "jpg"
        picture.save(root / f"images/{name}.{ending}")
        edge = (random.random((height, width)) < 0.1).astype(np.uint8)
        classes = blocks(random, height, width, np.arange(41)).astype(np.uint8)
        normals = picture_like(random, height, width)
        depth = random.uniform(0.7, 10, (height, width))
        depth[blocks(random, height, width, [False, False, True])] = 0
        if form == "astmt":
            Image.fromarray(edge * 255).save(root / f"edge/{name}.png")
            scipy.io.savemat(root / f"segmentation/{name}.mat", {"segmentation": classes})
            Image.fromarray(normals).save(root / f"normals/{name}.jpg")
            scipy.io.savemat(root / f"depth/{name}.mat", {"depth": depth})
            continue
        np.save(root / f"depth/{name}.npy", depth.astype(np.float32))
        Image.fromarray(classes).save(root / f"segmentation/{name}.png")
        if form == "pictures":
            Image.fromarray(edge * 255).save(root / f"edge/{name}.png")
            Image.fromarray(normals).save(root / f"normals/{name}.png")
        else:
            np.save(root / f"edge/{name}.npy", edge.astype(np.float32))
            vectors = random.normal(size=(height, width, 3)).astype(np.float32)
            vectors /= np.linalg.norm(vectors, axis=-1, keepdims=True)
            np.save(root / f"normals/{name}.npy", vectors)


def make_fsv(root, seed=0):
    """FSV."""
    random = np.random.default_rng(seed)
    write_lists(root / "gt_sets", FSV_NAMES, prefix="gta_")
    for split, names in FSV_NAMES.items():
        folder = root / f"gta_{split}"
        folder.mkdir()
        for name in names:
            height, width = 45, 80
            picture = Image.fromarray(picture_like(random, height, width))
            picture.save(folder / f"{name}_final.webp", quality=80)
            ids = random.integers(0, 256, (height, width, 3)).astype(np.uint8)
            ids[..., 0] = blocks(random, height, width, np.arange(8))
            Image.fromarray(ids).save(folder / f"{name}_object_id.png")
            albedo = Image.fromarray(picture_like(random, height, width))
            albedo.save(folder / f"{name}_albedo.webp", quality=80)
            codes = random.integers(0, 2**24, (height, width))
            codes[:3] = 255 * 8192
            codes[3:6] = 0
            disparity = np.stack([codes % 256, codes // 256 % 256, codes // 65536], axis=-1)
            Image.fromarray(disparity.astype(np.uint8)).save(
                folder / f"{name}_disparity.webp", lossless=True, exact=True
            )


def make_voc_sbd(root, seed=0):
    """VOC 2012 and SBD in one folder: b is in both, d is in SBD and in VOC's val."""
    random = np.random.default_rng(seed)
    voc, sbd = root / "VOCdevkit/VOC2012", root / "benchmark_RELEASE/dataset"
    write_lists(voc / "ImageSets/Segmentation", {"train": ("a", "b"), "val": ("c", "d")})
    write_lists(sbd, {"train": ("b", "e"), "val": ("d", "f")})
    for folder in (voc / "JPEGImages", voc / "SegmentationClass", sbd / "img", sbd / "cls"):
        folder.mkdir()
    for name in "abcdef":
        height, width = 40, 50
        picture = Image.fromarray(picture_like(random, height, width))
        classes = blocks(random, height, width, [0, 1, 15, 20]).astype(np.uint8)
        if name in "abcd":
            picture.save(voc / f"JPEGImages/{name}.jpg")
            classes[:2] = 255
            save_palette(voc / f"SegmentationClass/{name}.png", classes)
        if name in "bdef":
            picture.save(sbd / f"img/{name}.jpg")
            truth = {"Boundaries": np.zeros(3), "Segmentation": classes[::-1]}
            scipy.io.savemat(sbd / f"cls/{name}.mat", {"GTcls": truth})


def make_bsds500(root, seed=0):
    """The folder BSDS500 of the published archive, with 2 to 5 annotators an image."""
    random = np.random.default_rng(seed)
    for split, names in BSDS_NAMES.items():
        images, truths = root / f"data/images/{split}", root / f"data/groundTruth/{split}"
        images.mkdir(parents=True)
        truths.mkdir(parents=True)
        (images / "Thumbs.db").write_bytes(b"no picture")
        for index, name in enumerate(names):
            height, width = (49, 33) if index % 2 else (33, 49)
            picture = Image.fromarray(picture_like(random, height, width))
            picture.save(images / f"{name}.jpg")
            cells = np.empty((1, 2 + index % 2 * 3), object)
            common = random.random((height, width)) < 0.2
            for annotator in range(cells.size):
                edges = common & (random.random((height, width)) < 0.7)
                fields = {"Segmentation": np.ones((height, width), np.uint16), "Boundaries": edges}
                cells[0, annotator] = fields
            scipy.io.savemat(truths / f"{name}.mat", {"groundTruth": cells})


def make_ccp(root, seed=0):
    """The repository of Clothing Co-Parsing; some photographs have no labels of pixels."""
    random = np.random.default_rng(seed)
    photos, labels = root / "photos", root / "annotations/pixel-level"
    photos.mkdir(parents=True)
    labels.mkdir(parents=True)
    names = np.empty((1, len(CCP_CLASSES)), object)
    names[0] = [np.array([name]) for name in CCP_CLASSES]
    scipy.io.savemat(root / "label_list.mat", {"label_list": names})
    for name in (*CCP_NAMES["train"], *CCP_NAMES["val"], "1005"):
        height, width = 42, 28
        Image.fromarray(picture_like(random, height, width)).save(photos / f"{name}.jpg")
        if name != "1005":
            worn = blocks(random, height, width, [0, 0, 19, 25, 39, 41, 40, 52, 57, 58])
            scipy.io.savemat(labels / f"{name}.mat", {"groundtruth": worn.astype(np.uint8)})


def make_camvid(root, seed=0):
    """The folder CamVid of SegNet's tutorial."""
    random = np.random.default_rng(seed)
    for split, names in CAMVID_NAMES.items():
        pictures, labels = root / split, root / f"{split}annot"
        pictures.mkdir(parents=True)
        labels.mkdir()
        for name in names:
            Image.fromarray(picture_like(random, 36, 48)).save(pictures / f"{name}.png")
            classes = blocks(random, 36, 48, np.arange(12)).astype(np.uint8)
            Image.fromarray(classes).save(labels / f"{name}.png")


def make_own_data(root, seed=0):
    """Own data with semseg (5 classes), depth and normals; b lacks depth, c has nothing else."""
    random = np.random.default_rng(seed)
    write_lists(root / "splits", {"train": ("a", "b", "c"), "val": ("d",)})
    for folder in ("images", "semseg", "depth", "normals"):
        (root / folder).mkdir()
    for name in "abcd":
        height, width = 36, 44
        Image.fromarray(picture_like(random, height, width)).save(root / f"images/{name}.png")
        if name != "b":
            np.save(root / f"depth/{name}.npy", random.uniform(1, 5, (height, width)))
        if name != "c":
            classes = blocks(random, height, width, [0, 1, 2, 3, 4, 255]).astype(np.uint8)
            Image.fromarray(classes).save(root / f"semseg/{name}.png")
            normals = random.integers(0, 256, (height, width, 3)).astype(np.uint8)
            Image.fromarray(normals).save(root / f"normals/{name}.png")
