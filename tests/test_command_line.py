"""What all commands share: how things are written, and how errors are told."""

import argparse
import dataclasses
import pathlib

import pytest

from astmt_jax.command_line import arguments, config_flag
from astmt_jax.command_line.errors import full_disk_told, told
from astmt_jax.config import DatasetConfig
from astmt_jax.records import Written, build_record


@dataclasses.dataclass(frozen=True)
class Options:
    """One field of every type that options have."""

    count: int = 0
    share: float = 0.0
    flag: bool = False
    name: str = ""
    names: tuple[str, ...] = ()
    sizes: tuple[int, ...] = ()
    limit: int | None = 5


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", Options()),
        ("count=3,share=0.5,flag=True", Options(count=3, share=0.5, flag=True)),
        ("share=2", Options(share=2.0)),
        ("share=1e-3", Options(share=0.001)),
        ("name=2024", Options(name="2024")),
        ("name=traffic light", Options(name="traffic light")),
        ("name=a=b", Options(name="a=b")),
        ("names=floor+wall", Options(names=("floor", "wall"))),
        ("names=floor", Options(names=("floor",))),
        ("names=1+None", Options(names=("1", "None"))),
        ("sizes=8+-1", Options(sizes=(8, -1))),
        ("limit=None", Options(limit=None)),
        ("limit=7", Options(limit=7)),
    ],
)
def test_options_are_read_as_their_fields_types(text, expected):
    found = build_record(Options, arguments.options(text), "options")
    assert found == expected
    assert {type(value) for value in vars(found).values()}.isdisjoint({Written})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("count=many", "options.count is 'many', but must be of type int"),
        ("count=1.5", "options.count is 1.5, but must be of type int"),
        ("count=1+2", "options.count is '1.2', but must be of type int"),
        ("flag=1", "options.flag is 1, but must be of type bool"),
        ("sizes=8+x", "options.sizes is 'x', but must be of type int"),
        ("counts=1", "options.counts is not a field; did you mean count"),
    ],
)
def test_options_of_another_type_are_refused(text, message):
    with pytest.raises(ValueError, match=message):
        build_record(Options, arguments.options(text), "options")


@pytest.mark.parametrize("text", ["count", "=3", "names=a,b", "{'count': 3}", "a=1,a=2"])
def test_other_forms_of_options_are_refused(text):
    with pytest.raises(argparse.ArgumentTypeError, match=r"NAME=VALUE,NAME=VALUE|stands twice"):
        arguments.options(text)


def test_a_configuration_is_not_read_as_text():
    """Only what stands on a command line is; a text in a file is a text."""
    with pytest.raises(ValueError, match=r"options\.count is '3'"):
        build_record(Options, {"count": "3"}, "options")
    with pytest.raises(ValueError, match=r"options\.limit is 'None'"):
        build_record(Options, {"limit": "None"}, "options")


def test_task_names():
    assert arguments.task_names("edge+sal+edge") == ("edge", "sal")
    with pytest.raises(argparse.ArgumentTypeError, match=r"joined by \+: edge\+sal"):
        arguments.task_names("edge,sal")


def test_home_folder(monkeypatch):
    monkeypatch.setenv("HOME", "/somewhere")
    assert arguments.path("~/runs") == pathlib.Path("/somewhere/runs")
    assert arguments.path("runs/~") == pathlib.Path("runs/~")
    assert arguments.path("~no such user/runs") == pathlib.Path("~no such user/runs")
    assert DatasetConfig("scenes", data_dir="~/data").folder == pathlib.Path("/somewhere/data")
    assert config_flag._PathParser().parse("~/runs") == pathlib.Path("/somewhere/runs")


def test_existing_output_needs_overwrite(tmp_path):
    own, given = tmp_path / "own", tmp_path / "given"
    own.touch()
    assert arguments.output_file(None, False, own) == own
    assert arguments.output_file(given, False, own) == given
    given.touch()
    with pytest.raises(FileExistsError, match=r"given exists already: .*--overwrite"):
        arguments.output_file(given, False, own)
    assert arguments.output_file(given, True, own) == given


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ValueError("This is wrong."), "Error: This is wrong."),
        (FileNotFoundError("There is no run in x."), "Error: There is no run in x."),
        (PermissionError(13, "Permission denied", "/x/y"), "Error: /x/y: Permission denied."),
        (KeyboardInterrupt(), "Interrupted: it goes on."),
        (OSError(28, "No space left on device"), "Error: The disk of x is full: make room."),
    ],
)
def test_errors_are_told_in_one_sentence(error, message):
    def fail():
        with told(interrupted="it goes on."), full_disk_told(pathlib.Path("x"), "make room."):
            raise error

    with pytest.raises(SystemExit) as caught:
        fail()
    assert caught.value.code == message


@pytest.mark.parametrize("error", [KeyError("a bug"), KeyboardInterrupt(), ModuleNotFoundError()])
def test_other_errors_are_not_hidden(error):
    def fail():
        with told():
            raise error

    with pytest.raises(type(error)):
        fail()
