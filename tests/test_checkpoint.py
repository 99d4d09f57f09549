"""Checkpoints come back bit for bit; a folder belongs to one configuration."""

import dataclasses
import json

import jax
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from test_config import settings
from tiny_network import PAIR, random_state, tiny_step

from astmt_jax.checkpoint import CONFIG_FILE, Checkpoints, claim_workdir
from astmt_jax.config import from_config_dict


@pytest.fixture(scope="module")
def step():
    return tiny_step(tasks=PAIR)


def test_round_trip_is_bitwise(step, tmp_path):
    """Parameters, statistics, optimizer state and step, with dtypes and shardings."""
    mesh = jax.make_mesh((1,), ("data",), axis_types=(AxisType.Auto,))
    sharding = NamedSharding(mesh, PartitionSpec())
    saved = jax.device_put(dataclasses.replace(random_state(step), step=np.int32(7)), sharding)
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(7, saved)
    checkpoints.close()
    again = Checkpoints(tmp_path)
    assert again.latest_step() == 7
    like = jax.device_put(random_state(step, seed=1), sharding)
    restored = again.restore(like)
    again.close()
    assert jax.tree.structure(restored) == jax.tree.structure(saved)
    for new, old in zip(jax.tree.leaves(restored), jax.tree.leaves(saved), strict=True):
        assert new.dtype == old.dtype
        assert new.sharding == sharding
        np.testing.assert_array_equal(new, old)


def test_newest_are_kept(step, tmp_path):
    """Of three checkpoints the last two, and the newest is what comes back."""
    checkpoints = Checkpoints(tmp_path, keep=2)
    for number in (1, 2, 3):
        checkpoints.save(number, random_state(step, seed=number))
    checkpoints.close()
    kept = {path.name for path in (tmp_path / "checkpoints").iterdir()}
    assert kept == {"2", "3"}
    again = Checkpoints(tmp_path)
    restored = again.restore(random_state(step))
    again.close()
    jax.tree.map(np.testing.assert_array_equal, restored, random_state(step, seed=3))


def test_nothing_to_restore(step, tmp_path):
    checkpoints = Checkpoints(tmp_path)
    assert checkpoints.latest_step() is None
    with pytest.raises(FileNotFoundError, match=rf"no checkpoint in {tmp_path}/checkpoints\.$"):
        checkpoints.restore(random_state(step))
    checkpoints.close()


def test_folder_is_claimed_once(tmp_path):
    """The same settings are welcome again, and other ones where the result stays the same."""
    folder = tmp_path / "runs" / "new"
    config = from_config_dict(settings())
    claim_workdir(folder, config)
    stored = json.loads((folder / CONFIG_FILE).read_text())
    assert from_config_dict(stored) == config
    claim_workdir(folder, config)
    assert json.loads((folder / CONFIG_FILE).read_text()) == stored
    moved = from_config_dict(settings(dataset__data_dir="elsewhere", train__num_threads=1))
    claim_workdir(folder, moved)
    assert from_config_dict(json.loads((folder / CONFIG_FILE).read_text())) == moved


def test_other_settings_are_refused(tmp_path):
    """In one sentence that names the folder and each field; the folder stays as it is."""
    claim_workdir(tmp_path, from_config_dict(settings(train__epochs=6)))
    before = (tmp_path / CONFIG_FILE).read_bytes()
    other = from_config_dict(settings(train__epochs=99, model__backbone="resnet50"))
    with pytest.raises(ValueError, match="other settings") as caught:
        claim_workdir(tmp_path, other)
    message = str(caught.value)
    assert str(tmp_path) in message
    assert "config.train.epochs: 6 -> 99" in message
    assert "config.model.backbone: 'resnet14' -> 'resnet50'" in message
    assert "\n" not in message
    assert (tmp_path / CONFIG_FILE).read_bytes() == before


def test_half_written_settings_are_explained(tmp_path):
    """What a full disk or a kill at the wrong moment leaves is named, not a parser's complaint."""
    (tmp_path / CONFIG_FILE).write_text('{"seed": 0, "tas')
    with pytest.raises(ValueError, match=rf"{tmp_path}.*{CONFIG_FILE}"):
        claim_workdir(tmp_path, from_config_dict(settings()))
