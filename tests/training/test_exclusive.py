"""A run's folder, which one process at a time trains in."""

import os

import pytest

from astmt_jax.runtime import distributed
from astmt_jax.training.exclusive import training_in


def refused(workdir):
    with pytest.raises(ValueError, match=" is in use by process ") as caught, training_in(workdir):
        pass
    return str(caught.value)


def test_another_one_is_refused(tmp_path):
    with training_in(tmp_path):
        sentence = refused(tmp_path)
    assert sentence.startswith(f"{tmp_path} is in use by process {os.getpid()} on ")
    assert sentence.endswith("): wait until that ends, or choose another --workdir.")
    with training_in(tmp_path):
        pass


def test_a_folder_in_which_nothing_was_written_is_not_left(tmp_path):
    with training_in(tmp_path / "runs/new"):
        refused(tmp_path / "runs/new")
        assert (tmp_path / "runs/new").is_dir()
    assert not list(tmp_path.iterdir())
    with training_in(tmp_path / "runs/new"):
        (tmp_path / "runs/new/config.json").touch()
    assert [path.name for path in (tmp_path / "runs/new").iterdir()] == ["config.json"]


def test_a_folder_that_was_there_stays(tmp_path):
    with training_in(tmp_path):
        pass
    assert tmp_path.is_dir()


def test_a_link_in_its_place_is_not_followed(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "precious").write_text("precious")
    (tmp_path / "run/.lock").symlink_to(tmp_path / "precious")
    with training_in(tmp_path / "run"):
        assert not (tmp_path / "run/.lock").is_symlink()
    assert (tmp_path / "precious").read_text() == "precious"


def test_other_processes_of_the_run_leave_it_to_the_first(tmp_path, monkeypatch):
    with training_in(tmp_path):
        monkeypatch.setattr(distributed, "is_main", lambda: False)
        with training_in(tmp_path):
            pass
