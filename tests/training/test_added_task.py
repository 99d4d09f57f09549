"""A task added to a trained network, and runs that start from another one, with a tiny network."""

import dataclasses
import pathlib
import shutil

import jax
import numpy as np
import pytest
from settings import assert_one_sentence, settings
from tiny_network import TinyNetwork

from astmt_jax import trained_model
from astmt_jax.config import from_config_dict
from astmt_jax.models.variables import one_task, parameter_count
from astmt_jax.runtime.sharding import Placement, data_mesh
from astmt_jax.trained_model import Model, load
from astmt_jax.training import experiment, loop, origin
from astmt_jax.training.checkpoint import CheckpointError
from astmt_jax.training.experiment import Experiment
from astmt_jax.training.origin import settled, take
from astmt_jax.training.workdir import as_begun, check_workdir, claim_workdir, recorded_config
from astmt_jax.weights.checks import WeightsError

OLD, NEW = ("semseg", "depth"), ("semseg", "normals", "depth")
STEPS = 6


@pytest.fixture(scope="module", autouse=True)
def tiny():
    """All networks have the tiny trunk."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (experiment, origin, trained_model):
            patch.setattr(module, "Network", TinyNetwork)
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("added_task")


def config_of(folder, tasks, **changes):
    """Six images in batches of two."""
    options = {"image_size": 64, "num_train": 6, "num_val": 2, "seed": 0}
    values = {
        "dataset__data_dir": str(folder / "data"),
        "dataset__options": options,
        "train__image_size": 32,
        "train__batch_size": 2,
        "train__epochs": 2,
        "train__checkpoint_every_steps": 2,
        "train__keep_checkpoints": 9,
        "train__num_threads": 1,
        "optimizer__warmup_steps": 0,
    }
    return from_config_dict(settings(tasks=tasks, **values | changes))


def added(folder, **changes):
    """Settings of the run that adds a task."""
    changes = {"init_from": str(folder / "old"), "freeze": "shared"} | changes
    return config_of(folder, **{"tasks": NEW} | changes)


def trained(config, workdir):
    """Trains, and loads the run."""
    made = Experiment(config)
    loop.train(made, made.open_splits(), workdir)
    return load(workdir)


@pytest.fixture(scope="module")
def old(folder):
    """A trained network whose predictions are those of a moving average."""
    return trained(config_of(folder, OLD, optimizer__ema_decay=0.5), folder / "old")


@pytest.fixture(scope="module")
def new(folder, old):
    """The same with a task added."""
    return trained(added(folder), folder / "new")


def assert_identical(actual, expected):
    assert jax.tree.leaves(expected)
    jax.tree.map(np.testing.assert_array_equal, actual, expected)


def owned(variables, tasks, name):
    """What a task owns, of anything with `params` and `stats`."""
    index = tasks.index(name)
    params, stats = (one_task(each, index) for each in (variables.params, variables.stats))
    return params.task, stats.task, params.heads[name]


@pytest.fixture(scope="module")
def start(new):
    """The state of the new run before its training."""
    made = Experiment(new.config)
    return made.init(made.train_step(3))


def test_old_tasks_predict_bitwise_the_same(old, new, start):
    """As the run that had them alone, task by task; and all of them, as before training."""
    photo = np.random.default_rng(0).integers(0, 256, (40, 56, 3), np.uint8)
    for name in OLD:
        assert_identical(new.predict(photo, [name]), old.predict(photo, [name]))
    before = Model(new.config, new.network, new.tasks, start.params, start.stats, 0).predict(photo)
    after = new.predict(photo)
    assert [name for name in NEW if not np.array_equal(before[name], after[name])] == ["normals"]


def test_only_the_new_task_has_other_variables(old, new, start):
    assert_identical(new.params.shared, old.params.shared)
    assert_identical(new.stats.shared, old.stats.shared)
    for name in OLD:
        assert_identical(owned(new, NEW, name), owned(old, OLD, name))
    assert new.params.discriminator == {}
    before, after = (jax.tree.leaves(owned(each, NEW, "normals")) for each in (start, new))
    assert not any(map(np.array_equal, before, after))


def test_the_settings_are_recorded(new):
    assert new.config.trained_tasks == ("normals",)
    assert new.config.discriminator.weight == 0


def test_it_goes_on_without_the_run_that_it_started_from(folder, new):
    """From half-way on, with the command that began it, to bitwise the same."""
    half, config = folder / "half", added(folder)
    shutil.copytree(folder / "new", half)
    (half / "results.json").unlink()
    for step in (STEPS - 2, STEPS):
        shutil.rmtree(half / "checkpoints" / str(step))
    (folder / "old").rename(folder / "away")
    try:
        again = trained(as_begun(half, config), half)
    finally:
        (folder / "away").rename(folder / "old")
    assert_identical((again.params, again.stats), (new.params, new.stats))
    found, expected = ((each / "results.json").read_bytes() for each in (half, folder / "new"))
    assert found == expected


def test_it_does_not_go_on_with_other_tasks(folder, new):
    """Whatever tasks the run in the folder trains; nothing is said of settings nobody gave."""
    del new
    fewer = as_begun(folder / "new", added(folder, tasks=OLD))
    assert fewer.trained_tasks == ()
    with pytest.raises(ValueError, match=r"other settings \(.*tasks: "):
        check_workdir(folder / "new", fewer)


def test_without_freeze_a_run_starts_as_the_other_one_predicts(folder, old):
    made = Experiment(config_of(folder, OLD, init_from=str(folder / "old")))
    state = made.init(made.train_step(3))
    params = dataclasses.replace(state.params, discriminator=old.params.discriminator)
    assert_identical((params, state.stats), (old.params, old.stats))
    assert parameter_count(state.optimizer) > parameter_count(state.params)  # of everything


def initial(config):
    """Variables of a network before training: zeros, of which none is taken."""
    network = Experiment(config).network
    shapes = jax.eval_shape(network.init, jax.random.key(0))
    return jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), shapes)


def taken(config):
    config = settled(config)
    return take(config, initial(config), Placement(data_mesh()).replicated)


def test_it_says_what_was_taken(folder, old, capsys):
    del old
    made = Experiment(added(folder))
    made.init(made.train_step(3))
    output = " ".join(capsys.readouterr().out.split())
    assert f"its last checkpoint, of step {STEPS}" in output
    assert "New: normals, of which the run has nothing." in output
    assert "those of normals. Everything else stays as it is" in output
    _, lines = taken(config_of(folder, ("depth",), init_from=str(folder / "old")))
    assert lines[1:] == ["Not taken: semseg, which this run has not."]
    assert " 100.0% of all numbers" in lines[0]
    other = config_of(
        folder, OLD, init_from=str(folder / "old"), train__normalize="none", discriminator__depth=1
    )
    assert taken(other)[1][-1].startswith("Note: the same variables compute something else (")


REFUSED = {
    "no run": ({"init_from": "nowhere"}, FileNotFoundError, "no run in nowhere"),
    "width": ({"model__width_multiplier": 0.5}, WeightsError, "resnet14 of width 0.25, of which"),
    "backbone": ({"model__backbone": "resnet26"}, WeightsError, "fits a resnet26"),
    "decoder": ({"model__decoder_norm": "shared"}, WeightsError, "model.decoder_norm: 'per_task'"),
    "scaling": ({"train__normalize": "none"}, WeightsError, "train.normalize: 'imagenet'"),
    "classes": (
        {"dataset__name": "nyud", "dataset__options": {}},
        WeightsError,
        r"of semseg 2 variables, such as head.bias, which has the shape \(21,\) there",
    ),
    "nothing new": ({"tasks": OLD}, ValueError, "has all tasks of this one"),
}


@pytest.mark.parametrize(("changes", "kind", "words"), REFUSED.values(), ids=REFUSED)
def test_what_does_not_fit_is_refused(changes, kind, words, folder, old):
    del old
    with pytest.raises(kind, match=words) as caught:
        taken(added(folder, **changes))
    assert_one_sentence(str(caught.value))


def test_damaged_runs_are_refused(folder, old, tmp_path):
    del old
    theirs = shutil.copytree(folder / "old", tmp_path / "theirs")
    config = added(folder, init_from=str(theirs))
    for file in theirs.glob("checkpoints/*/default/manifest.ocdbt"):
        file.write_bytes(b"")
    with pytest.raises(CheckpointError, match="No checkpoint in"):
        taken(config)
    (theirs / "config.json").write_text("{}")
    decided = dataclasses.replace(settled(added(folder)), init_from=str(theirs))
    with pytest.raises(WeightsError, match=r"no run to start from: .* cannot be used"):
        take(decided, None, None)


def test_a_run_does_not_start_from_itself(folder, old):
    del old
    for name in ("old", "data/../old"):
        with pytest.raises(ValueError, match="which is the --workdir of this run itself"):
            check_workdir(folder / name, added(folder))


def test_recorded_settings_read_no_other_run(tmp_path):
    """A stranger's folder that leaves its tasks open has all of them trained."""
    config = added(tmp_path)
    claim_workdir(tmp_path / "theirs", config)
    found = recorded_config(tmp_path / "theirs")
    assert found.trained_tasks == NEW
    assert settled(found).init_from == str(tmp_path / "old")  # which there is not
    assert not pathlib.Path(found.init_from).exists()
