"""Batches in parts: none so small that batch norm has nothing to compare."""

import dataclasses

import jax
import pytest
from tiny_run import tiny_config

from astmt_jax.training.experiment import Experiment


def experiment(batch_size, accumulate=1, image_size=32, decoder="deeplab"):
    config = tiny_config()
    train = dataclasses.replace(
        config.train, batch_size=batch_size, accumulate=accumulate, image_size=image_size
    )
    model = dataclasses.replace(config.model, decoder=decoder)
    return Experiment(dataclasses.replace(config, train=train, model=model))


@pytest.mark.parametrize(
    ("settings", "least"),
    [
        ({"batch_size": 1}, 2),
        ({"batch_size": 4, "accumulate": 4}, 8),
        ({"batch_size": 1, "image_size": 512}, 2),
        ({"batch_size": 1, "image_size": 16, "decoder": "uber"}, 2),
    ],
)
def test_parts_of_one_position_are_refused(settings, least):
    """The mean of one image is one position for the DeepLab decoder, however large the image."""
    with pytest.raises(ValueError, match="parts of one image") as caught:
        experiment(**settings).check_training()
    assert f"a batch_size of at least {least}" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "settings",
    [
        {"batch_size": 2},
        {"batch_size": 8, "accumulate": 4},
        {"batch_size": 1, "image_size": 32, "decoder": "uber"},
        {"batch_size": 2, "image_size": 16, "decoder": "uber"},
    ],
)
def test_parts_of_several_positions_are_trained_on(settings):
    experiment(**settings).check_training()


@pytest.mark.parametrize(("devices", "expected"), [(1, 4), (2, 4), (3, 6), (8, 8)])
def test_fewer_images_than_devices(monkeypatch, devices, expected):
    """Training is refused; evaluation pads its batches."""
    monkeypatch.setattr(jax, "device_count", lambda: devices)
    found = experiment(batch_size=4)
    assert found.evaluation_input.batch_size == expected
    if expected == 4:
        found.check_training()
    else:
        with pytest.raises(
            ValueError, match=f"batch_size is 4, but must be a multiple of {devices}"
        ):
            found.check_training()
