"""Checkpoints come back bit for bit; a folder belongs to one configuration."""

import dataclasses
import json
import shutil
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from networks import on_device
from settings import settings
from tiny_network import PAIR, random_state, tiny_step

from astmt_jax.config import from_config_dict
from astmt_jax.models.variables import Params, Stats
from astmt_jax.training import checksums
from astmt_jax.training.checkpoint import CheckpointError, Checkpoints
from astmt_jax.training.state import TrainedVariables, TrainState
from astmt_jax.training.workdir import CONFIG_FILE, claim_workdir


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


def small_state(seed=0):
    """A state of few variables, which is read quickly; its files are as those of large ones."""
    random = np.random.default_rng(seed)

    def variables(kind, **others):
        draw = lambda *shape: on_device(random.standard_normal(shape), np.float32)  # noqa: E731
        shared, task = {"kernel": draw(40, 50)}, {"scale": draw(2, 3)}
        return kind(shared=shared, task=task, heads={"depth": {"bias": draw(2)}}, **others)

    return TrainState(
        jnp.int32(seed),
        variables(Params, discriminator={}),
        variables(Stats, frozen={}),
        variables(Params, discriminator={}),
    )


def test_steps_kept_for_good(tmp_path):
    """Multiples of `keep_every` stay beside the newest."""
    checkpoints = Checkpoints(tmp_path, keep=1, keep_every=2)
    for number in range(1, 6):
        checkpoints.save(number, small_state(number))
    checkpoints.close()
    assert {path.name for path in (tmp_path / "checkpoints").iterdir()} == {"2", "4", "5"}


def test_state_that_is_not_finite_is_not_saved(tmp_path):
    """The variable is named, and the checkpoint before stays the newest."""
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(1, small_state())
    state = small_state(1)
    heads = {"depth": {"bias": np.float32([0, np.inf])}}
    poisoned = dataclasses.replace(state, params=dataclasses.replace(state.params, heads=heads))
    words = r"params\.heads\.depth\.bias is not finite after step 2"
    with pytest.raises(FloatingPointError, match=words):
        checkpoints.save(2, poisoned)
    checkpoints.close()
    assert Checkpoints(tmp_path, read_only=True).latest_step() == 1


def damages(content):
    """Ways to damage a file, as what it holds then; None is no file."""
    half = len(content) // 2
    flipped = content[:half] + bytes([content[half] ^ 16]) + content[half + 1 :]
    return {"gone": None, "empty": b"", "half": content[:half], "one bit": flipped}


@pytest.fixture(scope="module")
def two_checkpoints(tmp_path_factory):
    """A run's folder with the checkpoints of steps 1 and 2; their states are those of the seeds."""
    folder = tmp_path_factory.mktemp("two")
    checkpoints = Checkpoints(folder)
    for number in (1, 2):
        checkpoints.save(number, small_state(number))
    checkpoints.close()
    return folder


def test_damaged_checkpoint_is_passed_over(two_checkpoints, capfd):
    """Whatever happens to one file of the newest, it is read bit for bit or passed over."""
    states = {number: small_state(number) for number in (1, 2)}
    like = small_state()
    files = [p for p in (two_checkpoints / "checkpoints" / "2").rglob("*") if p.is_file()]
    assert len(files) > 8
    outcomes = {1: 0, 2: 0}
    for file in files:
        content = file.read_bytes()
        for name, damaged in damages(content).items():
            file.unlink() if damaged is None else file.write_bytes(damaged)
            checkpoints = Checkpoints(two_checkpoints, read_only=True)
            restored = checkpoints.restore(like)
            checkpoints.close()
            warned = "the checkpoint of step 2" in capfd.readouterr().out
            number = 1 if warned else 2
            outcomes[number] += 1
            for new, old in zip(*map(jax.tree.leaves, (restored, states[number])), strict=True):
                np.testing.assert_array_equal(new, old, err_msg=f"{file.name} {name}")
        file.write_bytes(content)
    assert min(outcomes.values()) > 10, outcomes


