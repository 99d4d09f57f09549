"""Lines of progress against times that the test sets."""

import pytest

from astmt_jax.training import progress


def test_speed_and_time_left_are_without_the_compilation(monkeypatch, capsys):
    times = iter([0.0, 60.0, 62.0, 66.0])  # start, compiled after step 1, steps 5 and 9
    monkeypatch.setattr(progress.time, "perf_counter", lambda: next(times))
    lines = progress.Progress(0, 19, batch_size=8)
    lines.restart(1)
    assert lines.report(5, {"edge": 0.25}) == pytest.approx(16)  # 4 batches in 2 s
    assert lines.report(9, {"edge": 0.25}) == pytest.approx(8)
    first, second = capsys.readouterr().out.splitlines()
    assert first == "step  5/19  16.0 images/s  0:07 left  edge 0.250"
    assert second == "step  9/19  8.0 images/s  0:10 left  edge 0.250"
