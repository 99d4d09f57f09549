"""Your own data: one folder for images, one for each task, two lists of names.

    splits/{train,val}.txt    names, one a line
    images/NAME               .jpg, .png or .webp
    edge/NAME.png             v / 255, edges from 0.5 on; or .npy of 0 and 1
    semseg/NAME.png           class ids (grey or palette), 255 where unknown
    human_parts/NAME.png      0 background, 1 head, 2 torso, 3 upper arms, 4 lower arms,
                              5 upper legs, 6 lower legs, 255 where unknown
    normals/NAME.png, .jpg    n = 2v / 255 - 1; or .npy, 0 where unknown
    sal/NAME.png              v / 255 > 0.5
    depth/NAME.npy            metres, 0 where unknown
    albedo/NAME.png, .jpg     v / 255

Only images and one task are needed; the files of a task have one ending. An example may lack the
file of a task: it then trains the others only.

Free of TensorFlow, so that worker processes start quickly.
"""

import dataclasses
import re

from astmt_jax.datasets import readers
from astmt_jax.datasets.contents import Archive, Contents
from astmt_jax.datasets.dataset import ArchiveDataset
from astmt_jax.datasets.readers import Label, PictureReader, Reader
from astmt_jax.files.folder import Folder
from astmt_jax.tasks import registry as tasks
from astmt_jax.tasks.semseg import VOC_CLASSES
from astmt_jax.tasks.task import Task

MARKER = "splits/train.txt"

_PICTURES = (".png", ".jpg")

LABELS = {
    "edge": Label(
        "edge",
        {
            ".png": Reader("fraction", Folder.levels, readers.encode_grey),
            ".npy": Reader("fraction", Folder.array, readers.encode_binary_array),
        },
    ),
    "semseg": Label(
        "semseg", {".png": Reader("classes", Folder.class_ids, readers.classes(range(255)))}
    ),
    "human_parts": Label(
        "human_parts", {".png": Reader("classes", Folder.class_ids, readers.classes(range(7)))}
    ),
    "normals": Label(
        "normals",
        dict.fromkeys(_PICTURES, PictureReader("normals"))
        | {".npy": Reader("values3", Folder.array, readers.encode_unit_vectors)},
    ),
    "sal": Label("sal", {".png": Reader("classes", Folder.levels, readers.encode_binary)}),
    "depth": Label("depth", {".npy": Reader("values1", Folder.array, readers.encode_depth)}),
    "albedo": Label("albedo", dict.fromkeys(_PICTURES, PictureReader("color"))),
}


def contents(folder: Folder) -> Contents:
    """Splits and examples of a folder of your own.

    Raises:
      ValueError: a list of names is missing or broken, or there is no label at all.
    """
    splits = {split: folder.names(f"splits/{split}.txt") for split in ("train", "val")}
    names = [name for split in splits.values() for name in split]
    files = {key: label.find(folder, names) for key, label in LABELS.items()}
    files = {key: those for key, those in files.items() if those}
    if not files:
        known = ", ".join(f"{label.subfolder}/" for label in LABELS.values())
        raise folder.error(MARKER, f"names no example that has a label in one of {known}")
    examples = readers.FolderExamples(folder, files, partly=True)
    return Contents(examples.kinds(), splits, examples)


@dataclasses.dataclass(frozen=True)
class Options:
    """Options of your own data.

    Attributes:
      config: the name under which it was prepared; '' if there was none.
      semseg_classes: names of the classes of semantic segmentation.
      edge_positive_weight: weight of edge pixels in the balanced loss.

    Raises:
      ValueError: the name cannot be one of a folder.
    """

    config: str = ""
    semseg_classes: tuple[str, ...] = VOC_CLASSES
    edge_positive_weight: float = 0.95

    def __post_init__(self):
        if self.config and not re.fullmatch(r"\w[\w.-]*", self.config):
            raise ValueError(
                f"config.dataset.options.config is {self.config!r}, but must be a name of letters, "
                "digits, '_', '-' and '.'."
            )


def _tasks(options: Options) -> tuple[Task, ...]:
    return (
        tasks.edge(options.edge_positive_weight, protocol="edge_map", truth="edge"),
        tasks.semseg(options.semseg_classes),
        tasks.human_parts(),
        tasks.normals(),
        tasks.sal(),
        tasks.depth(),
        tasks.albedo(),
    )


DATASET = ArchiveDataset(
    name="own_data",
    options=Options,
    make_tasks=_tasks,
    named_by_options=("semseg",),
    configuration=lambda options: options.config or None,
    prepared_by=("config",),
    archive=Archive(
        description=(
            "A folder of your own, with any subset of the tasks; each has a configuration's name."
        ),
        marker=MARKER,
        described="a folder or archive with splits/, images/ and a folder for each task",
        contents=contents,
    ),
)
