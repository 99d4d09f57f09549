"""Where compiled programs are kept."""

import pathlib

import jax
import pytest

from astmt_jax.runtime import compilation_cache


@pytest.fixture(autouse=True)
def setting():
    """JAX's setting, as it was before."""
    before = jax.config.jax_compilation_cache_dir
    jax.config.update("jax_compilation_cache_dir", None)
    yield
    jax.config.update("jax_compilation_cache_dir", before)


def test_default_is_the_users_cache_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    compilation_cache.enable(None)
    assert jax.config.jax_compilation_cache_dir == str(tmp_path / "astmt_jax" / "compiled")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(pathlib.Path, "home", lambda: tmp_path)
    assert compilation_cache.default_folder() == tmp_path / ".cache" / "astmt_jax" / "compiled"


def test_own_choices_win():
    """The flag over JAX's own setting, that over the default; empty turns it off."""
    jax.config.update("jax_compilation_cache_dir", "/set/for/jax")
    compilation_cache.enable(None)
    assert jax.config.jax_compilation_cache_dir == "/set/for/jax"
    compilation_cache.enable("/flag")
    assert jax.config.jax_compilation_cache_dir == "/flag"
    compilation_cache.enable("")
    assert jax.config.jax_compilation_cache_dir is None
