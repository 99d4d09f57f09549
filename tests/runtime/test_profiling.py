"""Which steps are traced."""

import jax
import jax.numpy as jnp
import pytest

from astmt_jax.runtime.profiling import trace_hook


def test_steps_are_traced(tmp_path, monkeypatch):
    """From after step START to after step STOP, and never again."""
    calls = []
    monkeypatch.setattr(jax.profiler, "start_trace", lambda folder: calls.append(("start", folder)))
    monkeypatch.setattr(jax.profiler, "stop_trace", lambda: calls.append("stop"))
    hook = trace_hook("2:4", 6, tmp_path)
    for number in range(7):
        hook(number)
        calls.append(number)
    assert calls == [0, 1, ("start", str(tmp_path)), 2, 3, "stop", 4, 5, 6]


def test_trace_is_written(tmp_path):
    hook = trace_hook("0:1", 1, tmp_path)
    hook(0)
    jnp.arange(3).block_until_ready()
    hook(1)
    assert list(tmp_path.glob("plugins/profile/*/*.xplane.pb"))


@pytest.mark.parametrize("steps", ["", "3", "3:3", "4:2", "-1:2", "0:7", "a:b", "1:2:3"])
def test_other_steps_are_refused(steps, tmp_path):
    with pytest.raises(ValueError, match=r"--profile_steps is '.*', but must be START:STOP") as e:
        trace_hook(steps, 6, tmp_path)
    assert "\n" not in str(e.value)


def test_nothing_is_traced_unless_asked_for(tmp_path):
    hook = trace_hook(None, 6, tmp_path)
    for number in range(7):
        hook(number)
    assert not list(tmp_path.iterdir())
