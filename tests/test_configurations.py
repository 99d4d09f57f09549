"""--config by name."""

import pytest
from settings import assert_one_sentence

from astmt_jax.command_line import configurations
from astmt_jax.command_line.configurations import located


def test_names_are_the_files_of_configs():
    assert {"pascal", "nyud", "fsv", "scenes", "own_data", "bsds500"} <= {*configurations.names()}


@pytest.mark.parametrize("name", configurations.names())
def test_a_name_is_a_file_of_the_package(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = configurations.folder() / f"{name}.py"
    assert file.exists()
    assert located(name) == str(file)
    assert located(f"{name}:tasks=edge,size=small") == f"{file}:tasks=edge,size=small"


def test_files_come_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "scenes").write_text("")
    assert located("scenes") == "scenes"
    assert located("scenes:size=small") == "scenes:size=small"


@pytest.mark.parametrize("text", ["configs/scenes.py", "mine.py:a=b", "/x/mine.py", "x/scenes"])
def test_paths_stay(text):
    assert located(text) == text


def test_home_folder(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    assert located("~/mine.py:a=b") == "/home/me/mine.py:a=b"


def test_homes_of_nobody_stay_as_they_are():
    assert located("~nobody-of-that-name/mine.py") == "~nobody-of-that-name/mine.py"


def test_unknown_names_are_answered():
    with pytest.raises(
        ValueError, match=r"--config is 'scene', .*pascal, photos, scenes\.$"
    ) as caught:
        located("scene:size=small")
    assert_one_sentence(str(caught.value))


def test_both_ways_to_give_a_flag():
    file = str(configurations.folder() / "scenes.py")
    argv = ["main", "--config=scenes", "--config", "scenes", "--workdir", "scenes", "--config.x=y"]
    expected = ["main", f"--config={file}", "--config", file, "--workdir", "scenes", "--config.x=y"]
    assert configurations.with_files(argv) == expected
