"""A dataset of one's own: leaves and their ill spots, in a folder of another form than own_data's.

    train.txt, val.txt    names, one a line
    photos/NAME.jpg
    spots/NAME.png        0 leaf, 1 spot, 2 background, 255 unknown

    python -m astmt_jax.datasets.prepare --dataset=leaves --plugins=examples/own_dataset.py \\
        --source=FOLDER
    python -m astmt_jax.main --config=examples/own_dataset.py --workdir=runs/leaves
"""

import functools

from ml_collections import ConfigDict

from astmt_jax.datasets import readers
from astmt_jax.datasets.contents import Archive, Contents, Stored
from astmt_jax.datasets.dataset import ArchiveDataset, NoOptions
from astmt_jax.datasets.registry import add_dataset
from astmt_jax.files.folder import Folder
from astmt_jax.paper import paper_config
from astmt_jax.tasks.registry import semseg
from astmt_jax.tasks.task import Task

KINDS = {"image": "image", "semseg": "classes"}  # forms in which maps are stored
CLASSES = ("leaf", "spot", "background")
SPOTS = readers.Reader("classes", Folder.class_ids, readers.classes(range(len(CLASSES))))


def contents(folder: Folder) -> Contents:
    """The examples of each split, and what is stored of them."""
    splits = {split: folder.names(f"{split}.txt") for split in ("train", "val")}
    return Contents(KINDS, splits, functools.partial(read, folder))


def read(folder: Folder, split: str, name: str) -> Stored:
    """One example as it is stored."""
    image, pixels = folder.picture(f"photos/{name}.jpg")
    return {"image": image, "semseg": SPOTS.read(folder, f"spots/{name}.png", pixels.shape[:2])}


def tasks(options: NoOptions) -> tuple[Task, ...]:
    return (semseg(CLASSES, background=False),)


LEAVES = ArchiveDataset(
    name="leaves",
    options=NoOptions,
    make_tasks=tasks,
    archive=Archive(
        description="Leaves and their spots.",
        marker="train.txt",
        described="a folder with train.txt, val.txt, photos/ and spots/",
        contents=contents,
    ),
)
add_dataset(LEAVES)


def get_config(variant: str = "") -> ConfigDict:
    """Settings to train on it: this file is a --config, too, which names itself as its plugin."""
    config = paper_config(
        variant,
        dataset=LEAVES.name,
        tasks=("semseg",),
        options={},
        backbone="resnet26",
        epochs=60,
        discriminator_kernel=1,
    )
    config.plugins = __file__
    return config
