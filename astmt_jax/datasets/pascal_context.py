"""PASCAL-Context with labels for five tasks, from the archive PASCAL_MT.tgz.

    PASCAL_MT/JPEGImages/ID.jpg                    pictures
              ImageSets/Context/{train,val}.txt    4,998 and 5,105 names
              pascal-context/trainval/ID.mat       `LabelMap`, 459 classes: edges, valid normals
              semseg/VOC12/ID.png, else semseg/pascal-context/ID.png
              human_parts/ID.mat                   `anno`
              normals_distill/ID.png, sal_distill/ID.png

Free of TensorFlow, so that worker processes start quickly.
"""

import functools
import importlib.resources
import json

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
    "normals": "masked_normals",
    "sal": "classes",
    "label_map": "regions",
}
ALL_TASKS_PRESENT = "val_all_tasks_present"
"""The images of val in which every task has at least one labelled pixel: in effect those with
parts of people and with surfaces whose normals are known."""

PERSON = 15
CLASSES = range(1, 21)
PARTS = {
    1: ("hair", "head", "lear", "rear", "lebrow", "rebrow", "leye", "reye", "mouth", "nose"),
    2: ("neck", "torso"),
    3: ("luarm", "ruarm"),
    4: ("llarm", "rlarm", "lhand", "rhand"),
    5: ("luleg", "ruleg"),
    6: ("llleg", "rlleg", "lfoot", "rfoot"),
}
"""Class of `human_parts` -> PASCAL-Part's names."""
CLASS_OF_PART = {name: part for part, names in PARTS.items() for name in names}

_CONTEXT_CLASSES = range(460)
_VOC_CLASSES = frozenset({*range(21), IGNORE})


def contents(folder: Folder) -> Contents:
    """Splits and examples of PASCAL_MT.

    Raises:
      ValueError: a list of names is missing or broken.
    """
    train, val = (folder.names(f"ImageSets/Context/{split}.txt") for split in ("train", "val"))
    splits = {"train": train, "val": val, ALL_TASKS_PRESENT: val}
    return Contents(KINDS, splits, functools.partial(_read, folder))


def _read(folder: Folder, split: str, name: str) -> Stored | None:
    image, pixels = folder.picture(f"JPEGImages/{name}.jpg")
    size = pixels.shape[:2]
    parts = human_parts(folder, f"human_parts/{name}.mat", size)
    whole = split == ALL_TASKS_PRESENT
    if whole and not parts.any():
        return None
    regions_file = f"pascal-context/trainval/{name}.mat"
    regions = folder.matlab(regions_file, "LabelMap")
    regions = folder.whole_numbers(regions_file, regions, _CONTEXT_CLASSES)
    folder.check_size(regions_file, regions, size)
    normals = masked_normals(folder, f"normals_distill/{name}.png", regions)
    semseg = _semseg(folder, name, size)
    if whole and not (normals[..., 3].any() and (semseg != IGNORE).any()):
        return None
    sal_file = f"sal_distill/{name}.png"
    sal = folder.levels(sal_file)
    folder.check_size(sal_file, sal, size)
    maps = {
        "edge": edges_of(regions),
        "semseg": semseg,
        "human_parts": parts,
        "normals": normals,
        "sal": (sal > 127).astype(np.uint8),
        "label_map": regions,
    }
    return {"image": image} | {key: encode_array(values) for key, values in maps.items()}


def _semseg(folder: Folder, name: str, size: tuple[int, int]) -> np.ndarray:
    path = folder.first([f"semseg/VOC12/{name}.png", f"semseg/pascal-context/{name}.png"])
    semseg = folder.whole_numbers(path, folder.class_ids(path), _VOC_CLASSES)
    folder.check_size(path, semseg, size)
    return semseg.astype(np.uint8)


@functools.cache
def _valid_classes() -> tuple[int, ...]:
    """Classes of `LabelMap` that NYUD, which the normals were learned from, knows, too."""
    file = importlib.resources.files("astmt_jax.datasets") / "normals_valid_classes.json"
    return tuple(json.loads(file.read_text()))


def masked_normals(folder: Folder, path: str, regions: np.ndarray) -> np.ndarray:
    """Codes of normals, uint8 (H, W, 4): 255 (n + 1) / 2, and 255 where they are valid, else 0."""
    codes = folder.pixels(path)
    folder.check_size(path, codes, regions.shape)
    valid = np.isin(regions, _valid_classes()) * np.uint8(255)
    return np.dstack([np.minimum(codes, valid[..., None]), valid])


def human_parts(folder: Folder, path: str, size: tuple[int, int]) -> np.ndarray:
    """Paints the parts of all people, later ones over earlier ones.

    Returns:
      uint8 (H, W): 0 background, 1 head, 2 torso, 3 upper arms, 4 lower arms and hands, 5 upper
      legs, 6 lower legs and feet; all 0 where there is no person with a mask.
    """
    target = np.zeros(size, np.uint8)
    try:
        objects = folder.matlab(path, "anno")[0, 0][1].ravel()
        people = []
        for thing in objects:
            number = np.squeeze(thing[1])
            if number.ndim or number not in CLASSES:
                raise folder.error(path, f"has an object of the unknown class {number}")
            if number == PERSON:
                people.append(thing)
        if not any(np.any(person[2]) for person in people):
            return target
        for person in people:
            for part in person[3].ravel():
                _paint(target, part, folder, path)
    except (IndexError, TypeError) as error:
        raise folder.error(path, "does not have the form of PASCAL-Part's `anno`") from error
    return target


def _paint(target: np.ndarray, part: np.ndarray, folder: Folder, path: str) -> None:
    """Paints one part: a struct of its name and its mask (H, W)."""
    name, mask = str(np.squeeze(part[0])), part[1]
    if name not in CLASS_OF_PART:
        raise folder.error(path, f"has the unknown part {name!r}")
    folder.check_size(path, mask, target.shape)
    target[mask != 0] = CLASS_OF_PART[name]


def _tasks(options: NoOptions) -> tuple[Task, ...]:
    return tasks.edge(), tasks.semseg(), tasks.human_parts(), tasks.normals(), tasks.sal()


DATASET = ArchiveDataset(
    name="pascal_context",
    options=NoOptions,
    make_tasks=_tasks,
    archive=Archive(
        description=(
            "PASCAL-Context: edges, semantic segmentation, human parts, normals and saliency."
        ),
        marker="ImageSets/Context/train.txt",
        described=(
            "PASCAL_MT.tgz (once published at data.vision.ee.ethz.ch/kmaninis/share/MTL/"
            "PASCAL_MT.tgz) or the folder in it"
        ),
        contents=contents,
    ),
)
