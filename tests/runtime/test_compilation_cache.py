"""Where compiled programs are kept."""

import pathlib

import jax
import pytest

from astmt_jax.runtime.compilation_cache import KEPT_FROM, THRESHOLD, default_folder, enable

FOLDER, SECONDS = "jax_compilation_cache_dir", "jax_persistent_cache_min_compile_time_secs"


@pytest.fixture(autouse=True)
def settings():
    """JAX's, as they were before."""
    before = {name: jax.config.values[name] for name in (FOLDER, SECONDS)}
    jax.config.update(FOLDER, None)
    yield
    for name, value in before.items():
        jax.config.update(name, value)


def test_default_is_the_users_cache_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    enable(None)
    assert jax.config.jax_compilation_cache_dir == str(tmp_path / "astmt_jax" / "compiled")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(pathlib.Path, "home", lambda: tmp_path)
    assert default_folder() == tmp_path / ".cache" / "astmt_jax" / "compiled"


def test_own_choices_win():
    """The flag over JAX's own setting, that over the default; empty turns it off."""
    jax.config.update(FOLDER, "/set/for/jax")
    enable(None)
    assert jax.config.jax_compilation_cache_dir == "/set/for/jax"
    enable("/flag")
    assert jax.config.jax_compilation_cache_dir == "/flag"
    enable("")
    assert jax.config.jax_compilation_cache_dir is None


def test_small_programs_are_kept_unless_the_environment_says_otherwise(monkeypatch):
    jax.config.update(SECONDS, 5.0)
    monkeypatch.setenv(THRESHOLD, "5")
    enable("/flag")
    assert jax.config.values[SECONDS] == 5.0
    monkeypatch.delenv(THRESHOLD)
    enable("/flag")
    assert jax.config.values[SECONDS] == KEPT_FROM < 1
