"""Signals that end the rehearsal: heard at any time, raised only where it is safe."""

from __future__ import annotations

import os
import signal

import pytest

from holdfast.rehearsal.ending import Ended, Ending


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_interrupts_nothing_and_is_remembered(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with Ending() as ending:
        ending.check()
        os.kill(os.getpid(), number)
        os.kill(os.getpid(), number)
        with pytest.raises(Ended):
            ending.check()

    assert ending.asked
    assert signal.getsignal(number) is before
