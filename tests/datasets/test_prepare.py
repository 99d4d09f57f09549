"""The command that prepares datasets: from archives and folders, interrupted, and misused."""

import os
import pathlib
import subprocess
import sys
import tarfile

import archives
import numpy as np
import pytest
from array_record.python import array_record_module
from prepared import read_examples

from astmt_jax.datasets import exclusive, pascal_context, registry
from astmt_jax.datasets.prepare import main, prepare

ROOT = pathlib.Path(__file__).parents[2]


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    root = tmp_path_factory.mktemp("source") / "PASCAL_MT"
    archives.make_pascal(root)
    return root


@pytest.fixture(scope="module")
def prepared(source, tmp_path_factory):
    return prepare("pascal_context", source, tmp_path_factory.mktemp("data"), num_workers=1)


def raw_records(builder, split):
    """The stored records in the order of the file."""
    (path,) = builder.info.splits[split].filepaths
    return array_record_module.ArrayRecordReader(os.fspath(path)).read_all()


def same_records(first, second):
    return all(
        raw_records(first, split) == raw_records(second, split)
        for split in ("train", "val", "val_all_tasks_present")
    )


def state_of(folder):
    """Names, contents and times of all files and folders."""
    return {
        path: (path.stat().st_mtime_ns, path.read_bytes() if path.is_file() else None)
        for path in [folder, *folder.rglob("*")]
    }


def test_archive_and_folder_give_the_same_and_stay_as_they_are(source, prepared, tmp_path):
    path = tmp_path / "archive" / "PASCAL_MT.tgz"
    path.parent.mkdir()
    with tarfile.open(path, "w:gz") as tar:
        tar.add(source, arcname="PASCAL_MT")
    before = state_of(path.parent), state_of(source)
    from_archive = prepare("pascal_context", path, tmp_path / "data", num_workers=1)
    from_folder = prepare("pascal_context", source.parent, tmp_path / "other", num_workers=1)
    assert same_records(from_archive, prepared)
    assert same_records(from_folder, prepared)
    assert (state_of(path.parent), state_of(source)) == before
    left = {path.name for path in (tmp_path / "data").iterdir()}
    assert left == {"pascal_context", "downloads"}


def test_any_number_of_workers_gives_the_same_bytes(source, prepared, tmp_path):
    assert same_records(prepare("pascal_context", source, tmp_path, num_workers=2), prepared)


def test_files_are_stored_as_array_record_and_small(source, prepared):
    (path,) = prepared.info.splits["val"].filepaths
    assert ".array_record-" in path.name
    size = sum(len(record) for record in raw_records(prepared, "val"))
    pictures = [
        (source / f"{folder}/{name}.{ending}").stat().st_size
        for name in archives.PASCAL_NAMES["val"]
        for folder, ending in (("JPEGImages", "jpg"), ("normals_distill", "png"))
    ]
    assert size < 1.5 * sum(pictures)


def test_preparing_again_needs_no_source(prepared):
    data_dir = pathlib.Path(prepared.data_dir).parents[1]
    again = prepare("pascal_context", "/nowhere", data_dir)
    assert same_records(again, prepared)


def test_a_slice_of_a_split(prepared):
    data_dir = pathlib.Path(prepared.data_dir).parents[1]
    source = registry.find("pascal_context").open(data_dir, {}, "train[:2]")
    assert list(read_examples(source)) == list(archives.PASCAL_NAMES["train"][:2])


def test_an_interrupted_preparation_leaves_nothing(source, prepared, tmp_path, monkeypatch):
    read = pascal_context._read

    def interrupted(folder, split, name):
        if name == "2009_000004":
            raise KeyboardInterrupt
        return read(folder, split, name)

    with monkeypatch.context() as patch:
        patch.setattr(pascal_context, "_read", interrupted)
        with pytest.raises(KeyboardInterrupt):
            prepare("pascal_context", source, tmp_path, num_workers=1)
    assert not list(tmp_path.rglob("*.array_record*"))
    assert not list(tmp_path.rglob("dataset_info.json"))
    assert same_records(prepare("pascal_context", source, tmp_path, num_workers=1), prepared)


def test_a_killed_preparation_does_not_look_complete(source, prepared, tmp_path):
    script = f"""
import os
from astmt_jax.datasets import pascal_context, prepare
read = pascal_context._read
def killed(folder, split, name):
    return os._exit(9) if name == "2009_000004" else read(folder, split, name)
pascal_context._read = killed
prepare.prepare("pascal_context", {os.fspath(source)!r}, {os.fspath(tmp_path)!r}, num_workers=1)
"""
    environment = os.environ | {"PYTHONPATH": os.fspath(ROOT)}
    killed = subprocess.run([sys.executable, "-c", script], env=environment, check=False)
    assert killed.returncode == 9
    with pytest.raises(FileNotFoundError, match="pascal_context is not prepared"):
        registry.find("pascal_context").open(tmp_path, {}, "val")
    assert same_records(prepare("pascal_context", source, tmp_path, num_workers=1), prepared)
    assert not list(tmp_path.rglob("*incomplete*"))


