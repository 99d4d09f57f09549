"""FSV: frames of a video game (GTA) with semantic classes, albedo and disparity.

    FSV/gt_sets/gta_{train,test}.txt            about 220,000 names in train
        gta_SPLIT/ID_final.webp                 pictures
                  ID_object_id.png              class in the red channel
                  ID_albedo.webp                v / 255
                  ID_disparity.webp             24 bits: blue * 65536 + green * 256 + red, / 8192

Free of TensorFlow, so that worker processes start quickly.
"""

import functools

import numpy as np

from astmt_jax.datasets.contents import Archive, Contents, Stored
from astmt_jax.datasets.dataset import ArchiveDataset, NoOptions
from astmt_jax.files.encoding import encode_array
from astmt_jax.files.folder import Folder
from astmt_jax.tasks import registry as tasks
from astmt_jax.tasks.depth import disparity
from astmt_jax.tasks.task import Task

CLASSES = ("background", "vehicle", "object")
KINDS = {"image": "image", "semseg": "classes", "albedo": "color", "depth": "disparity"}
TEST_EXAMPLES = 5000
"""The test list is strided down to about so many examples, as the reference implementation does."""

_NUMBERS = range(8)
_RARE = (1, 4, 5, 6, 7)
CLASS_CODES = np.array(
    [0 if number in _RARE else max(number - 1, 0) for number in _NUMBERS], np.uint8
)
"""Stored number -> class: rare ones become background, 2 vehicle, 3 object."""


def contents(folder: Folder) -> Contents:
    """Splits and examples of FSV.

    Raises:
      ValueError: a list of names is missing or broken.
    """
    train, test = (folder.names(f"gt_sets/gta_{split}.txt") for split in ("train", "test"))
    stride = max(1, len(test) // TEST_EXAMPLES)
    return Contents(
        KINDS, {"train": train, "test": test[::stride]}, functools.partial(_read, folder)
    )


def _read(folder: Folder, split: str, name: str) -> Stored:
    start = f"gta_{split}/{name}"
    stored, size = {}, None
    for key, ending in (
        ("image", "final.webp"),
        ("albedo", "albedo.webp"),
        ("depth", "disparity.webp"),
    ):
        path = f"{start}_{ending}"
        stored[key], pixels = folder.picture(path)
        size = size or pixels.shape[:2]
        folder.check_size(path, pixels, size)
    return stored | {"semseg": encode_array(_semseg(folder, f"{start}_object_id.png", size))}


def _semseg(folder: Folder, path: str, size: tuple[int, int]) -> np.ndarray:
    numbers = folder.pixels(path)[..., 0]
    folder.check_size(path, numbers, size)
    return CLASS_CODES[folder.whole_numbers(path, numbers, _NUMBERS)]


def _tasks(options: NoOptions) -> tuple[Task, ...]:
    return tasks.semseg(CLASSES), tasks.albedo(), disparity()


DATASET = ArchiveDataset(
    name="fsv",
    options=NoOptions,
    make_tasks=_tasks,
    eval_split="test",
    archive=Archive(
        description="FSV (GTA): semantic segmentation, albedo and disparity.",
        marker="gt_sets/gta_train.txt",
        described="the folder or archive FSV, with gt_sets/ and gta_train/",
        contents=contents,
    ),
)
