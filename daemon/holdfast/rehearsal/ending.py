"""Ctrl-C, a closed terminal and SIGTERM, heard only where everything that was started is known."""

from __future__ import annotations

import signal
from types import FrameType
from typing import Final, Self

_ENDS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Ended(Exception):
    """Somebody wants it to end now."""


class Ending:
    """While it is entered, these signals only set `asked`: an exception at any instant would leave behind
    what was just being started, or what was being cleared up."""

    def __init__(self) -> None:
        self.asked = False
        self._before: dict[signal.Signals, object] = {}

    def __enter__(self) -> Self:
        for number in _ENDS:
            self._before[number] = signal.signal(number, self._hear)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def check(self) -> None:
        """Raise Ended if that was asked for."""
        if self.asked:
            raise Ended

    def _hear(self, _number: int, _frame: FrameType | None) -> None:
        self.asked = True