def test_what_a_killed_preparation_left_is_removed(source, prepared, tmp_path):
    """Also by a start that needs no archive, or has nothing to do."""
    unpacked, unfinished = ".pascal_context.unpacked", "pascal_context/incomplete.ABC_1.1.0"
    for _ in ("prepares", "finds it prepared"):
        for left in (tmp_path / unpacked, tmp_path / unfinished):
            left.mkdir(parents=True)
            (left / "dataset_info.json").touch()
        assert same_records(prepare("pascal_context", source, tmp_path, num_workers=1), prepared)
        assert not (tmp_path / unpacked).exists()
        assert not (tmp_path / unfinished).exists()


def test_one_preparation_at_a_time(source, tmp_path):
    """Another one is refused, and finds everything as it should be when the first has ended."""
    with (
        exclusive.preparing(tmp_path / "x", tmp_path, "pascal_context", told=pytest.fail),
        pytest.raises(
            ValueError, match=rf"^Another preparation .*: process {os.getpid()} on .*\.$"
        ),
    ):
        prepare("pascal_context", source, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_named(source, tmp_path, monkeypatch):
    def full(*_):
        raise RuntimeError("write() failed: No space left on device; writing train.array_record")

    monkeypatch.setattr(pascal_context, "_read", full)
    with pytest.raises(SystemExit) as caught:
        main(
            [
                "--dataset=pascal_context",
                f"--source={source}",
                f"--data_dir={tmp_path}",
                "--num_workers=1",
            ]
        )
    assert caught.value.code.startswith(f"Error: The disk of {tmp_path} is full: nothing was kept;")
    assert not list(tmp_path.rglob("*.array_record*"))


def test_a_bad_file_ends_the_preparation_in_one_sentence(source, tmp_path, capsys):
    copy = tmp_path / "PASCAL_MT"
    archives.make_pascal(copy)
    (copy / "sal_distill/2008_000007.png").unlink()
    arguments = ["--dataset=pascal_context", f"--source={copy}", f"--data_dir={tmp_path / 'data'}"]
    with pytest.raises(SystemExit) as caught:
        main([*arguments, "--num_workers=2"])
    assert caught.value.code == (f"Error: sal_distill/2008_000007.png of {copy} is missing.")
    assert not list((tmp_path / "data").rglob("dataset_info.json"))


def test_the_command_says_what_it_made(source, tmp_path, capsys):
    main(["--dataset=pascal_context", f"--source={source}", f"--data_dir={tmp_path}"])
    printed = capsys.readouterr().out
    assert "pascal_context/1.1.0 train: 5 images" in printed
    assert "download" not in printed.lower()
    assert "val_all_tasks_present: 2 images" in printed
    assert f"Ready in {tmp_path}" in " ".join(printed.split())
    main(["--dataset=pascal_context", "--source=other", f"--data_dir={tmp_path}"])
    printed = capsys.readouterr().out
    assert f"{tmp_path}/pascal_context/1.1.0 is prepared already, and other was not read" in printed


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--dataset=imagenet", "--source=x"], "'imagenet', but must be one of: pascal_context"),
        (["--dataset=fsv", "--source=/nowhere/x"], "/nowhere/x does not exist; it should be"),
        (["--dataset=nyud", "--source=x", "--options=classes=39"], "is 39, but must be 40 or 41"),
        (["--dataset=nyud", "--source=x", "--options=config=a"], "options.config is not a field"),
        (
            ["--dataset=own_data", "--source=x", "--options=config=../x"],
            "must be a name of letters",
        ),
        (["--dataset=nyud", "--source=x", "--num_workers=0"], "num_workers is 0"),
        (["--dataset=nyud", "--source=~nobody-of-this-name/x"], "does not exist; it should be"),
    ],
)
def test_misuse_ends_with_one_sentence(tmp_path, arguments, words):
    with pytest.raises(SystemExit) as caught:
        main([*arguments, f"--data_dir={tmp_path}"])
    assert caught.value.code.startswith("Error: ")
    assert words in caught.value.code
    assert "\n" not in caught.value.code


def test_the_former_config_is_answered_with_the_options(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["--dataset=nyud", "--source=x", "--config=classes40"])
    assert caught.value.code == 2
    assert "--config any more: say --options=classes=40" in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize(
    ("dataset", "options", "command"),
    [
        ("pascal_context", {}, "--dataset=pascal_context --data_dir="),
        ("nyud", {}, "--dataset=nyud --data_dir="),
        ("nyud", {"classes": 40}, "--dataset=nyud --options=classes=40 --data_dir="),
        (
            "own_data",
            {"config": "mine", "semseg_classes": ("a", "b")},
            "--dataset=own_data --options=config=mine --data_dir=",
        ),
    ],
)
def test_the_missing_preparation_is_named(tmp_path, dataset, options, command):
    with pytest.raises(FileNotFoundError) as caught:
        registry.find(dataset).open(tmp_path, options, "train")
    assert f"python -m astmt_jax.datasets.prepare {command}{tmp_path} " in str(caught.value)
    assert "\n" not in str(caught.value)


def test_unknown_options_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"config\.dataset\.options\.clases is not a field"):
        registry.find("nyud").open(tmp_path, {"clases": 40}, "train")


def test_examples_of_a_split_keep_the_order_of_its_list(prepared):
    names = [
        prepared.info.features.deserialize_example(record)["name"].numpy().decode()
        for record in raw_records(prepared, "train")
    ]
    np.testing.assert_array_equal(names, archives.PASCAL_NAMES["train"])
