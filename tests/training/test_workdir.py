"""A run's folder from a stranger: what it may say, and what is refused in one sentence."""

import dataclasses
import json
import os

import pytest
from tiny_run import tiny_config

from astmt_jax.config import with_stride_in
from astmt_jax.training.workdir import (
    CONFIG_FILE,
    IMPORT_FILE,
    check_workdir,
    claim_workdir,
    imported_settings,
    record_import,
    recorded_config,
)


def test_settings_are_those_that_were_recorded(tmp_path):
    config = with_stride_in(tiny_config(), "conv2")
    claim_workdir(tmp_path, config)
    assert recorded_config(tmp_path) == config
    assert imported_settings(tmp_path) == {}
    record_import(tmp_path, tmp_path / "a.npz", {"train.normalize": "none"})
    assert imported_settings(tmp_path) == {"train.normalize": "none"}


@pytest.mark.parametrize(
    "document",
    [
        {"settings": {"dataset.data_dir": "/theirs"}},
        {"settings": {"train.normalize": "none", "model.pretrained": "/theirs.pth"}},
        {"settings": {"train.normalize": "all"}},
        {"settings": {"train.normalize": ["none"]}},
        {"settings": {"train.normalize": None}},
        {"settings": {"train.normalize": {"none": {}}}},
        {"settings": [["train.normalize", "none"]]},
        {"settings": None},
        {"settings": "none"},
        {"file": "a.npz"},
        [],
        "none",
        None,
        7,
    ],
)
def test_an_import_decides_the_scaling_of_the_input_only(document, tmp_path):
    (tmp_path / IMPORT_FILE).write_text(json.dumps(document))
    with pytest.raises(ValueError, match="it may set the scaling of the input only") as caught:
        imported_settings(tmp_path)
    assert str(caught.value).startswith(f"{tmp_path / IMPORT_FILE} cannot be used (")
    assert "\n" not in str(caught.value)


CHANGES = {
    "a list": lambda document: [document],
    "nothing": lambda document: None,
    "a text for a section": lambda document: document | {"train": "long"},
    "a list for a section": lambda document: document | {"dataset": ["scenes"]},
    "a number as text": lambda document: document | {"seed": "0"},
    "a seed of 71 bits": lambda document: document | {"seed": 2**70},
    "a negative seed": lambda document: document | {"seed": -1},
    "no tasks": lambda document: document | {"tasks": []},
    "a task that is a number": lambda document: document | {"tasks": [1]},
    "many names": lambda document: document | {"tasks": [f"t{n % 99999}" for n in range(10**5)]},
    "a long name": lambda document: document | {"x" * 10**6: 1},
    "a huge width": lambda document: changed(document, "model", "width_multiplier", 1e12),
    "a huge decoder": lambda document: changed(document, "model", "decoder_width", 16 * 10**12),
    "huge images": lambda document: changed(document, "train", "image_size", 16 * 10**12),
    "huge batches": lambda document: changed(document, "train", "batch_size", 2**62),
    "a long text": lambda document: changed(document, "train", "epochs", "1" * 10**6),
    "a huge rate": lambda document: changed(document, "optimizer", "learning_rate", 10**400),
    "a negative multiplier": lambda document: changed(document, "optimizer", "task_multiplier", -1),
}


def changed(document, section, field, value):
    return document | {section: document[section] | {field: value}}


@pytest.mark.parametrize("name", CHANGES)
def test_settings_of_another_form_are_refused(name, tmp_path):
    document = json.loads(json.dumps(tiny_config().to_dict()))
    (tmp_path / CONFIG_FILE).write_text(json.dumps(CHANGES[name](document)))
    for read in (recorded_config, lambda folder: check_workdir(folder, tiny_config())):
        with pytest.raises(ValueError, match="cannot be used") as caught:
            read(tmp_path)
        assert str(caught.value).startswith(f"{tmp_path / CONFIG_FILE} cannot be used (")
        assert "\n" not in str(caught.value)
        assert len(str(caught.value)) < 600 + len(str(tmp_path))


@pytest.mark.parametrize("field", ["task_multiplier", "weight_decay", "poly_power"])
@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf")])
def test_numbers_without_a_sense_are_refused_wherever_they_come_from(field, value):
    with pytest.raises(ValueError, match=rf"^optimizer\.{field} is (-1\.0|nan|inf), but must be"):
        dataclasses.replace(tiny_config().optimizer, **{field: value})


def test_a_pipe_is_no_settings(tmp_path):
    os.mkfifo(tmp_path / CONFIG_FILE)
    with pytest.raises(ValueError, match="a pipe or a device"):
        recorded_config(tmp_path)


def test_weights_that_settings_name_are_not_read(tmp_path):
    """The encoder's first weights matter at the start of training only."""
    os.mkfifo(tmp_path / "pretrained.npz")
    config = tiny_config()
    model = dataclasses.replace(config.model, pretrained=str(tmp_path / "pretrained.npz"))
    claim_workdir(tmp_path, dataclasses.replace(config, model=model))
    assert recorded_config(tmp_path).model.pretrained


@pytest.mark.parametrize("adapters", [True, False])
def test_settings_of_an_earlier_version_mean_the_same(adapters, tmp_path):
    """One switch for all adapters, as runs of before recorded it."""
    config = tiny_config()
    claim_workdir(tmp_path, config)
    path = tmp_path / "config.json"
    document = json.loads(path.read_text())
    for part in ("encoder", "decoder"):
        del document["model"][f"{part}_adapters"]
    document["model"]["adapters"] = adapters
    path.write_text(json.dumps(document))
    switches = {"encoder_adapters": adapters, "decoder_adapters": adapters}
    expected = dataclasses.replace(config, model=dataclasses.replace(config.model, **switches))
    assert recorded_config(tmp_path) == expected
