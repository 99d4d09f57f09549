"""Clothing Co-Parsing (CCP): street photographs of people, and what they wear at every pixel.

    photos/NNNN.jpg                       2,098 pictures, 1,004 of them with
    annotations/pixel-level/NNNN.mat      `groundtruth`, 59 classes, 0 is the background
    label_list.mat                        `label_list`, the names of the classes

There is no official split: photographs up to 0804 are for training, the last 200 for validation.
Every photograph shows one person. That person, with all that is worn and carried, is what is
salient; edges are the boundaries of the classes; and of the classes those are parts of a body that
cover one part only.

Free of TensorFlow, so that worker processes start quickly.
"""

import functools

import numpy as np

from astmt_jax.datasets.contents import Archive, Contents, Stored
from astmt_jax.datasets.dataset import ArchiveDataset, NoOptions
from astmt_jax.datasets.region_edges import edges_of
from astmt_jax.files.encoding import encode_array
from astmt_jax.files.folder import Folder
from astmt_jax.labels import IGNORE
from astmt_jax.tasks import registry as tasks
from astmt_jax.tasks.task import Task

KINDS = {
    "image": "image",
    "edge": "classes",
    "semseg": "classes",
    "human_parts": "classes",
    "sal": "classes",
}
LAST_OF_TRAIN = 804
CLASSES = (
    "background", "accessories", "bag", "belt", "blazer", "blouse", "bodysuit", "boots", "bra",
    "bracelet", "cape", "cardigan", "clogs", "coat", "dress", "earrings", "flats", "glasses",
    "gloves", "hair", "hat", "heels", "hoodie", "intimate", "jacket", "jeans", "jumper", "leggings",
    "loafers", "necklace", "panties", "pants", "pumps", "purse", "ring", "romper", "sandals",
    "scarf", "shirt", "shoes", "shorts", "skin", "skirt", "sneakers", "socks", "stockings", "suit",
    "sunglasses", "sweater", "sweatshirt", "swimwear", "t-shirt", "tie", "tights", "top", "vest",
    "wallet", "watch", "wedges",
)  # fmt: skip
"""The archive calls the first one 'null'."""
PARTS = {
    1: ("earrings", "glasses", "hair", "hat", "sunglasses"),
    2: ("belt", "bra", "necklace", "scarf", "tie"),
    4: ("bracelet", "gloves", "ring", "watch"),
    5: ("shorts",),
    6: (
        "boots", "clogs", "flats", "heels", "loafers", "pumps", "sandals", "shoes", "sneakers",
        "socks", "wedges",
    ),
}  # fmt: skip
"""Class of `human_parts` -> classes that lie on this part and on no other. Skin and clothes that
cover several parts (some vests reach below the knees) are unknown, and so are upper arms."""


def _part_of_class() -> np.ndarray:
    """`human_parts` of each class, uint8 (59,)."""
    parts = np.full(len(CLASSES), IGNORE, np.uint8)
    parts[0] = 0
    for part, names in PARTS.items():
        parts[[CLASSES.index(name) for name in names]] = part
    return parts


PART_OF_CLASS = _part_of_class()


def contents(folder: Folder) -> Contents:
    """Splits and examples of CCP.

    Raises:
      ValueError: the classes are others, or a split has no photographs.
    """
    _check_classes(folder, "label_list.mat")
    annotations = "annotations/pixel-level"
    splits: dict[str, list[str]] = {"train": [], "val": []}
    for name in folder.stems(annotations, ".mat"):
        if not name.isdecimal():
            raise folder.error(f"{annotations}/{name}.mat", "must have a number as its name")
        splits["train" if int(name) <= LAST_OF_TRAIN else "val"].append(name)
    if not all(splits.values()):
        first = f"{LAST_OF_TRAIN:04d}"
        raise folder.error(annotations, f"must have numbers up to {first} and above")
    return Contents(KINDS, splits, functools.partial(_read, folder))


def _check_classes(folder: Folder, path: str) -> None:
    """Checks that the archive's classes are those whose numbers are known here."""
    names = [str(np.squeeze(name)) for name in folder.matlab(path, "label_list").ravel()]
    if names[1:] != list(CLASSES[1:]):
        raise folder.error(path, f"names other classes than {', '.join(CLASSES[1:4])}, ...")


def _read(folder: Folder, split: str, name: str) -> Stored:
    image, pixels = folder.picture(f"photos/{name}.jpg")
    path = f"annotations/pixel-level/{name}.mat"
    regions = folder.matlab(path, "groundtruth")
    regions = folder.whole_numbers(path, regions, range(len(CLASSES)))
    folder.check_size(path, regions, pixels.shape[:2])
    maps = {
        "edge": edges_of(regions),
        "semseg": regions.astype(np.uint8),
        "human_parts": PART_OF_CLASS[regions],
        "sal": (regions > 0).astype(np.uint8),
    }
    return {"image": image} | {key: encode_array(values) for key, values in maps.items()}


def _tasks(options: NoOptions) -> tuple[Task, ...]:
    return (
        tasks.edge(protocol="edge_map", truth="edge"),
        tasks.semseg(CLASSES, classes="present"),
        tasks.human_parts().with_metric(classes="present"),
        tasks.sal(),
    )


DATASET = ArchiveDataset(
    name="ccp",
    options=NoOptions,
    make_tasks=_tasks,
    archive=Archive(
        description="Clothing Co-Parsing: people in the street, and what they wear.",
        marker="annotations/pixel-level/0001.mat",
        described="a copy of the repository bearpaw/clothing-co-parsing on GitHub",
        contents=contents,
    ),
)
