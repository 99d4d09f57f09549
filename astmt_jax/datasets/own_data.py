"""Your own data: one folder for images, one for each task, two lists of names.

    splits/{train,val}.txt    names, one a line
    images/NAME               .jpg, .png, .webp, .bmp, .tif
    edge/NAME.png             v / 255, edges from 0.5 on; or .npy of 0 and 1
    semseg/NAME.png           class ids (grey or palette), 255 where unknown; or .npy
    human_parts/NAME.png      0 background, 1 head, 2 torso, 3 upper arms, 4 lower arms,
                              5 upper legs, 6 lower legs, 255 where unknown; or .npy
    normals/NAME.png, .jpg    n = 2v / 255 - 1, black or grey (127, 128) where unknown;
                              or .npy, 0 where unknown
    sal/NAME.png              v / 255 > 0.5; or .npy of 0 and 1
    depth/NAME.npy            metres, 0 where unknown; or, with the option depth_unit, .png of 8 or
                              16 bits, in which 65535 is unknown, too
    albedo/NAME.png, .jpg     v / 255

Only images and one task are needed, and an example has one file for each. An example may lack the
file of a task: it then trains the others only. Orientations that files note (EXIF) are applied.

Free of TensorFlow, so that worker processes start quickly.
"""

import dataclasses
import math
import re
from collections.abc import Mapping, Sequence

from astmt_jax.datasets import readers
from astmt_jax.datasets.contents import Archive, Contents
from astmt_jax.datasets.dataset import ArchiveDataset
from astmt_jax.datasets.label_files import FolderExamples, Label
from astmt_jax.datasets.readers import GREY_PICTURES, PICTURES, PictureReader, Reader
from astmt_jax.files.folder import Folder
from astmt_jax.labels import IGNORE
from astmt_jax.tasks import registry as tasks
from astmt_jax.tasks.semseg import VOC_CLASSES
from astmt_jax.tasks.task import Task

MARKER = "splits/train.txt"
IMAGES = Label("images", dict.fromkeys((".jpg", *PICTURES), PictureReader("image")))


def _class_label(subfolder: str, classes: range) -> Label:
    encode = readers.classes(classes)
    pictures = Reader("classes", Folder.class_ids, encode)
    arrays = Reader("classes", Folder.array, encode)
    return Label(subfolder, dict.fromkeys(GREY_PICTURES, pictures) | {".npy": arrays})


def _binary_label(subfolder: str, pictures: Reader, arrays: Reader) -> Label:
    return Label(subfolder, dict.fromkeys(GREY_PICTURES, pictures) | {".npy": arrays})


def labels(depth_unit: float | None = None) -> dict[str, Label]:
    """Label name -> its files, with the unit of depth in metres, if it is known."""
    whole_depth = (
        readers.RefuseWholeNumbers("depth_unit=0.001")
        if depth_unit is None
        else readers.EncodeDepth(depth_unit)
    )
    return {
        "edge": _binary_label(
            "edge",
            Reader("fraction", Folder.levels, readers.encode_grey),
            Reader("fraction", Folder.array, readers.encode_binary_array),
        ),
        "semseg": _class_label("semseg", range(255)),
        "human_parts": _class_label("human_parts", range(7)),
        "normals": Label(
            "normals",
            dict.fromkeys(
                PICTURES, Reader("masked_normals", Folder.pixels, readers.encode_normal_codes)
            )
            | {".npy": Reader("values3", Folder.array, readers.encode_unit_vectors)},
        ),
        "sal": _binary_label(
            "sal",
            Reader("classes", Folder.levels, readers.encode_binary),
            Reader("classes", Folder.array, readers.encode_switches),
        ),
        "depth": Label(
            "depth",
            {".npy": Reader("values1", Folder.array, readers.EncodeDepth(depth_unit or 1.0))}
            | dict.fromkeys(GREY_PICTURES, Reader("values1", Folder.numbers, whole_depth)),
        ),
        "albedo": Label("albedo", dict.fromkeys(PICTURES, PictureReader("color"))),
    }


