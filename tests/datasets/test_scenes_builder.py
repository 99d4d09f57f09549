"""The TFDS builder of `scenes`: configuration, determinism, storage and statistics."""

import os
import pathlib
import socket
import subprocess
import sys

import numpy as np
import pytest
from array_record.python import array_record_module

from astmt_jax.datasets.scenes import builder as scenes
from astmt_jax.datasets.scenes.generate import DEPTH_STEP, NORMAL_STEP, Recipe
from astmt_jax.datasets.scenes.options import ScenesOptions
from astmt_jax.datasets.scenes.renderer import render
from astmt_jax.datasets.scenes.sample import CATEGORIES

ROOT = pathlib.Path(scenes.__file__).parents[3]
ENVIRONMENT = os.environ | {"PYTHONPATH": os.fspath(ROOT)}  # for scripts outside the repository
SMALL = {"image_size": 64, "num_train": 5, "num_val": 2, "seed": 3}


def raw_records(builder, split: str) -> list[bytes]:
    """The stored records in the order of the file."""
    (path,) = builder.info.splits[split].filepaths
    return array_record_module.ArrayRecordReader(os.fspath(path)).read_all()


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """The small dataset, prepared by one process."""
    folder = tmp_path_factory.mktemp("one_worker")
    return scenes.prepare(ScenesOptions(**SMALL), folder, num_workers=1)


def test_stored_examples_decode_to_what_is_rendered(prepared):
    for split, count in (("train", 5), ("val", 2)):
        records = raw_records(prepared, split)
        assert len(records) == count == prepared.info.splits[split].num_examples
        recipe = Recipe(seed=3, split=split, image_size=64)
        for index, record in enumerate(records):
            example = scenes.decode(prepared.info.features.deserialize_example_np(record))
            rendered = render(*recipe.draw(index), 64)
            assert example.pop("name") == f"{split}_{index:06d}".encode()
            assert set(example) == set(rendered)
            for key, value in example.items():
                assert value.dtype == rendered[key].dtype, key
                if key in ("normals", "depth"):
                    step = NORMAL_STEP if key == "normals" else DEPTH_STEP
                    np.testing.assert_allclose(value, rendered[key], atol=0.51 * step, rtol=1e-6)
                    np.testing.assert_array_equal(value == 0, rendered[key] == 0)
                elif key == "albedo":
                    np.testing.assert_allclose(value, rendered[key], atol=1e-7)
                else:
                    np.testing.assert_array_equal(value, rendered[key], key)


def test_any_number_of_workers_gives_the_same_bytes(prepared, tmp_path):
    other = scenes.prepare(ScenesOptions(**SMALL), tmp_path, num_workers=2)
    for split in ("train", "val"):
        assert raw_records(prepared, split) == raw_records(other, split)


def test_examples_depend_on_seed_split_and_index_only():
    def image(seed, split, index):
        return Recipe(seed, split, 64).encoded(index)["image"]

    base = image(0, "train", 1)
    assert image(0, "train", 1) == base
    others = [image(1, "train", 1), image(0, "val", 1), image(0, "train", 0)]
    assert base not in others
    assert len(set(others)) == 3


def test_preparing_again_changes_nothing(prepared, monkeypatch):
    def fail(*args):
        raise AssertionError("rendered again")

    monkeypatch.setattr(Recipe, "encoded", fail)
    again = scenes.prepare(ScenesOptions(**SMALL), prepared.data_dir.split("/scenes/")[0], 1)
    assert raw_records(again, "val") == raw_records(prepared, "val")


def test_interrupted_preparation_leaves_nothing(prepared, tmp_path, monkeypatch):
    encoded = Recipe.encoded

    def interrupted(self, index):
        if index == 3:
            raise KeyboardInterrupt
        return encoded(self, index)

    with monkeypatch.context() as patch:
        patch.setattr(Recipe, "encoded", interrupted)
        with pytest.raises(KeyboardInterrupt):
            scenes.prepare(ScenesOptions(**SMALL), tmp_path, num_workers=1)
    assert not list(tmp_path.rglob("*.array_record*"))
    assert not list(tmp_path.rglob("dataset_info.json"))
    again = scenes.prepare(ScenesOptions(**SMALL), tmp_path, num_workers=1)
    assert raw_records(again, "train") == raw_records(prepared, "train")


def test_killed_preparation_does_not_look_complete(prepared, tmp_path):
    """As above, without a chance to clean up."""
    script = f"""
import os
from astmt_jax.datasets.scenes import builder, generate, options
encoded = generate.Recipe.encoded
generate.Recipe.encoded = lambda self, index: os._exit(9) if index == 3 else encoded(self, index)
builder.prepare(options.ScenesOptions(**{SMALL}), {os.fspath(tmp_path)!r}, num_workers=1)
"""
    killed = subprocess.run([sys.executable, "-c", script], env=ENVIRONMENT, check=False)
    assert killed.returncode == 9
    assert list(tmp_path.rglob("incomplete*"))
    again = scenes.prepare(ScenesOptions(**SMALL), tmp_path, num_workers=1)
    assert raw_records(again, "train") == raw_records(prepared, "train")
    assert not [*tmp_path.rglob("incomplete*"), *tmp_path.rglob("*.lock")]


