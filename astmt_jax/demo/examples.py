"""Photos to pick from, of which the first is what the page opens with."""

import pathlib

import numpy as np

from astmt_jax.datasets import registry
from astmt_jax.datasets.scenes import renderer
from astmt_jax.datasets.scenes.generate import Recipe
from astmt_jax.demo.uploads import read_upload, shrunk
from astmt_jax.pictures.photo_folder import find_photos
from astmt_jax.pictures.photos import PhotoError
from astmt_jax.runtime.console import CONSOLE
from astmt_jax.trained_model import Model

Example = tuple[np.ndarray, str]
"""A photo, uint8 (H, W, 3), and its name."""

NUM_EXAMPLES = 6
MOST_OF_A_FOLDER = 24
SCENES = (250, 0, 100)
"""Of the validation split of `scenes` (seed 0): people in a room and outdoors, and a table."""
SCENE_SIDES = (64, 256)
"""Pixels; a scene of 256 x 256 is rendered in about 0.2 s."""
REMEDY = (
    "Say where the data are with --data_dir=DIR, or name photos of your own with --examples=FOLDER."
)


def examples_for(
    model: Model, data_dir: pathlib.Path, folder: pathlib.Path | None = None
) -> list[Example]:
    """Photos for a run, the user's own if there are any, otherwise those that are at hand.

    Args:
      model: whose settings name the dataset and the split.
      data_dir: where prepared datasets live; nothing is prepared there.
      folder: with photos of the user; None is images of the run's evaluation split, or rendered
        scenes where its data are not there.

    Raises:
      OSError: there is no such folder.
      PhotoError: none of its files can be read.
    """
    if folder is not None:
        return photos_of(folder)
    return images_of_split(model, data_dir) or rendered_scenes(model.config.train.image_size)


def photos_of(folder: pathlib.Path) -> list[Example]:
    """The photos of a folder, at most `MOST_OF_A_FOLDER`; says which files cannot be read.

    Raises:
      OSError: there is no such folder, or nothing in it.
      PhotoError: none of the files can be read.
    """
    examples = []
    for name, path in find_photos(str(folder)).items():
        try:
            examples.append((read_upload(path, path.name), name))
        except PhotoError as error:
            CONSOLE.print(f"No example: {error}")
        if len(examples) == MOST_OF_A_FOLDER:
            break
    if not examples:
        raise PhotoError(f"There is no photo in {folder} that can be shown.")
    return examples


def images_of_split(model: Model, data_dir: pathlib.Path) -> list[Example]:
    """Images of the run's evaluation split; none, and it says why, where the data are not there."""
    config = model.config.dataset
    dataset = registry.find(config.name).with_splits(config.train_split, config.eval_split)
    try:
        source = dataset.open_prepared(data_dir, config.options, dataset.eval_split)
    except (OSError, ValueError) as error:
        CONSOLE.print(f"The examples are rendered scenes: {error} {REMEDY}")
        return []
    except ModuleNotFoundError as error:
        missing = f"{error.name} is not installed, which reads prepared data."
        CONSOLE.print(f"The examples are rendered scenes: {missing} {REMEDY}")
        return []
    count = min(NUM_EXAMPLES, source.length)
    parse = source.parser(["image", "name"])
    records = source.read([i * source.length // count for i in range(count)])
    examples = [parse(record) for record in records]
    return [(shrunk(e["image"]), e["name"].decode()) for e in examples]


def rendered_scenes(side: int) -> list[Example]:
    """Rendered pictures, which need neither data nor a network.

    Args:
      side: of the pictures in pixels, brought into `SCENE_SIDES`.
    """
    side = int(np.clip(side, *SCENE_SIDES))
    recipe = Recipe(seed=0, split="val", image_size=side)
    return [
        (renderer.render(*recipe.draw(index), side)["image"], f"scene {number}")
        for number, index in enumerate(SCENES, 1)
    ]
