"""NYU Depth v2 with labels for four tasks, from an archive called NYUD_MT.tgz.

Two incompatible archives bear this name; they are told apart by the endings of their files.

    NYUD_MT/gt_sets/{train,val}.txt    795 and 654 names
            images/ID           .jpg or .png
            edge/ID             .png (v / 255) or .npy (0 or 1)
            segmentation/ID     .mat (`segmentation`) or .png, 0..40, 0 is background
            normals/ID          .jpg or .png (2v / 255 - 1) or .npy (-1..1)
            depth/ID            .mat (`depth`) or .npy, metres, 0 where unknown

Free of TensorFlow, so that worker processes start quickly.
"""

import dataclasses

from astmt_jax.datasets import readers
from astmt_jax.datasets.contents import Archive, Configuration, Contents
from astmt_jax.datasets.dataset import ArchiveDataset
from astmt_jax.datasets.label_files import FolderExamples, Label
from astmt_jax.datasets.readers import PictureReader, Reader
from astmt_jax.files.folder import Folder
from astmt_jax.labels import IGNORE
from astmt_jax.tasks import registry as tasks
from astmt_jax.tasks.task import Task

CLASSES = (
    "background", "wall", "floor", "cabinet", "bed", "chair", "sofa", "table", "door", "window",
    "bookshelf", "picture", "counter", "blinds", "desk", "shelves", "curtain", "dresser", "pillow",
    "mirror", "floor mat", "clothes", "ceiling", "books", "refrigerator", "television", "paper",
    "towel", "shower curtain", "box", "whiteboard", "person", "night stand", "toilet", "sink",
    "lamp", "bathtub", "bag", "other structure", "other furniture", "other prop",
)  # fmt: skip
CLASS_CODES = {
    41: {number: number for number in range(41)},
    40: {number: number - 1 if number else IGNORE for number in range(41)},
}
"""Number of classes -> class of each stored number 0..40: with the background (as ASTMT was
trained) or without (as its successors)."""


def labels(classes: int) -> dict[str, Label]:
    """Label name -> its files in either archive, for 40 or 41 classes."""
    encode = readers.ClassCodes(CLASS_CODES[classes])
    return {
        "edge": Label(
            "edge",
            {
                ".png": Reader("fraction", Folder.levels, readers.encode_grey),
                ".npy": Reader("fraction", Folder.array, readers.encode_binary_array),
            },
        ),
        "semseg": Label(
            "segmentation",
            {
                ".mat": Reader("classes", readers.Variable("segmentation"), encode),
                ".png": Reader("classes", Folder.class_ids, encode),
            },
        ),
        "normals": Label(
            "normals",
            {
                ".jpg": PictureReader("normals"),
                ".png": PictureReader("normals"),
                ".npy": Reader("values3", Folder.array, readers.encode_unit_vectors),
            },
        ),
        "depth": Label(
            "depth",
            {
                ".mat": Reader("values1", readers.Variable("depth"), readers.encode_depth),
                ".npy": Reader("values1", Folder.array, readers.encode_depth),
            },
        ),
    }


def contents(folder: Folder, classes: int) -> Contents:
    """Splits and examples of NYUD_MT.

    Args:
      folder: the unpacked archive.
      classes: of semantic segmentation, 40 or 41.

    Raises:
      ValueError: a list of names is missing or broken, or the first example lacks a label.
    """
    splits = {split: folder.names(f"gt_sets/{split}.txt") for split in ("train", "val")}
    first = splits["train"][:1]
    files = {}
    for key, label in labels(classes).items():
        found = label.find(folder, first)
        if found is None:
            raise label.missing(folder, *first)
        files[key] = found
    examples = FolderExamples(folder, files)
    return Contents(examples.kinds(), splits, examples)


@dataclasses.dataclass(frozen=True)
class Options:
    """Options of NYUD.

    Attributes:
      classes: of semantic segmentation: 41 (with the background) or 40 (background ignored).

    Raises:
      ValueError: another number of classes.
    """

    classes: int = 41

    def __post_init__(self):
        if self.classes not in CLASS_CODES:
            raise ValueError(
                f"config.dataset.options.classes is {self.classes}, but must be 40 or 41."
            )


def _tasks(options: Options) -> tuple[Task, ...]:
    return (
        tasks.edge(positive_weight=0.8, protocol="nyud", truth="edge"),
        tasks.semseg(CLASSES[-options.classes :]),
        tasks.normals(),
        tasks.depth(),
    )


DATASET = ArchiveDataset(
    name="nyud",
    options=Options,
    make_tasks=_tasks,
    configuration=lambda options: f"classes{options.classes}",
    prepared_by=("classes",),
    archive=Archive(
        description="NYU Depth v2: edges, semantic segmentation, normals and depth.",
        marker="gt_sets/train.txt",
        described=(
            "NYUD_MT.tgz (once published at data.vision.ee.ethz.ch/kmaninis/share/MTL/NYUD_MT.tgz) "
            "or the folder in it"
        ),
        contents=contents,
        configurations={
            "classes41": Configuration("With the background as a class.", {"classes": 41}),
            "classes40": Configuration("The background is ignored.", {"classes": 40}),
        },
    ),
)
