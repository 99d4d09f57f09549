"""PASCAL VOC 2012 enlarged by the Semantic Boundaries Dataset, for semantic segmentation only.

    VOCdevkit/VOC2012/JPEGImages/ID.jpg, SegmentationClass/ID.png
                      ImageSets/Segmentation/{train,val}.txt
    benchmark_RELEASE/dataset/img/ID.jpg, cls/ID.mat (`GTcls.Segmentation`), {train,val}.txt

Training: VOC's train, then SBD's train and val, each image once and none of VOC's val.
Evaluation: VOC's val.

Free of TensorFlow, so that worker processes start quickly.
"""

import functools

import numpy as np

from astmt_jax.datasets.contents import Archive, Contents, Stored
from astmt_jax.datasets.dataset import ArchiveDataset, NoOptions
from astmt_jax.datasets.readers import Reader, classes
from astmt_jax.files.folder import Folder
from astmt_jax.tasks import registry as tasks
from astmt_jax.tasks.task import Task

VOC = "VOCdevkit/VOC2012"
SBD = "benchmark_RELEASE/dataset"


def _load_sbd(folder: Folder, path: str) -> np.ndarray:
    truth = folder.matlab(path, "GTcls")
    try:
        return np.asarray(truth["Segmentation"][0, 0])
    except (IndexError, ValueError) as error:
        raise folder.error(path, "has no GTcls.Segmentation") from error


_VOC_LABELS = Reader("classes", Folder.class_ids, classes(range(21)))
_SBD_LABELS = Reader("classes", _load_sbd, classes(range(21)))


def contents(folder: Folder) -> Contents:
    """Splits and examples of VOC and SBD.

    Raises:
      ValueError: a list of names is missing or broken.
    """
    voc, val = (
        folder.names(f"{VOC}/ImageSets/Segmentation/{split}.txt") for split in ("train", "val")
    )
    sbd = [name for split in ("train", "val") for name in folder.names(f"{SBD}/{split}.txt")]
    excluded = set(val)
    train = [name for name in dict.fromkeys([*voc, *sbd]) if name not in excluded]
    return Contents(
        {"image": "image", "semseg": "classes"},
        {"train": train, "val": val},
        functools.partial(_read, folder, frozenset([*voc, *val])),
    )


def _read(folder: Folder, from_voc: frozenset[str], split: str, name: str) -> Stored:
    if name in from_voc:
        image, label = f"{VOC}/JPEGImages/{name}.jpg", f"{VOC}/SegmentationClass/{name}.png"
        reader = _VOC_LABELS
    else:
        image, label, reader = f"{SBD}/img/{name}.jpg", f"{SBD}/cls/{name}.mat", _SBD_LABELS
    data, pixels = folder.picture(image)
    return {"image": data, "semseg": reader.read(folder, label, pixels.shape[:2])}


def _tasks(options: NoOptions) -> tuple[Task, ...]:
    return (tasks.semseg(),)


DATASET = ArchiveDataset(
    name="voc_sbd",
    options=NoOptions,
    make_tasks=_tasks,
    archive=Archive(
        description="PASCAL VOC 2012 and SBD: semantic segmentation.",
        marker=f"{VOC}/ImageSets/Segmentation/train.txt",
        described=f"a folder in which VOC 2012 is unpacked as {VOC} and SBD as {SBD}",
        contents=contents,
    ),
)
