"""`astmt`: every command is there, gets its arguments, and says which package it misses."""

import importlib.util
import os
import runpy
import subprocess
import sys

import pytest

from astmt_jax.commands import __main__ as astmt
from astmt_jax.commands.table import COMMANDS


@pytest.fixture
def started(monkeypatch):
    """What was started, as (module, arguments)."""
    found = []

    def run_module(module, run_name, alter_sys):
        assert (run_name, alter_sys) == ("__main__", True)
        found.append((module, sys.argv[1:]))

    monkeypatch.setattr(runpy, "run_module", run_module)
    monkeypatch.setattr(sys, "argv", ["astmt"])  # put back at the end
    return found


@pytest.mark.parametrize("name", COMMANDS)
def test_commands_are_modules_that_run(name):
    spec = importlib.util.find_spec(COMMANDS[name].module)
    if spec.submodule_search_locations:
        spec = importlib.util.find_spec(f"{COMMANDS[name].module}.__main__")
    with open(spec.origin) as file:
        assert 'if __name__ == "__main__":' in file.read()


def test_arguments_are_passed_on(started):
    astmt.main(["train", "--config=scenes", "--workdir=x"])
    astmt.main(["eval", "--config=scenes"])
    assert started == [
        ("astmt_jax.main", ["--config=scenes", "--workdir=x"]),
        ("astmt_jax.main", ["--mode=eval", "--config=scenes"]),
    ]


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"], ["help"]])
def test_help_names_all_commands(arguments, started, capsys):
    astmt.main(arguments)
    lines = capsys.readouterr().out.split("Commands:\n")[1].splitlines()
    assert [line.split()[0] for line in lines] == list(COMMANDS)
    assert not started


def test_help_ends_quietly_where_nobody_reads_it():
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "astmt_jax.commands", "--help"]
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True)
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("name", "words"), [("trian", "did you mean train?"), ("xyz", "known: train, eval, ")]
)
def test_unknown_commands_are_answered(name, words, started):
    with pytest.raises(SystemExit, match=rf"^Error: astmt has no command '{name}'; .*") as caught:
        astmt.main([name])
    assert words in caught.value.code


@pytest.mark.parametrize(
    ("package", "extra"), [("tensorflow.python", "train"), ("clu", "train"), ("gradio", "demo")]
)
def test_missing_extras_are_named(package, extra, started, monkeypatch):
    def run_module(*args, **kwargs):
        raise ModuleNotFoundError(f"No module named {package!r}", name=package)

    monkeypatch.setattr(runpy, "run_module", run_module)
    name = package.partition(".")[0]
    with pytest.raises(SystemExit) as caught:
        astmt.main(["report"])
    assert caught.value.code == (
        f"Error: astmt report needs {name}, which is not installed: "
        f"pip install 'astmt_jax[{extra}]'"
    )


def test_other_missing_modules_are_no_matter_of_extras(started, monkeypatch):
    def run_module(*args, **kwargs):
        raise ModuleNotFoundError("No module named 'mine'", name="mine")

    monkeypatch.setattr(runpy, "run_module", run_module)
    with pytest.raises(ModuleNotFoundError, match="mine"):
        astmt.main(["report"])
