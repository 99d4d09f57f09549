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

from astmt_jax.datasets import readers
from astmt_jax.datasets.contents import Contents
from astmt_jax.datasets.readers import Label, PictureReader, Reader
from astmt_jax.files.folder import Folder
from astmt_jax.labels import IGNORE

MARKER = "gt_sets/train.txt"
DESCRIBED = (
    "NYUD_MT.tgz (once published at data.vision.ee.ethz.ch/kmaninis/share/MTL/NYUD_MT.tgz) or the "
    "folder in it"
)
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
                ".png": Reader("fraction", Folder.grey, readers.encode_grey),
                ".npy": Reader("fraction", Folder.array, readers.encode_binary_array),
            },
        ),
        "semseg": Label(
            "segmentation",
            {
                ".mat": Reader("classes", readers.Variable("segmentation"), encode),
                ".png": Reader("classes", Folder.grey, encode),
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
    found = {}
    for key, label in labels(classes).items():
        found[key] = label.find(folder, first)
        if found[key] is None:
            raise label.missing(folder, *first)
    examples = readers.FolderExamples(folder, found)
    return Contents(examples.kinds(), splits, examples)