def test_what_another_process_renders_is_waited_for(prepared, tmp_path, monkeypatch, capsys):
    """It goes on when this one says that it waits, and this one renders nothing."""
    waited, data_dir = tmp_path / "waited", tmp_path / "data"
    script = f"""
import pathlib, time
from astmt_jax.datasets.scenes import builder, generate, options
encoded = generate.Recipe.encoded
def slowly(self, index):
    print("renders", flush=True)
    while not pathlib.Path({os.fspath(waited)!r}).exists():
        time.sleep(0.01)
    return encoded(self, index)
generate.Recipe.encoded = slowly
builder.prepare(options.ScenesOptions(**{SMALL}), {os.fspath(data_dir)!r}, num_workers=1)
"""

    def fail(*args):
        raise AssertionError("rendered again")

    tell = scenes._tell

    def tell_and_go_on(holder):
        tell(holder)
        waited.touch()

    monkeypatch.setattr(Recipe, "encoded", fail)
    monkeypatch.setattr(scenes, "_tell", tell_and_go_on)
    command = [sys.executable, "-c", script]
    with subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "renders\n"
        found = scenes.prepare(ScenesOptions(**SMALL), data_dir, num_workers=1)
        for split in ("train", "val"):  # the order of the keys in a record is the process's own
            lengths, expected = (
                [len(record) for record in raw_records(builder, split)]
                for builder in (found, prepared)
            )
            assert lengths == expected
        other.communicate()
    assert other.returncode == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert printed.startswith(f"The same scenes are rendered by process {other.pid} on ")
    assert printed.endswith(": waiting ...")
    assert not list(data_dir.glob("*.lock"))


def test_workers_do_not_run_the_main_script(tmp_path):
    script = tmp_path / "unguarded.py"
    script.write_text(
        "print('started')\n"
        "from astmt_jax.runtime import workers\n"
        "with workers.ordered_map(abs, range(-4, 0), 2) as found:\n"
        "    print(list(found))\n"
    )
    done = subprocess.run(
        [sys.executable, script], env=ENVIRONMENT, capture_output=True, text=True, check=True
    )
    assert done.stdout.split("\n") == ["started", "[4, 3, 2, 1]", ""]


def test_preparation_needs_no_network(tmp_path, monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("tried to open a socket")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    options = ScenesOptions(image_size=64, num_train=1, num_val=1)
    assert scenes.prepare(options, tmp_path, num_workers=1).info.splits["train"].num_examples == 1


def test_each_configuration_has_its_own_folder():
    fields = ({}, {"image_size": 128}, {"num_train": 7}, {"num_val": 7}, {"seed": 7})
    names = [ScenesOptions(**field).name for field in fields]
    assert names[0] == "96px_2000train_300val_seed0"
    assert len(set(names)) == len(names)


def test_default_configuration_can_be_named_or_left_out(tmp_path):
    explicit = scenes.Scenes(options=ScenesOptions(), data_dir=tmp_path)
    assert scenes.Scenes(data_dir=tmp_path).data_dir == explicit.data_dir


@pytest.mark.parametrize(
    ("field", "value", "range_"),
    [
        ("image_size", 63, "from 64 to 512"),
        ("image_size", 513, "from 64 to 512"),
        ("image_size", 96.0, "from 64 to 512"),
        ("num_train", 0, "at least 1"),
        ("num_val", True, "at least 1"),
        ("seed", -1, "at least 0"),
        ("seed", "0", "at least 0"),
    ],
)
def test_impossible_configurations_are_refused(field, value, range_):
    expected = f"^scenes: {field} is {value!r}, but must be a whole number {range_}.$"
    with pytest.raises(ValueError, match=expected):
        ScenesOptions(**{field: value})


def test_impossible_numbers_of_workers_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"^scenes: num_workers is 0, but must be"):
        scenes.prepare(ScenesOptions(), tmp_path, num_workers=0)


def test_classes_and_people_are_frequent():
    recipe = Recipe(seed=0, split="val", image_size=64)
    examples = [render(*recipe.draw(index), 64) for index in range(100)]
    shown = np.array(
        [[(example["semseg"] == c).mean() > 0.01 for c in CATEGORIES] for example in examples]
    )
    assert (shown.mean(axis=0) > 0.08).all()
    people = np.mean([(example["semseg"] == 15).any() for example in examples])
    assert 0.35 < people < 0.65
    with_parts = [set(np.unique(example["human_parts"])) for example in examples]
    for part in range(1, 7):
        assert np.mean([part in parts for parts in with_parts]) > 0.25
    salient = np.array([example["sal"].mean() for example in examples])
    assert (salient > 0).mean() > 0.95
    assert 0.05 < salient.mean() < 0.35
    depth = np.concatenate([example["depth"][example["depth"] > 0] for example in examples])
    assert np.quantile(depth, 0.05) < 2
    assert np.quantile(depth, 0.95) > 8
    brightness = [example["image"].mean() for example in examples]
    assert np.quantile(brightness, 0.05) > 70
    assert np.quantile(brightness, 0.95) < 200
