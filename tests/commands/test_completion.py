"""Shell completion: what bash itself makes of the script, and what is read from helps."""

import subprocess
import types

import pytest

from astmt_jax.commands import completion

WORDS = {
    "train": ("--workdir=", "--config=scenes", "--config=pascal", "--config.train.epochs="),
    "report": ("--workdir=", "--overwrite"),
    "completion": ("bash", "zsh"),
}


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (["tr"], ["train"]),
        ([""], ["train", "report", "completion", "--help"]),
        (["report", "--"], ["--workdir=", "--overwrite"]),
        (["train", "--config=s"], ["scenes"]),
        (["train", "--config="], ["scenes", "pascal"]),
        (["train", "--config.t"], ["--config.train.epochs="]),
        (["report", "--workdir=x", "--o"], ["--overwrite"]),
        (["completion", "z"], ["zsh"]),
        (["report", "x"], []),
    ],
)
def test_bash_completes(line, expected):
    written = ["astmt", *line]
    words = " ".join(f"'{word}'" for word in written)
    text = " ".join(written)
    state = (
        f"COMP_WORDS=({words}); COMP_CWORD={len(line)}; COMP_LINE='{text}'; "
        f"COMP_POINT={len(text)}; COMP_WORDBREAKS=$' \\t\\n=:'"
    )
    call = f"{state}; _astmt; printf '%s\\n' \"${{COMPREPLY[@]}}\""
    script = completion.script("bash", WORDS)
    done = subprocess.run(
        ["bash", "-c", f"{script}\n{call}"], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == expected


ABSL = """Trains: `python -m astmt_jax.main --config=x`.
flags:

/somewhere/main.py:
  --compilation_cache: Folder (default:
    --x is none).
  --[no]quick: Whether.
  --config: Settings.

Try --helpfull to get a list of all flags.
"""
ARGPARSE = """usage: python -m astmt_jax.report [-h] --workdir WORKDIR

options:
  -h, --help            show this help message and exit
  --workdir WORKDIR     folder of the run, as --output
  --overwrite           replace
  --size {small,large}  how large
"""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (ABSL, ("--compilation_cache=", "--quick", "--config=")),
        (ARGPARSE, ("--help", "--workdir=", "--overwrite", "--size=")),
        ("", ()),
    ],
)
def test_arguments_are_read_from_helps(text, expected, monkeypatch):
    done = types.SimpleNamespace(stdout=text)
    monkeypatch.setattr(subprocess, "run", lambda *args, **kwargs: done)
    assert completion._arguments("train") == expected


def test_settings_follow_config(monkeypatch, capsys):
    """Where a command has it: every configuration and every field."""
    texts = {"astmt_jax.main": ABSL, "astmt_jax.report": ARGPARSE}

    def run(command, **kwargs):
        return types.SimpleNamespace(stdout=texts.get(command[2], ""))

    monkeypatch.setattr(subprocess, "run", run)
    words = completion.known_words()
    assert {"--config=scenes", "--config=pascal", "--config.seed="} < {*words["train"]}
    assert "--config.model.encoder_norm=" in words["train"]
    assert "--config=" not in words["train"]
    assert words["report"] == ("--help", "--workdir=", "--overwrite", "--size=")
    completion.main(["zsh"])
    assert capsys.readouterr().out.startswith("autoload -U +X bashcompinit")
