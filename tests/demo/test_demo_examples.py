"""The demo's examples: where they come from, and what is said where they are not there."""

import dataclasses

import numpy as np
import pytest
from PIL import Image
from tiny_run import tiny_model

from astmt_jax.datasets import registry
from astmt_jax.datasets.scenes.dataset import ScenesDataset
from astmt_jax.datasets.scenes.generate import Recipe
from astmt_jax.demo import examples
from astmt_jax.files import decoding
from astmt_jax.pictures.photos import PhotoError
from astmt_jax.trained_model import Model


@pytest.fixture(scope="module")
def model():
    return tiny_model()


@pytest.fixture(scope="module")
def rendered():
    """What is shown at 64 x 64, of the recipe that the dataset is rendered by."""
    encoded = [Recipe(0, "val", 64).encoded(index)["image"] for index in examples.SCENES]
    return [decoding.from_bytes(png, decoding.rgb) for png in encoded]


def test_prepared_data_are_read_only_where_the_user_says(model, tmp_path, capsys, rendered):
    """Neither is a dataset prepared nor does the run's own folder count; scenes are rendered."""
    dataset = dataclasses.replace(model.config.dataset, data_dir=str(tmp_path / "theirs"))
    config = dataclasses.replace(model.config, dataset=dataset)
    theirs = Model(config, model.network, model.tasks, model.params, model.stats, 0)
    found = examples.examples_for(theirs, tmp_path / "mine")
    assert not list(tmp_path.iterdir())
    assert len({name for _, name in found}) == len(found) == len(rendered)
    for (image, _), expected in zip(found, rendered, strict=True):
        np.testing.assert_array_equal(image, expected)
    told = capsys.readouterr().out
    assert told.startswith("The examples are rendered scenes: ")
    assert f"is not rendered in {tmp_path / 'mine'}" in told
    assert "--data_dir=DIR" in told
    assert "--examples=FOLDER" in told


def test_scenes_are_rendered_where_nothing_reads_data(model, tmp_path, capsys, monkeypatch):
    def not_installed(*_):
        raise ModuleNotFoundError("No module named 'tensorflow'", name="tensorflow")

    monkeypatch.setattr(ScenesDataset, "open_prepared", not_installed)
    assert len(examples.examples_for(model, tmp_path)) == len(examples.SCENES)
    assert "tensorflow is not installed" in capsys.readouterr().out


def test_photos_of_a_folder_take_the_place_of_all_others(model, tmp_path, capsys):
    pixels = {"a/dog": 10, "b": 200}
    (tmp_path / "a").mkdir()
    for name, value in pixels.items():
        Image.fromarray(np.full((5, 7, 3), value, np.uint8)).save(tmp_path / f"{name}.png")
    (tmp_path / "notes.txt").write_text("no picture")
    found = examples.examples_for(model, tmp_path / "nowhere", tmp_path)
    assert [name for _, name in found] == list(pixels)
    for image, name in found:
        np.testing.assert_array_equal(image, np.full((5, 7, 3), pixels[name], np.uint8))
    assert capsys.readouterr().out.startswith("No example: notes.txt is no picture")


def test_only_so_many_photos_of_a_folder_are_read(tmp_path, monkeypatch):
    monkeypatch.setattr(examples, "MOST_OF_A_FOLDER", 2)
    for name in "cab":
        Image.new("RGB", (4, 4)).save(tmp_path / f"{name}.png")
    assert [name for _, name in examples.photos_of(tmp_path)] == ["a", "b"]


def test_a_folder_without_photos_is_told(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"^There is no photo in "):
        examples.photos_of(tmp_path)
    (tmp_path / "notes.txt").write_text("no picture")
    with pytest.raises(PhotoError, match=r" that can be shown\.$"):
        examples.photos_of(tmp_path)


@pytest.mark.slow
def test_examples_are_images_of_the_evaluation_split(model, tmp_path):
    registry.find("scenes").open(tmp_path, model.config.dataset.options, "val")
    found = examples.examples_for(model, tmp_path)
    assert len(found) == len({name for _, name in found}) == examples.NUM_EXAMPLES
    for image, name in found:
        assert image.dtype == np.uint8
        assert image.shape == (image.shape[0], image.shape[1], 3)
        assert name.startswith("val_")