def contents(folder: Folder, depth_unit: float | None = None) -> Contents:
    """Splits and examples of a folder of your own.

    Args:
      folder: the unpacked archive.
      depth_unit: metres for each 1 in a file of depth; None: arrays hold metres, and pictures are
        refused.

    Raises:
      ValueError: a list of names is missing or broken, an image is missing, a file has an ending
        that is not read, or there is no label at all.
    """
    splits = {split: folder.names(f"splits/{split}.txt") for split in ("train", "val")}
    names = list(dict.fromkeys(name for split in splits.values() for name in split))
    found = {key: label.find_each(folder, names) for key, label in labels(depth_unit).items()}
    files = {key: those for key, those in found.items() if those}
    if not files:
        known = ", ".join(f"{label.subfolder}/" for label in labels().values())
        raise folder.error(MARKER, f"names no example that has a label in one of {known}")
    examples = FolderExamples(folder, files, _images(folder, names), partly=True)
    return Contents(examples.kinds(), splits, examples)


def _images(folder: Folder, names: Sequence[str]) -> Mapping[str, str]:
    """Example -> its image; ValueError if one has none."""
    found = IMAGES.find_each(folder, names)
    paths = found.paths if found else {}
    missing = next((name for name in names if name not in paths), None)
    if missing is not None:
        written = ", and names are written without it" if "." in missing else ""
        raise folder.error(
            f"images/{missing}", f"is missing: an ending is one of {IMAGES.endings}{written}"
        )
    return paths


@dataclasses.dataclass(frozen=True)
class Options:
    """Options of your own data.

    Attributes:
      config: the name under which it was prepared; '' if there was none.
      semseg_classes: names of the classes of semantic segmentation.
      edge_positive_weight: weight of edge pixels in the balanced loss, between 0 and 1.
      depth_unit: metres for each 1 in files of depth, when they are prepared; None: arrays hold
        metres.

    Raises:
      ValueError: the name cannot be one of a folder, or a value is out of its range.
    """

    config: str = ""
    semseg_classes: tuple[str, ...] = VOC_CLASSES
    edge_positive_weight: float = 0.95
    depth_unit: float | None = None

    def __post_init__(self):
        is_version = re.fullmatch(
            r"[\d.]+", self.config
        )  # where there is no name, a version stands
        if self.config and (is_version or not re.fullmatch(r"\w[\w.-]*", self.config)):
            raise ValueError(
                f"config.dataset.options.config is {self.config!r}, but must be a name of letters, "
                "digits, '_', '-' and '.', and not of digits alone."
            )
        _check_classes(self.semseg_classes)
        if not 0 < self.edge_positive_weight < 1:
            raise ValueError(
                f"config.dataset.options.edge_positive_weight is {self.edge_positive_weight}, but "
                "must be between 0 and 1: the others weigh what it leaves."
            )
        if self.depth_unit is not None and not 0 < self.depth_unit < math.inf:
            raise ValueError(
                f"config.dataset.options.depth_unit is {self.depth_unit}, but must be a positive "
                "number of metres, such as 0.001 for millimetres."
            )


def _check_classes(names: tuple[str, ...]) -> None:
    where = "config.dataset.options.semseg_classes"
    if not 2 <= len(names) <= IGNORE:
        raise ValueError(
            f"{where} has {len(names)} names, but must have 2 to {IGNORE}, the background among "
            "them."
        )
    if not all(name.strip() for name in names):
        raise ValueError(f"{where} is {names}, but every class must have a name.")
    repeated = next((name for name in names if names.count(name) > 1), None)
    if repeated is not None:
        raise ValueError(f"{where} names {repeated!r} more than once, but classes must differ.")


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
    prepared_by=("config", "depth_unit"),
    read_by=("depth_unit",),
    archive=Archive(
        description=(
            "A folder of your own, with any subset of the tasks; each has a configuration's name."
        ),
        marker=MARKER,
        described="a folder or archive with splits/, images/ and a folder for each task",
        contents=contents,
    ),
)