def test_damaged_checkpoints_make_way(two_checkpoints, tmp_path):
    """Training saves their steps again; the damaged ones stay beside them."""
    folder = shutil.copytree(two_checkpoints, tmp_path / "run")
    (folder / "checkpoints" / "2" / "default" / "manifest.ocdbt").unlink()
    checkpoints = Checkpoints(folder)
    checkpoints.restore(small_state())
    checkpoints.save(2, small_state(5))
    checkpoints.close()
    assert {p.name for p in (folder / "checkpoints").iterdir()} == {"1", "2", "2.damaged"}
    again = Checkpoints(folder)
    restored = again.restore(small_state())
    again.close()
    jax.tree.map(np.testing.assert_array_equal, restored, small_state(5))


def test_no_checkpoint_can_be_read(two_checkpoints, tmp_path):
    folder = shutil.copytree(two_checkpoints, tmp_path / "run")
    for number in "12":
        (folder / "checkpoints" / number / "default" / "manifest.ocdbt").unlink()
    checkpoints = Checkpoints(folder)
    with pytest.raises(CheckpointError, match=r"No checkpoint in .* can be read \(steps 1, 2\)"):
        checkpoints.restore(small_state())
    checkpoints.close()


def test_reading_leaves_a_checkpoint_that_is_being_saved(two_checkpoints, tmp_path):
    """Evaluation may run beside training; training itself clears up what a kill left."""
    folder = shutil.copytree(two_checkpoints, tmp_path / "run")
    unfinished = folder / "checkpoints" / "3.orbax-checkpoint-tmp"
    unfinished.mkdir()
    (unfinished / "default").touch()
    reader = Checkpoints(folder, read_only=True)
    assert reader.latest_step() == 2
    reader.restore(small_state())
    reader.close()
    assert unfinished.exists()
    Checkpoints(folder).close()
    deadline = time.monotonic() + 60  # orbax clears up in the background
    while unfinished.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not unfinished.exists()


def described(state):
    """What predicts of a state, as descriptions on one device."""
    device = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    variables = TrainedVariables(state.step, state.params, state.stats, state.average)
    return jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=device), variables
    )


def test_what_predicts_is_read_alone(tmp_path):
    """With the moving average, bit for bit; damage to it is noticed without the rest."""
    states = {number: small_state(number) for number in (1, 2)}
    states = {
        number: dataclasses.replace(state, average=(state.params, state.stats))
        for number, state in states.items()
    }
    checkpoints = Checkpoints(tmp_path)
    for number, state in states.items():
        checkpoints.save(number, state)
    checkpoints.close()
    with Checkpoints(tmp_path, read_only=True) as reader:
        found = reader.restore_variables(described(states[2]))
    assert jax.tree.structure(found) == jax.tree.structure(described(states[2]))
    expected = (states[2].step, states[2].params, states[2].stats, states[2].average)
    for new, old in zip(*map(jax.tree.leaves, (found, expected)), strict=True):
        np.testing.assert_array_equal(new, old)
    (tmp_path / "checkpoints" / "2" / "default" / "manifest.ocdbt").unlink()
    with Checkpoints(tmp_path, read_only=True) as reader:
        assert int(reader.restore_variables(described(states[2])).step) == 1


@pytest.mark.parametrize(("wrong", "read"), [(0, 2), (1, 1)], ids=["sound", "damaged"])
def test_checkpoints_of_earlier_versions(two_checkpoints, tmp_path, wrong, read):
    """They have one checksum of the whole state, by which they are read or passed over."""
    folder = shutil.copytree(two_checkpoints, tmp_path / "run")
    whole = checksums.checksum(small_state(2))
    file = folder / "checkpoints" / "2" / "_CHECKPOINT_METADATA"
    metadata = json.loads(file.read_text())
    metadata["custom_metadata"] = {"checksum": whole + wrong}
    file.write_text(json.dumps(metadata))
    with Checkpoints(folder, read_only=True) as reader:
        assert int(reader.restore(small_state()).step) == read


def test_checkpoints_are_not_saved_through_a_link(tmp_path):
    """Old ones would be deleted in another folder, too."""
    (tmp_path / "theirs").mkdir()
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "checkpoints").symlink_to(tmp_path / "theirs")
    with pytest.raises(FileExistsError, match="checkpoints is a link"):
        Checkpoints(tmp_path / "run")
    assert not list((tmp_path / "theirs").iterdir())
