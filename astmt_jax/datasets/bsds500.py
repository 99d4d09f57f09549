"""BSDS500: what several people drew as the boundaries of 500 photographs.

    data/images/{train,val,test}/ID.jpg         200, 100 and 200 pictures
         groundTruth/{train,val,test}/ID.mat    `groundTruth`, a cell of structs: `Boundaries`

Every annotator's boundaries are kept for evaluation. The training label is what enough of them
agree on; networks are trained on train and val, and scored on test.

Free of TensorFlow, so that worker processes start quickly.
"""

import dataclasses
import functools

import numpy as np

from astmt_jax.datasets.contents import Archive, Contents, Stored
from astmt_jax.datasets.dataset import ArchiveDataset
from astmt_jax.files.encoding import encode_array
from astmt_jax.files.folder import Folder
from astmt_jax.metrics.true_edges import MAX_ANNOTATORS, annotated
from astmt_jax.tasks import registry as tasks
from astmt_jax.tasks.task import Task

KINDS = {"image": "image", "edge": "classes", "annotators": "annotators"}
SPLITS = ("train", "val", "test")


def contents(folder: Folder, votes: int) -> Contents:
    """Splits and examples of BSDS500, in the order of their numbers.

    Args:
      folder: the unpacked archive.
      votes: as in `Options`.

    Raises:
      ValueError: a split has no pictures.
    """
    splits = {split: folder.stems(f"data/images/{split}", ".jpg") for split in SPLITS}
    return Contents(KINDS, splits, functools.partial(_read, folder, votes))


def _read(folder: Folder, votes: int, split: str, name: str) -> Stored:
    image, pixels = folder.picture(f"data/images/{split}/{name}.jpg")
    maps = boundaries(folder, f"data/groundTruth/{split}/{name}.mat", pixels.shape[:2])
    drawn = np.zeros(pixels.shape[:2], np.uint8)  # one map after the other: they may be large
    for edges in maps:
        drawn += edges
    return {
        "image": image,
        "edge": encode_array((drawn >= min(votes, len(maps))).astype(np.uint8)),
        "annotators": encode_array(annotated(maps)),
    }


def boundaries(folder: Folder, path: str, size: tuple[int, int]) -> list[np.ndarray]:
    """What each annotator drew, (H, W) booleans each."""
    cells = folder.matlab(path, "groundTruth")
    try:
        maps = [np.asarray(cell["Boundaries"].item()) for cell in cells.ravel()]
    except (AttributeError, IndexError, TypeError, ValueError) as error:
        raise folder.error(path, "has no cell groundTruth of structs with Boundaries") from error
    if not 1 <= len(maps) <= MAX_ANNOTATORS:
        raise folder.error(path, f"has {len(maps)} annotators, but must have 1 to {MAX_ANNOTATORS}")
    for edges in maps:
        folder.check_size(path, edges, size)
    return [folder.whole_numbers(path, edges, (0, 1)) > 0 for edges in maps]


@dataclasses.dataclass(frozen=True)
class Options:
    """Options of BSDS500.

    Attributes:
      votes: a pixel is an edge for training if so many annotators drew it (all of them, if there
        are fewer); 3 as in HED (Xie and Tu, ICCV 2015), 1 for whatever anybody drew.

    Raises:
      ValueError: another number of votes than 1 to 16.
    """

    votes: int = 3

    def __post_init__(self):
        if not 1 <= self.votes <= MAX_ANNOTATORS:
            raise ValueError(
                f"config.dataset.options.votes is {self.votes}, but must be 1 to {MAX_ANNOTATORS}."
            )


def _tasks(options: Options) -> tuple[Task, ...]:
    return (tasks.edge(protocol="bsds", truth="annotators"),)


DATASET = ArchiveDataset(
    name="bsds500",
    options=Options,
    make_tasks=_tasks,
    train_split="train+val",
    eval_split="test",
    configuration=lambda options: f"votes{options.votes}",
    prepared_by=("votes",),
    read_by=("votes",),
    archive=Archive(
        description="BSDS500: boundaries of 500 photographs by several annotators.",
        marker="data/images/train/100075.jpg",
        described=(
            "BSR_bsds500.tgz (of the Berkeley Segmentation Data Set; BIDS/BSDS500 on GitHub "
            "mirrors it) or the folder BSDS500 in it"
        ),
        contents=contents,
    ),
)
