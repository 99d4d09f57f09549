"""Signals ask for a stop inside the context, and mean what they did outside of it."""

import signal

import pytest

from astmt_jax.runtime.interruption import SIGNALS, StopRequest


def handlers():
    return [signal.getsignal(number) for number in SIGNALS]


@pytest.mark.parametrize("number", SIGNALS)
def test_signal_asks_for_a_stop(number):
    """It is noted and stays noted; the next one, whichever it is, ends the process at once."""
    before = handlers()
    with StopRequest() as stop:
        assert not stop.reached()
        signal.raise_signal(number)
        assert handlers() == [signal.SIG_DFL, signal.SIG_DFL]
        assert stop.reached()
        assert stop.reached()
    assert handlers() == before


def test_handlers_come_back_after_an_error():
    before = handlers()
    with pytest.raises(FloatingPointError):
        fail_inside(before)
    assert handlers() == before


def fail_inside(before):
    with StopRequest():
        assert handlers() != before
        raise FloatingPointError
